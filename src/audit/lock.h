// The lock of a log, between processes and between descriptors of one process.
#pragma once

#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/result.h"

namespace lantern::audit {

/// Held until it is destroyed, or the process ends.
class LogLock {
 public:
  /// For writing; makes the lock's file. kIo after `timeout_ms`. Writers take turns: who waits
  /// keeps those off who have just had it.
  static Result<LogLock> exclusive(const std::filesystem::path& folder, int timeout_ms);
  /// For reading a log as a whole. Nothing where there is no lock to take: a copy that nobody
  /// writes, or a writer that does not answer within a second (the journal reads well in between).
  static std::optional<LogLock> shared(const std::filesystem::path& folder);

 private:
  explicit LogLock(base::UniqueFd fd) : fd_(std::move(fd)) {}
  base::UniqueFd fd_;
};

}  // namespace lantern::audit
