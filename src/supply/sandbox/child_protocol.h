// What parent and child of a scan agree on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "supply/scan/scan.h"

namespace lantern::supply::sandbox {

inline constexpr std::string_view kChildArgument = "--scan-child";
inline constexpr int kFirstFd = 10;
inline constexpr size_t kFilesMax = 200;  // of one child, each a descriptor
inline constexpr size_t kManifestBytesMax = 4u << 20;
inline constexpr size_t kReportBytesMax = 64u << 20;

struct Manifest {
  scan::Limits limits;
  uint64_t memory_bytes_max = 0;
  std::string misbehave;
  std::vector<std::string> paths;
};

std::string manifest_to_json(const Manifest& manifest);
Result<Manifest> parse_manifest(std::string_view json);

}  // namespace lantern::supply::sandbox
