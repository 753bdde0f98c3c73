// Scans what a model is made of, without loading any of it: what a format's own reader would run
// or follow is named (pickle opcodes, chat templates, Keras layers, ...).
//
// Formats are told by content, never by a file's name. Everything is bounded (Limits); what passes
// a bound or cannot be read is inconclusive. A scanner is one file in scanners/.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/source.h"
#include "supply/scan/report.h"

namespace lantern::supply::scan {

struct Limits {
  uint64_t files = 10'000;                // of a folder
  int depth_max = 6;                      // archives in archives
  uint64_t entries = 100'000;             // of all archives together
  uint64_t entry_bytes = 256u << 20;      // of one nested object kept in memory
  uint64_t read_bytes = 1ull << 40;       // read from files, all together
  uint64_t extracted_bytes = 8ull << 30;  // all nested objects together
  uint64_t ratio_max = 1100;              // extracted to compressed; deflate itself reaches 1032
  uint64_t findings = 2'000;
  std::chrono::milliseconds time_max{300'000};
};

/// An already opened file. Reads nothing but `source`.
struct NamedSource {
  std::string path;  // as reports call it, relative
  const format::Source* source = nullptr;
};
/// All files of one model together (a configuration speaks of its siblings).
Report scan_sources(const std::vector<NamedSource>& sources, const Limits& limits = {});

/// A file or a folder, opened here. Links are not followed out of a folder and special files not
/// opened: both are findings. Errors: kNotFound, kIo; what is inside is never an error.
Result<Report> scan_path(const std::filesystem::path& path, const Limits& limits = {});

}  // namespace lantern::supply::scan
