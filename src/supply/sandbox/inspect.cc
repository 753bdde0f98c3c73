#include "supply/sandbox/inspect.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/file.h"
#include "format/folder.h"
#include "format/gguf.h"
#include "format/hf_folder.h"
#include "supply/sandbox/child_process.h"
#include "supply/sandbox/child_protocol.h"
#include "supply/sandbox/scan_child.h"

namespace lantern::supply::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLicenceBytesMax = 1u << 20;

struct Asked {
  fs::path folder;
  std::string entry;               // empty: the folder itself
  std::vector<std::string> names;  // of the files that reading it may open
};

Result<Asked> find_files(const fs::path& path) {
  Asked asked;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    asked.folder = path;
    LANTERN_ASSIGN(asked.names, format::HfFolder::readable_names(format::DiskFolder(path)));
    return asked;
  }
  asked.folder = path.parent_path();
  asked.entry = path.filename().string();
  asked.names = {asked.entry};
  const format::DiskFolder folder(asked.folder);
  for (const std::string& part : format::gguf_part_names(asked.entry))
    if (part != asked.entry && folder.has(part)) asked.names.push_back(part);
  const std::string licence = format::HfFolder::licence_name(folder);
  if (!licence.empty() && licence != asked.entry) asked.names.push_back(licence);
  return asked;
}

/// The files, opened, and what the child is told of them.
struct Given {
  Manifest manifest = {};
  InspectedFiles known = {};
  std::vector<base::ReadFile> opened = {};
  std::vector<OpenFile> files = {};
};

Result<Given> open_files(const fs::path& path, const InspectOptions& options) {
  LANTERN_ASSIGN(const Asked asked, find_files(path));
  if (asked.names.size() > base::kChildFilesMax)
    return make_error(ErrorCode::kTooLarge, "{}: {} files, at most {} are one model", path.string(),
                      asked.names.size(), base::kChildFilesMax);
  Given given{.manifest = {.task = Task::kInspect,
                           .limits = {.time_max = options.time_max},
                           .memory_bytes_max = 6ull << 30,
                           .misbehave = options.misbehave,
                           .folder = asked.folder.string(),
                           .entry = asked.entry},
              .known = {.folder = asked.folder, .size_of = {}}};
  for (const std::string& name : asked.names) {
    LANTERN_ASSIGN(base::ReadFile file, base::ReadFile::open(asked.folder / name));
    given.opened.push_back(std::move(file));
    given.files.push_back({.fd = given.opened.back().fd(), .path = name});
    given.manifest.paths.push_back(name);
    given.known.size_of.emplace(name, given.opened.back().size());
  }
  return given;
}

Result<std::string> answer_of_child(const fs::path& path, const Given& given,
                                    const InspectOptions& options) {
  LANTERN_ASSIGN(base::ChildOutput output, run_child(given.manifest, given.files,
                                                     {.program = options.program,
                                                      .time_max = options.time_max,
                                                      .output_bytes_max = kInspectionBytesMax}));
  if (!output.fault.empty())
    return make_error(ErrorCode::kInternal, "{}: inconclusive: {}", path.string(), output.fault);
  return std::move(output.text);
}

Result<InspectedModel> model_in(std::string_view answer, const fs::path& path, const Given& given) {
  auto model = inspection_from_bytes(answer, given.known);
  if (!model.ok() && model.error().code == ErrorCode::kInternal)
    return std::move(model).error().within(path.string() + ": inconclusive");
  return model;
}

}  // namespace

Result<InspectedModel> inspect_here(const format::Folder& folder, const std::string& name) {
  InspectedModel model;
  LANTERN_ASSIGN(model.description, format::describe(folder, name));
  model.licence_file = format::HfFolder::licence_name(folder);
  if (model.licence_file.empty()) return model;
  auto text = folder.read_text(model.licence_file, kLicenceBytesMax);
  if (text.ok()) model.licence_text = std::move(*text);
  return model;
}

Result<InspectedModel> inspect_in_child(const fs::path& path, const InspectOptions& options) {
  LANTERN_ASSIGN(const Given given, open_files(path, options));
  LANTERN_ASSIGN(const std::string answer, answer_of_child(path, given, options));
  return model_in(answer, path, given);
}

Result<std::vector<base::FileStamp>> check_in_child(const fs::path& path,
                                                    const InspectOptions& options) {
  LANTERN_ASSIGN(Given given, open_files(path, options));
  given.manifest.task = Task::kCheck;
  std::vector<base::FileStamp> stamps;
  for (const base::ReadFile& file : given.opened) {
    LANTERN_ASSIGN(const base::FileStamp stamp, base::stamp_of(file.fd(), file.path()));
    stamps.push_back(stamp);
  }
  LANTERN_ASSIGN(const std::string answer, answer_of_child(path, given, options));
  if (answer == kCheckedAnswer) return stamps;
  auto fault = model_in(answer, path, given);
  if (!fault.ok()) return std::move(fault).error();
  return make_error(ErrorCode::kInternal, "{}: inconclusive: the confined reader did not answer",
                    path.string());
}

Result<std::vector<base::FileStamp>> check_model(const fs::path& path) {
  if (!can_start_scan_child()) return std::vector<base::FileStamp>();
  return check_in_child(path);
}

Result<InspectedModel> inspect_model(const fs::path& path) {
  if (can_start_scan_child()) return inspect_in_child(path);
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return inspect_here(format::DiskFolder(path), "");
  return inspect_here(format::DiskFolder(path.parent_path()), path.filename().string());
}

}  // namespace lantern::supply::sandbox
