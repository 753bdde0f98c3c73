#include "base/idle_pages.h"

#include <sys/mman.h>

#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace lantern::base {
namespace {

struct Range {
  uintptr_t begin = 0, end = 0;
};

/// Of a head line of smaps: "55d0-55d2 r-xp 00002000 08:01 11   /usr/bin/x", a file that may not be
/// written to through this mapping; empty for any other.
Range read_only_file(std::string_view line) {
  uintptr_t begin = 0, end = 0;
  const auto [dash, no_begin] = std::from_chars(line.data(), line.data() + line.size(), begin, 16);
  const auto after = line.substr(static_cast<size_t>(dash - line.data()));
  if (no_begin != std::errc() || !after.starts_with('-')) return {};
  const auto [rest, no_end] =
      std::from_chars(after.data() + 1, after.data() + after.size(), end, 16);
  const auto rights = after.substr(static_cast<size_t>(rest - after.data()));  // " r-xp 0000..."
  if (no_end != std::errc() || rights.size() < 6) return {};
  const bool is_private_read = rights[1] == 'r' && rights[2] == '-' && rights[4] == 'p';
  if (!is_private_read || line.find(" /") == std::string_view::npos) return {};
  return {.begin = begin, .end = end};
}

}  // namespace

Status unmap_idle_pages() {
  std::ifstream smaps("/proc/self/smaps");
  if (!smaps) return make_error(ErrorCode::kIo, "/proc/self/smaps cannot be read");
  Range range;
  for (std::string line; std::getline(smaps, line);) {
    // A head line begins with a hexadecimal digit in lower case, the others with a capital.
    if (line[0] < 'A' || line[0] > 'Z') {
      range = read_only_file(line);
      continue;
    }
    // Pages that were changed and then protected (relocations) are anonymous, in memory or swapped
    // out, where they would be lost.
    const bool is_anonymous = line.starts_with("Anonymous:"), is_swap = line.starts_with("Swap:");
    if ((is_anonymous || is_swap) && line.find(" 0 kB") == std::string::npos) range = {};
    if (is_swap && range.end > range.begin)            // the last of the lines that matter
      ::madvise(reinterpret_cast<void*>(range.begin),  // NOLINT(performance-no-int-to-ptr)
                range.end - range.begin, MADV_DONTNEED);
  }
  return {};
}

}  // namespace lantern::base
