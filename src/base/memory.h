// How much memory this process may still take, and how much it took.
#pragma once

#include <cstdint>
#include <filesystem>

namespace lantern::base {

/// Where the kernel says so; tests give their own.
struct MemoryFiles {
  std::filesystem::path proc = "/proc";
  std::filesystem::path cgroup = "/sys/fs/cgroup";
};

/// The least of: MemAvailable; what every cgroup above this process (v2 and v1) leaves of its
/// limit, file cache it can drop counted as free; what RLIMIT_AS leaves. UINT64_MAX where nothing
/// is known.
uint64_t available_memory(const MemoryFiles& files = {});

/// The most resident memory this process ever had (VmHWM); 0 where it is not known.
uint64_t peak_resident_memory(const MemoryFiles& files = {});

/// Gives the system back what was freed and is kept for allocations to come: after something large.
void release_free_memory();

}  // namespace lantern::base
