#include "gate/scan.h"

#include <memory>
#include <vector>

#include "base/file.h"
#include "format/source.h"

namespace lantern::gate {
namespace {

using supply::scan::Report;

/// Each is an open descriptor of the child.
constexpr size_t kFilesMax = 400;

Result<Report> scan_confined(const Composition& model) {
  std::vector<base::ReadFile> opened;
  std::vector<supply::sandbox::OpenFile> files;
  for (const ComposedFile& file : model.paths) {
    LANTERN_ASSIGN(base::ReadFile one, base::ReadFile::open(file.path));
    opened.push_back(std::move(one));
    files.push_back({.fd = opened.back().fd(), .path = file.name});
  }
  return supply::sandbox::scan_in_child(files, {.limits = {}});
}

/// In this process: a test's program cannot be executed anew as a scanner.
Result<Report> scan_here(const Composition& model) {
  std::vector<std::unique_ptr<format::Source>> opened;
  std::vector<supply::scan::NamedSource> sources;
  for (const ComposedFile& file : model.paths) {
    LANTERN_ASSIGN(std::unique_ptr<format::Source> source, format::FileSource::open(file.path));
    sources.push_back({.path = file.name, .source = source.get()});
    opened.push_back(std::move(source));
  }
  return supply::scan::scan_sources(sources);
}

}  // namespace

Result<Report> scan_composition(const Composition& model) {
  if (model.paths.empty())
    return make_error(ErrorCode::kInvalidArgument, "{}: its files are not at hand to be scanned",
                      model.name);
  if (model.paths.size() > kFilesMax)
    return make_error(ErrorCode::kTooLarge, "{}: {} files, at most {} are one model", model.name,
                      model.paths.size(), kFilesMax);
  return supply::sandbox::can_start_scan_child() ? scan_confined(model) : scan_here(model);
}

}  // namespace lantern::gate
