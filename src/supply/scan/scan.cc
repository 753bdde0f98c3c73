#include "supply/scan/scan.h"

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>

#include "supply/scan/folder.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

namespace fs = std::filesystem;

void scan_one(Scan& scan, const NamedSource& named) {
  scan.begin_file(named.path);
  const size_t n_before = scan.report().findings.size();
  ScannedFile file{.path = shown_path(named.path), .size = named.source->size(), .formats = {}};
  file.formats = scan.judge(Input(*named.source, named.path));
  if (file.formats.empty()) file.formats.emplace_back(file.size == 0 ? "empty" : "unknown");
  const auto& findings = scan.report().findings;
  for (size_t i = std::min(n_before, findings.size()); i < findings.size(); ++i)
    file.verdict = std::max(file.verdict, findings[i].verdict);
  scan.report().files.push_back(std::move(file));
}

}  // namespace

Report scan_sources(const std::vector<NamedSource>& sources, const Limits& limits) {
  Scan scan(limits);
  for (const NamedSource& named : sources) scan_one(scan, named);
  return std::move(scan.report());
}

Result<Report> scan_path(const fs::path& path, const Limits& limits) {
  LANTERN_ASSIGN(FolderListing listing, list_files(path, limits));
  Scan scan(limits);
  for (const auto& entry : listing.files) {
    auto source = format::FileSource::open(entry.path);
    scan.begin_file(entry.name);
    if (!source.ok()) {
      scan.unreadable("folder", source.error());
      continue;
    }
    scan_one(scan, {.path = entry.name, .source = source->get()});
  }
  for (Finding& finding : listing.findings) scan.report().findings.push_back(std::move(finding));
  return std::move(scan.report());
}

}  // namespace lantern::supply::scan
