// Starts this program anew as a confined child (child_protocol.h) and waits for what it writes.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "supply/sandbox/child_protocol.h"
#include "supply/sandbox/scan_child.h"

namespace lantern::supply::sandbox {

struct ChildRun {
  std::filesystem::path program;
  std::chrono::milliseconds time_max{};  // the child's own; the parent waits 10 s longer
  size_t output_bytes_max = 0;
};

struct ChildOutput {
  std::string text;   // hostile bytes
  std::string fault;  // how it ended where it did not end well: a line for a person
};

/// Errors: kIo where no child could be started, kInvalidArgument for more than kFilesMax files.
Result<ChildOutput> run_child(const Manifest& manifest, const std::vector<OpenFile>& files,
                              const ChildRun& run);

}  // namespace lantern::supply::sandbox
