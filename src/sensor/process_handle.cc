#include "sensor/process_handle.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace lantern::sensor {
namespace {

/// This process and all that it was started by: whoever stops those stops the sensor.
bool is_own_line(Host& host, int pid) {
  int one = ::getpid();
  for (int depth = 0; one > 0 && depth < 256; ++depth) {
    if (one == pid) return true;
    const auto process = host.process(one);
    if (!process.ok()) return false;
    one = process->parent;
  }
  return false;
}

}  // namespace

Result<ProcessHandle> ProcessHandle::open(Host& host, int pid, uint64_t start_ticks) {
  if (pid <= 1 || is_own_line(host, pid))
    return make_error(ErrorCode::kDenied, "process {} is never stopped: this one lives by it", pid);
  base::UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (fd.get() < 0 && errno == ENOSYS)
    return make_error(ErrorCode::kUnsupported,
                      "this kernel has no process descriptors, without which none is stopped");
  if (fd.get() < 0) return make_error(ErrorCode::kNotFound, "process {} ended", pid);
  // The descriptor is of whoever has the number now; that this is still the one that was looked at
  // says its start, read after.
  const auto pulse = host.pulse(pid);
  if (!pulse.ok() || pulse->start_ticks != start_ticks)
    return make_error(ErrorCode::kNotFound, "process {} is another by now", pid);
  return ProcessHandle(pid, std::move(fd));
}

Status ProcessHandle::send(int signal) const {
  if (::syscall(SYS_pidfd_send_signal, fd_.get(), signal, nullptr, 0) == 0) return {};
  if (errno == EPERM)
    return make_error(ErrorCode::kDenied,
                      "process {} may not be stopped by this account (root, or CAP_KILL, may)",
                      pid_);
  if (errno == ESRCH) return make_error(ErrorCode::kNotFound, "process {} ended", pid_);
  return base::errno_error(errno, fmt::format("process {}", pid_));
}

bool ProcessHandle::ended() const {
  pollfd ended{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&ended, 1, 0) == 1;
}

}  // namespace lantern::sensor
