// The texts of /proc (proc(5)), parsed. A process may write some of what stands in them (its name,
// the names of its files), so they are hostile: a line that is none is skipped, never trusted.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sensor/host.h"

namespace lantern::sensor {

/// /proc/PID/stat. The name stands in parentheses and may hold any byte, ')' among them.
struct StatLine {
  std::string name = {};
  int parent = 0;
  uint64_t cpu_ticks = 0;  // in user and kernel mode
  uint64_t start_ticks = 0;
  uint64_t mapped_bytes = 0;  // addresses in use
  uint64_t resident_pages = 0;
  /// Where its code, stack and arguments begin, mixed: other numbers are another program. 0s where
  /// this account may not see them.
  uint64_t image = 0;
  bool kernel_thread = false;  // PF_KTHREAD
};
std::optional<StatLine> parse_stat(std::string_view text);

/// The number of a line "Name:   123 kB" in bytes, or "Name:  123" as it is; 0 where it is missing.
uint64_t status_number(std::string_view text, std::string_view name);

/// Sums up /proc/PID/maps by file, ordered by bytes, largest first; anonymous memory, devices and
/// the kernel's own ranges are left out. In any pieces: the text of a process with many mappings is
/// megabytes long, its files are few.
class MapsSummary {
 public:
  void feed(std::string_view bytes);
  std::vector<MappedFile> finish();

 private:
  void line(std::string_view text);
  std::string carry_;  // a line that goes on in the next piece
  std::map<FileId, MappedFile> by_id_;
};
std::vector<MappedFile> parse_maps(std::string_view text);

/// The listening sockets of /proc/net/tcp and tcp6.
std::vector<Listener> parse_tcp(std::string_view text);

/// /proc/PID/fdinfo/N of a DRM device's handle (the kernel's drm-usage-stats); nothing of others.
std::optional<DrmUse> parse_drm_fdinfo(std::string_view text);

/// The last path of /proc/PID/cgroup: "/system.slice/docker-<id>.scope".
std::string parse_cgroup(std::string_view text);

}  // namespace lantern::sensor
