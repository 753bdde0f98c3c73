// Confines the calling process: after it, nothing can be opened, connected, started or written but
// to what is open already.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace lantern::base {

struct Confinement {
  uint64_t memory_bytes_max = 0;  // of address space; 0: no limit
  uint64_t cpu_s_max = 0;
  int output_fd = 1;  // the one descriptor that may be written
};

/// Limits, no capabilities, Landlock where the kernel has it, then seccomp: a system call that is
/// not on the short list of what computing needs ends the process (SIGSYS). kUnsupported where the
/// kernel has no seccomp: nothing must be scanned then.
Status confine(const Confinement& confinement);

}  // namespace lantern::base
