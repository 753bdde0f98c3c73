// The parent's side of a scan: believes nothing that the child says and that can be checked.
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "supply/sandbox/child_process.h"
#include "supply/sandbox/child_protocol.h"
#include "supply/sandbox/scan_child.h"
#include "supply/scan/folder.h"

namespace lantern::supply::sandbox {
namespace {

using scan::Report;
using scan::Verdict;

uint64_t size_of(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

Report inconclusive(const std::vector<OpenFile>& files, std::string message) {
  Report report;
  for (const OpenFile& file : files) {
    report.files.push_back({.path = scan::shown_path(file.path),
                            .size = size_of(file.fd),
                            .formats = {},
                            .verdict = Verdict::kInconclusive});
  }
  report.findings.push_back({.scanner = "sandbox",
                             .rule = "sandbox-no-report",
                             .verdict = Verdict::kInconclusive,
                             .where = {.file = files.empty() ? "" : scan::shown_path(files[0].path),
                                       .nested = {},
                                       .offset = {}},
                             .message = std::move(message)});
  return report;
}

/// The report speaks of the files that were given, of each once, with its size.
bool is_about(const Report& report, const std::vector<OpenFile>& files) {
  if (report.files.size() != files.size()) return false;
  for (size_t i = 0; i < files.size(); ++i)
    if (report.files[i].path != scan::shown_path(files[i].path) ||
        report.files[i].size != size_of(files[i].fd))
      return false;
  return std::all_of(report.findings.begin(), report.findings.end(), [&](const auto& finding) {
    return std::any_of(files.begin(), files.end(), [&](const OpenFile& file) {
      return finding.where.file == scan::shown_path(file.path);
    });
  });
}

void merge(Report& into, Report from) {
  std::move(from.files.begin(), from.files.end(), std::back_inserter(into.files));
  std::move(from.findings.begin(), from.findings.end(), std::back_inserter(into.findings));
  into.n_findings_dropped += from.n_findings_dropped;
  into.n_objects += from.n_objects;
}

}  // namespace

Result<Report> scan_in_child(const std::vector<OpenFile>& files, const ChildOptions& options) {
  Manifest manifest{.limits = options.limits,
                    .memory_bytes_max = options.memory_bytes_max,
                    .misbehave = options.misbehave};
  for (const OpenFile& file : files) manifest.paths.push_back(file.path);
  LANTERN_ASSIGN(const base::ChildOutput output, run_child(manifest, files,
                                                           {.program = options.program,
                                                            .time_max = options.limits.time_max,
                                                            .output_bytes_max = kReportBytesMax}));
  if (!output.fault.empty()) return inconclusive(files, output.fault);
  auto report = scan::report_from_json(output.text);
  if (!report.ok()) return inconclusive(files, report.error().message);
  if (!is_about(*report, files))
    return inconclusive(files, "the scanner's report speaks of other files than it was given");
  return report;
}

Result<Report> scan_path_confined(const std::filesystem::path& path, const scan::Limits& limits) {
  if (!can_start_scan_child()) return scan::scan_path(path, limits);
  LANTERN_ASSIGN(scan::FolderListing listing, scan::list_files(path, limits));
  Report report;
  for (size_t from = 0; from < listing.files.size(); from += base::kChildFilesMax) {
    std::vector<base::ReadFile> opened;
    std::vector<OpenFile> files;
    for (size_t i = from; i < std::min(from + base::kChildFilesMax, listing.files.size()); ++i) {
      auto file = base::ReadFile::open(listing.files[i].path);
      if (!file.ok()) {
        listing.findings.push_back(
            {.scanner = "folder",
             .rule = "folder-unreadable",
             .verdict = Verdict::kInconclusive,
             .where = {.file = scan::shown_path(listing.files[i].name), .nested = {}, .offset = {}},
             .message = file.error().message});
        continue;
      }
      opened.push_back(std::move(file).value());
      files.push_back({.fd = opened.back().fd(), .path = listing.files[i].name});
    }
    if (files.empty()) continue;
    LANTERN_ASSIGN(Report part, scan_in_child(files, {.limits = limits}));
    merge(report, std::move(part));
  }
  for (scan::Finding& finding : listing.findings) report.findings.push_back(std::move(finding));
  return report;
}

}  // namespace lantern::supply::sandbox
