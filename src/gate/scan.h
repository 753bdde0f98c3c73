// Scanning a model, as commands and admission see it. (cli/ and server/ include gate/ alone; the
// report's types come along.)
#pragma once

#include <filesystem>
#include <optional>

#include "base/result.h"
#include "gate/governance.h"
#include "supply/sandbox/scan_child.h"
#include "supply/scan/report.h"
#include "supply/scan/scan.h"

namespace lantern::gate {

/// main()'s first act: where this process is a scanning child, scans and gives its exit status.
inline std::optional<int> serve_scan_child(int argc, const char* const* argv) {
  return supply::sandbox::serve_scan_child(argc, argv);
}

/// Scans a file or a folder in confined processes of their own; in this one where the program did
/// not call serve_scan_child() (tests). Errors: kNotFound, kIo; what is inside is the report's.
inline Result<supply::scan::Report> scan_model(const std::filesystem::path& path,
                                               const supply::scan::Limits& limits = {}) {
  return supply::sandbox::scan_path_confined(path, limits);
}

/// Scans exactly the files of a composition. Errors: kNotFound, kIo, kInvalidArgument for one whose
/// files are not at hand.
Result<supply::scan::Report> scan_composition(const Composition& model);

}  // namespace lantern::gate
