// Answers that a caller asked the service to keep (OpenAI's responses with "store": true), until
// they expire or are deleted: the only content of others that is ever written.
//
// Each is encrypted by itself (AES-256-GCM) with a key that is derived from this machine's HMAC key
// (audit/key_ring.h), and bound to its id, its caller and its expiry: a row that was copied to
// another place does not open. Only the caller who stored one finds it; for anybody else, and for a
// caller who is not known, there is nothing.
//
// Safe for any number of threads.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "audit/key_ring.h"
#include "base/result.h"
#include "base/sqlite.h"
#include "base/time.h"
#include "gate/caller.h"

namespace lantern::gate {

class KeptResponses {
 public:
  static constexpr std::chrono::hours kLifetime{30 * 24};  // what the API's documentation promises
  static constexpr int64_t kPerCallerMax = 1000;           // the oldest make room
  static constexpr size_t kBytesMax = 4u << 20;

  /// responses.db in the state folder. Errors: the database's and the key ring's.
  static Result<std::unique_ptr<KeptResponses>> open();
  /// The same in another place, with a clock of the caller's choosing.
  static Result<std::unique_ptr<KeptResponses>> open(const std::filesystem::path& path,
                                                     audit::KeyRing keys, base::UtcTime (*clock)());

  /// kInvalidArgument for a caller who is not known, kTooLarge past kBytesMax.
  Status keep(std::string_view id, const Caller& caller, std::string_view content);
  /// kNotFound: no such id, expired, or another's. kCorrupt: it was changed.
  Result<std::string> find(std::string_view id, const Caller& caller);
  /// As find().
  Status remove(std::string_view id, const Caller& caller);

 private:
  KeptResponses(base::Database database, audit::KeyRing keys, base::UtcTime (*clock)())
      : database_(std::move(database)), keys_(std::move(keys)), clock_(clock) {}
  Status remove_expired();

  std::mutex mutex_;
  base::Database database_;  // under the mutex
  const audit::KeyRing keys_;
  base::UtcTime (*const clock_)();
};

}  // namespace lantern::gate
