#include "base/memory.h"

#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace lantern::base {
namespace {

// The kernel's files say they are empty, so they are read to their end. None of these is larger.
constexpr size_t kFileBytesMax = 1u << 20;

std::optional<std::string> read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::string text(kFileBytesMax, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

std::optional<uint64_t> number(std::string_view text) {
  const size_t begin = text.find_first_of("0123456789");
  if (begin == std::string_view::npos) return std::nullopt;
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data() + begin, text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

// The number after `key` at the beginning of a line.
std::optional<uint64_t> field(std::string_view text, std::string_view key) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    if (line.starts_with(key)) return number(line.substr(key.size()));
    at = end + 1;
  }
  return std::nullopt;
}

struct CgroupNames {
  const char* limit;
  const char* usage;
  const char* inactive_file;  // in memory.stat
  const char* active_file;
};
constexpr CgroupNames kV2 = {"memory.max", "memory.current", "inactive_file ", "active_file "};
constexpr CgroupNames kV1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                             "total_inactive_file ", "total_active_file "};

uint64_t left_in(const std::filesystem::path& folder, const CgroupNames& names) {
  auto limit_text = read(folder / names.limit);
  auto usage_text = read(folder / names.usage);
  if (!limit_text || !usage_text) return UINT64_MAX;
  auto limit = number(*limit_text);  // none for "max"
  auto usage = number(*usage_text);
  if (!limit || !usage) return UINT64_MAX;
  uint64_t used = *usage;
  if (auto stat = read(folder / "memory.stat")) {
    const uint64_t cache =
        field(*stat, names.inactive_file).value_or(0) + field(*stat, names.active_file).value_or(0);
    used -= std::min(used, cache);
  }
  return *limit > used ? *limit - used : 0;
}

// The least over a cgroup and all above it. A container sees its own group as the root, while
// /proc/self/cgroup may name the path outside; folders that are not there count as no limit.
uint64_t left_along(const std::filesystem::path& root, std::string_view relative,
                    const CgroupNames& names) {
  std::filesystem::path folder = root;
  uint64_t left = left_in(folder, names);
  for (const auto& part : std::filesystem::path(relative).relative_path()) {
    if (part == "..") break;
    folder /= part;
    left = std::min(left, left_in(folder, names));
  }
  return left;
}

uint64_t left_in_cgroups(const MemoryFiles& files) {
  auto text = read(files.proc / "self/cgroup");
  if (!text) return UINT64_MAX;
  uint64_t left = UINT64_MAX;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\n', at), text->size());
    const std::string_view line = std::string_view(*text).substr(at, end - at);
    at = end + 1;
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (controllers.empty()) {
      left = std::min(left, left_along(files.cgroup, path, kV2));
    } else if (controllers == "memory") {
      left = std::min(left, left_along(files.cgroup / "memory", path, kV1));
    }
  }
  return left;
}

}  // namespace

uint64_t available_memory(const MemoryFiles& files) {
  uint64_t left = UINT64_MAX;
  if (auto text = read(files.proc / "meminfo"))
    if (auto kb = field(*text, "MemAvailable:")) left = *kb * 1024;
  left = std::min(left, left_in_cgroups(files));

  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    uint64_t used = 0;
    if (auto text = read(files.proc / "self/status"))
      used = field(*text, "VmSize:").value_or(0) * 1024;
    left = std::min(left, limit.rlim_cur > used ? limit.rlim_cur - used : 0);
  }
  return left;
}

uint64_t peak_resident_memory(const MemoryFiles& files) {
  auto text = read(files.proc / "self/status");
  return text ? field(*text, "VmHWM:").value_or(0) * 1024 : 0;
}

void release_free_memory() { ::malloc_trim(0); }

}  // namespace lantern::base
