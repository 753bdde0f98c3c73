// What commands, admission and endpoints see of the audit log. (cli/ and server/ include gate/
// alone; the log's types come along.)
//
// A refusal is recorded before it is given, an admission before it takes effect: append() returns
// once the entry is durable, and its error means that the caller refuses. Only what protects
// (revoke, stop) goes through append_or_spool(), which never stands in its way.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "audit/event.h"
#include "audit/key_ring.h"
#include "audit/log.h"
#include "base/result.h"

namespace lantern::gate {

/// Where this user's log is, and what is kept outside its folder.
struct AuditPlaces {
  std::filesystem::path log;     // audit/ in the state folder
  std::filesystem::path anchor;  // the newest checkpoint
  std::filesystem::path spool;   // what waits while the log cannot be written
};
Result<AuditPlaces> audit_places();

/// The log of this user, open for writing. Safe for any number of threads; other processes may
/// have it open too. Cheap to copy: copies share it.
class AuditLog {
 public:
  /// audit/ in the state folder; its keys come from the key ring, its newest checkpoint is kept
  /// beside the folder too. Both are made on first use. Errors: kIo, kExhausted, and kCorrupt
  /// where the log was cut, replaced or changed.
  static Result<AuditLog> of_user();

  /// Durable once this returns, with the entry's index. Any error: refuse what was to be recorded.
  Result<uint64_t> append(const audit::Event& event) const { return log_->append(event); }

  /// For revocations and stops alone: where the log cannot be written the event waits in the spool
  /// and enters the log as soon as it can be.
  audit::Recorded append_or_spool(const audit::Event& event) const {
    return log_->append_or_spool(event);
  }

  /// A keyed digest of content for Event::digests.
  [[nodiscard]] audit::KeyedDigest digest(std::string_view of, std::string_view content) const {
    return key_->digest(of, content);
  }

  /// The newest entry's time, 0 for an empty log: what no clock may fall behind.
  [[nodiscard]] int64_t newest_time_ms() const { return log_->newest_time_ms(); }

  [[nodiscard]] audit::Log& log() const { return *log_; }

 private:
  AuditLog(std::shared_ptr<audit::Log> log, std::shared_ptr<const audit::SecretKey> key)
      : log_(std::move(log)), key_(std::move(key)) {}
  std::shared_ptr<audit::Log> log_;
  std::shared_ptr<const audit::SecretKey> key_;
};

}  // namespace lantern::gate
