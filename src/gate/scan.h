// Scanning a model, as commands and admission see it. (cli/ and server/ include gate/ alone; the
// report's types come along.)
#pragma once

#include <filesystem>

#include "base/result.h"
#include "supply/scan/report.h"
#include "supply/scan/scan.h"

namespace lantern::gate {

/// Scans a file or a folder. Errors: kNotFound, kIo; what is inside is the report's.
inline Result<supply::scan::Report> scan_model(const std::filesystem::path& path,
                                               const supply::scan::Limits& limits = {}) {
  return supply::scan::scan_path(path, limits);
}

}  // namespace lantern::gate
