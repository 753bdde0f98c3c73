// What commands, admission and endpoints see of the audit log. (cli/ and server/ include gate/
// alone; the log's types come along.)
//
// A refusal is recorded before it is given, an admission before it takes effect: append() returns
// once the entry is durable, and its error means that the caller refuses. Only what protects
// (revoke, stop) goes through append_or_spool(), which never stands in its way.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "audit/checkpoint.h"
#include "audit/event.h"
#include "audit/export.h"
#include "audit/key_ring.h"
#include "audit/log.h"
#include "audit/query.h"
#include "audit/reader.h"
#include "audit/retention.h"
#include "audit/verify.h"
#include "base/result.h"
#include "base/time.h"

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
  /// Also where it does not contain `kept`.
  static Result<AuditLog> of_user(std::vector<audit::KeptHead> kept = {});

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

/// What `lantern audit verify` is asked. Paths are files; an empty folder is this user's log.
struct AuditCheck {
  std::filesystem::path folder = {};
  /// The log's public keys: PEM, or verifier keys a line. None: those of this user's key ring.
  std::vector<std::filesystem::path> keys = {};
  std::vector<std::filesystem::path> since = {};  // checkpoints that were kept elsewhere
  /// A witness's verifier key (a file, or the text itself), or a public key in PEM.
  std::string witness = {};
};
/// This user's own log is held against the anchor that is kept beside it, too.
Result<audit::Verdict> check_audit_log(const AuditCheck& check);

/// A log for reading; an empty folder is this user's.
Result<audit::LogView> open_audit_view(const std::filesystem::path& folder);

/// A proof that entry `index` is in the log, with the entry itself, against the newest checkpoint.
Result<audit::InclusionProof> prove_entry(audit::LogView& view, uint64_t index);

/// A proof that stands for itself: its entry, and the checkpoint it is proven against. kCorrupt
/// where it does not hold or no key of `keys` (as in AuditCheck) signed its checkpoint.
struct ProvenEntry {
  audit::Checkpoint checkpoint;
  uint64_t index = 0;
  std::string entry;
};
Result<ProvenEntry> check_proof(const std::filesystem::path& proof,
                                const std::vector<std::filesystem::path>& keys);

/// Drops what is older than `keep` from this user's log, a sealed prefix in whole bundles, and
/// records it first; `dry_run` only says what would go. kDenied where the policy in force does not
/// let entries of that age go: that too is recorded.
struct PruneRequest {
  std::chrono::seconds keep{};
  bool dry_run = false;
};
Result<audit::DropPlan> prune_audit_log(const PruneRequest& request);

/// The safe way on after a record was written while the clock was ahead: until then no approval
/// counts, for a clock that lags behind the log may have been set back to make one count again.
/// Records that the clock is right now; from there on time goes by the clock again. What the wrong
/// time had ended stays ended: approvals from before count only where they also hold at the wrong
/// time, and a break-glass statement is dropped.
/// On a managed machine root consents: its file `clock` in the managed folder says how many entries
/// the log had; it counts once. kInvalidArgument where the clock does not lag; kDenied, recorded.
struct ClockCorrection {
  base::UtcTime now = {}, ahead_until = {};
};
Result<ClockCorrection> correct_clock(std::string_view reason);

// Keys. What changes the ring is recorded in the audit log.

Result<audit::KeyInfo> create_key(audit::KeyPurpose purpose, std::string_view kind);
/// The private half of this machine's key for models, which is made, and recorded, where there is
/// none.
Result<base::PrivateKey> model_signing_key();
/// A log key also signs the log's head at once, so that the change is in its history.
Result<audit::KeyInfo> rotate_key(audit::KeyPurpose purpose);
/// Writes every key to a new file, encrypted (audit/key_backup.h). kInvalidArgument where the file
/// exists or the passphrase is short.
Status backup_keys(const std::filesystem::path& file, std::string_view passphrase);
/// Takes the keys of a backup into this user's ring, as KeyRing::restore() does.
Result<audit::Restored> restore_keys(const std::filesystem::path& file, std::string_view passphrase,
                                     bool replace);
/// The verifier key by which others check what a log key signed.
Result<std::string> log_vkey(const audit::KeyInfo& key);

}  // namespace lantern::gate
