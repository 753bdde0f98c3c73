// Scans and inspections in a process of its own: executed anew (/proc/self/exe with a private
// argument), given open descriptors alone, confined before it reads their first byte.
//
//   standard input    a JSON line: what to do, limits, the files' names
//   descriptor 10+i   file i, read-only
//   standard output   the report (report_to_json) or the inspection (inspection.h), which the
//                     parent reads as hostile bytes
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "supply/scan/report.h"
#include "supply/scan/scan.h"

namespace lantern::supply::sandbox {

/// main()'s first act. Where this process was started as a confined child, serves and gives the
/// exit status. Else nothing, and from then on this process may start such children of its own
/// program.
std::optional<int> serve_scan_child(int argc, const char* const* argv);

/// Whether serve_scan_child() was called: a program without it must not be executed anew.
bool can_start_scan_child();

struct OpenFile {
  int fd = -1;       // the caller's
  std::string path;  // as the report is to call it
};

struct ChildOptions {
  scan::Limits limits;
  uint64_t memory_bytes_max = 6ull << 30;
  std::filesystem::path program = "/proc/self/exe";
  /// Makes the confined child try what it may not, for tests: "open", "socket", "exec", "write",
  /// "sleep", "lie", "allocate", "crash".
  std::string misbehave = {};
};

/// The report on all files. A child that dies, runs out of time or memory, or writes what is no
/// report of these files gives an inconclusive report that says which. Errors: kIo where no child
/// could be started.
Result<scan::Report> scan_in_child(const std::vector<OpenFile>& files, const ChildOptions& options);

/// scan_path() in children, at most 200 files each. Where this program cannot start any (a test's),
/// in this process.
Result<scan::Report> scan_path_confined(const std::filesystem::path& path,
                                        const scan::Limits& limits = {});

}  // namespace lantern::supply::sandbox
