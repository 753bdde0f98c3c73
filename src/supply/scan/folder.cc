#include "supply/scan/folder.h"

#include <algorithm>
#include <system_error>
#include <utility>

namespace lantern::supply::scan {
namespace {

namespace fs = std::filesystem;

bool is_inside(const fs::path& path, const fs::path& folder) {
  const auto relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

/// HUB/snapshots/REVISION/file -> ../../blobs/DIGEST.
bool is_cached_blob(const fs::path& target, const fs::path& root) {
  return root.parent_path().filename() == "snapshots" &&
         is_inside(target, root.parent_path().parent_path() / "blobs");
}

Finding folder_finding(std::string rule, Verdict verdict, std::string file, std::string message) {
  return {.scanner = "folder",
          .rule = std::move(rule),
          .verdict = verdict,
          .where = {.file = std::move(file), .nested = {}, .offset = {}},
          .message = std::move(message)};
}

void add_entry(FolderListing& listing, const fs::directory_entry& entry, const fs::path& root) {
  std::error_code error;
  std::string name = entry.path().lexically_relative(root).string();
  if (entry.is_symlink(error)) {
    const fs::path target = fs::canonical(entry.path(), error);
    if (error || (!is_inside(target, root) && !is_cached_blob(target, root))) {
      listing.findings.push_back(
          folder_finding("folder-link-outside", Verdict::kInconclusive, shown_path(name),
                         "a link that leads out of the folder or nowhere: not followed"));
      return;
    }
    if (fs::is_directory(target, error)) return;  // walked under its own name
  }
  if (entry.is_directory(error)) return;
  if (!entry.is_regular_file(error)) {
    listing.findings.push_back(folder_finding("folder-special-file", Verdict::kInconclusive,
                                              shown_path(name),
                                              "a device, socket or pipe: not opened"));
    return;
  }
  listing.files.push_back({entry.path(), std::move(name)});
}

}  // namespace

Result<FolderListing> list_files(const fs::path& path, const Limits& limits) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    return make_error(ErrorCode::kNotFound, "{}: no such file or folder", path.string());
  FolderListing listing;
  if (!fs::is_directory(status)) {
    listing.files.push_back({path, path.filename().string()});
    return listing;
  }
  const fs::path root = fs::canonical(path, error);
  if (error) return make_error(ErrorCode::kIo, "{}: {}", path.string(), error.message());
  fs::recursive_directory_iterator at(root, error), end;
  uint64_t n_entries = 0;
  for (; !error && at != end; at.increment(error)) {
    if (++n_entries > limits.files) {
      listing.findings.push_back(folder_finding(
          "folder-too-many-files", Verdict::kInconclusive, root.filename().string(),
          fmt::format("more than {} entries: the rest was not looked at", limits.files)));
      break;
    }
    add_entry(listing, *at, root);
  }
  if (error) return make_error(ErrorCode::kIo, "{}: {}", path.string(), error.message());
  std::sort(listing.files.begin(), listing.files.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return listing;
}

}  // namespace lantern::supply::scan
