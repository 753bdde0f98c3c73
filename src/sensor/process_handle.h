// One process to be ended: found, and held so that its number cannot become another's.
#pragma once

#include <cstdint>

#include "base/file.h"
#include "base/result.h"
#include "sensor/host.h"

namespace lantern::sensor {

class ProcessHandle {
 public:
  /// The process with this number that began at `start_ticks`. kNotFound where it ended, or the
  /// number is another's by now; kDenied for the machine's first process, this one, and those that
  /// it was started by; kUnsupported for kernels without process descriptors.
  static Result<ProcessHandle> open(Host& host, int pid, uint64_t start_ticks);

  /// kDenied without the right to (CAP_KILL, or the same account); kNotFound: it ended.
  [[nodiscard]] Status send(int signal) const;
  [[nodiscard]] bool ended() const;

 private:
  explicit ProcessHandle(int pid, base::UniqueFd fd) : pid_(pid), fd_(std::move(fd)) {}
  int pid_;
  base::UniqueFd fd_;
};

}  // namespace lantern::sensor
