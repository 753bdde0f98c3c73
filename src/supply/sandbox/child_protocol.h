// What a confined child and its parent agree on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "supply/scan/scan.h"

namespace lantern::supply::sandbox {

inline constexpr std::string_view kChildArgument = "--scan-child";
inline constexpr size_t kManifestBytesMax = 4u << 20;
inline constexpr size_t kReportBytesMax = 64u << 20;
/// Metadata within format::GgufLimits, and the tensors' names.
inline constexpr size_t kInspectionBytesMax = 512u << 20;

/// kCheck: as kInspect, answered by kCheckedAnswer where nothing is wrong.
enum class Task { kScan, kInspect, kCheck };
inline constexpr std::string_view kCheckedAnswer = "checked";

struct Manifest {
  Task task = Task::kScan;
  scan::Limits limits = {};
  uint64_t memory_bytes_max = 0;
  std::string misbehave = {};
  std::string folder = {};              // of an inspection: what messages call the files' folder
  std::string entry = {};               // of an inspection: a file's name in it; empty: itself
  std::vector<std::string> paths = {};  // of an inspection: names in the folder
};

std::string manifest_to_json(const Manifest& manifest);
Result<Manifest> parse_manifest(std::string_view json);

}  // namespace lantern::supply::sandbox
