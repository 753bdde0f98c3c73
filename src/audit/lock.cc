#include "audit/lock.h"

#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "audit/reader.h"

namespace lantern::audit {
namespace {

// Bytes of the lock's file: a writer takes its turn, then the log, then gives the turn to the next.
constexpr off_t kTurn = 0;
constexpr off_t kLog = 1;
constexpr auto kPoll = std::chrono::microseconds(200);

bool set(int fd, short type, off_t byte) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = 1;
  return ::fcntl(fd, F_OFD_SETLK, &range) == 0;
}

/// Asks again until `deadline`: a lock that is waited for in the kernel has no time limit.
bool set_before(int fd, short type, off_t byte, std::chrono::steady_clock::time_point deadline) {
  while (!set(fd, type, byte)) {
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) return false;
    if (std::chrono::steady_clock::now() >= deadline) {
      errno = ETIMEDOUT;
      return false;
    }
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

}  // namespace

Result<LogLock> LogLock::exclusive(const std::filesystem::path& folder, int timeout_ms) {
  const auto path = folder / kLockFile;
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600));
  if (fd.get() < 0) return base::errno_error(errno, path.string());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  if (!set_before(fd.get(), F_WRLCK, kTurn, deadline) ||
      !set_before(fd.get(), F_WRLCK, kLog, deadline)) {
    if (errno == ETIMEDOUT)
      return make_error(ErrorCode::kIo,
                        "{}: another process has held the audit log for {} ms; end it or wait",
                        folder.string(), timeout_ms);
    return base::errno_error(errno, path.string());
  }
  (void)set(fd.get(), F_UNLCK, kTurn);
  return LogLock(std::move(fd));
}

std::optional<LogLock> LogLock::shared(const std::filesystem::path& folder) {
  base::UniqueFd fd(::open((folder / kLockFile).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  if (fd.get() < 0 || !set_before(fd.get(), F_RDLCK, kLog, deadline)) return std::nullopt;
  return LogLock(std::move(fd));
}

}  // namespace lantern::audit
