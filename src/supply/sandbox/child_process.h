// Starts this program anew as a confined child (child_protocol.h) and waits for what it writes.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <vector>

#include "base/confined_child.h"
#include "base/result.h"
#include "supply/sandbox/child_protocol.h"
#include "supply/sandbox/scan_child.h"

namespace lantern::supply::sandbox {

struct ChildRun {
  std::filesystem::path program;
  std::chrono::milliseconds time_max{};  // as base::ChildRun's
  size_t output_bytes_max = 0;
};

/// Errors: base::run_confined_child()'s.
Result<base::ChildOutput> run_child(const Manifest& manifest, const std::vector<OpenFile>& files,
                                    const ChildRun& run);

}  // namespace lantern::supply::sandbox
