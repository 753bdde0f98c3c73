#include "supply/signing/model_files.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/file.h"
#include "base/printable.h"

#include "supply/local_model.h"
#include "supply/parallel.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;

constexpr size_t kEntriesMax = 200'000;
constexpr size_t kDepthMax = 64;
constexpr std::array<std::string_view, 4> kIgnoredAtTop = {".git", ".gitattributes", ".github",
                                                           ".gitignore"};
// Large enough that reading costs few system calls, small enough for the second-level cache.
constexpr size_t kChunkBytes = 1u << 20;

// Whether `name` is `folder` or something in it.
bool is_at_or_under(std::string_view name, std::string_view folder) {
  return name.starts_with(folder) && (name.size() == folder.size() || name[folder.size()] == '/');
}

// Sets of paths, asked for any name in a model: a bundle may bring thousands.
using PathSet = std::set<std::string, std::less<>>;

bool has_path_or_folder_above(const PathSet& paths, std::string_view name) {
  for (size_t slash = name.find('/'); slash != name.npos; slash = name.find('/', slash + 1))
    if (paths.contains(name.substr(0, slash))) return true;
  return paths.contains(name);
}

bool has_path_at_or_under(const PathSet& paths, std::string_view name) {
  if (paths.contains(name)) return true;
  const auto next = paths.lower_bound(std::string(name) + "/");
  return next != paths.end() && is_at_or_under(*next, name);
}

// An ignored path without "./" before it and "/" after it, as people write folders.
std::string_view plain_path(std::string_view path) {
  while (path.starts_with("./")) path.remove_prefix(2);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

PathSet left_out_paths(std::span<const std::string> ignore) {
  PathSet paths(kIgnoredAtTop.begin(), kIgnoredAtTop.end());
  for (const std::string& path : ignore)
    if (const auto trim = plain_path(path); !trim.empty()) paths.emplace(trim);
  return paths;
}

struct Folder {
  fs::path path;
  std::string prefix;  // "" or ending in '/'
  size_t depth = 0;
};

class Lister {
 public:
  Lister(const fs::path& root, const ListOptions& options)
      : left_out_(left_out_paths(options.ignore)),
        keep_(options.keep.begin(), options.keep.end()),
        follow_symlinks_(options.follow_symlinks) {
    pending_.push_back({.path = root, .prefix = ""});
  }

  Result<ModelFiles> list() {
    while (!pending_.empty()) {
      const Folder folder = std::move(pending_.back());
      pending_.pop_back();
      LANTERN_TRY(list_folder(folder));
    }
    const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
    std::sort(found_.files.begin(), found_.files.end(), by_name);
    std::sort(found_.irregular.begin(), found_.irregular.end(), by_name);
    return std::move(found_);
  }

 private:
  Status list_folder(const Folder& folder) {
    std::error_code error;
    fs::directory_iterator entry(folder.path, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      if (++n_entries_ > kEntriesMax)
        return make_error(ErrorCode::kTooLarge, "{}: more than {} files", folder.path.string(),
                          kEntriesMax);
      LANTERN_TRY(add(folder, entry->path()));
    }
    if (error) return base::errno_error(error.value(), folder.path.string());
    return {};
  }

  Status add(const Folder& folder, const fs::path& path) {
    std::string name = folder.prefix + path.filename().string();
    if (is_ignored(name)) return {};
    if (!base::is_utf8(name)) return set_aside(std::move(name), "has a name that is no UTF-8");
    std::error_code error;
    fs::file_status status = fs::symlink_status(path, error);
    if (!error && fs::is_symlink(status)) {
      if (!follow_symlinks_) return set_aside(std::move(name), "is a symbolic link");
      status = fs::status(path, error);
      if (error) return set_aside(std::move(name), "is a symbolic link that leads nowhere");
      if (fs::is_directory(status) && leads_upwards(folder.path, path))
        return set_aside(std::move(name), "is a symbolic link to a folder above it");
    }
    if (error) return base::errno_error(error.value(), path.string());
    if (fs::is_directory(status)) {
      if (folder.depth + 1 > kDepthMax)
        return make_error(ErrorCode::kTooLarge, "{}: more than {} folders deep", path.string(),
                          kDepthMax);
      pending_.push_back({.path = path, .prefix = name + "/", .depth = folder.depth + 1});
      return {};
    }
    if (!fs::is_regular_file(status)) return set_aside(std::move(name), "is no regular file");
    const uint64_t size = fs::file_size(path, error);
    if (error) return base::errno_error(error.value(), path.string());
    found_.files.push_back({.name = std::move(name), .path = path, .size = size});
    return {};
  }

  Status set_aside(std::string name, std::string why) {
    found_.irregular.push_back({.name = std::move(name), .why = std::move(why)});
    return {};
  }

  [[nodiscard]] bool is_ignored(std::string_view name) const {
    // A folder stays where something in it is to be kept.
    return has_path_or_folder_above(left_out_, name) && !has_path_at_or_under(keep_, name);
  }

  static bool leads_upwards(const fs::path& folder, const fs::path& link) {
    std::error_code error;
    const fs::path target = fs::canonical(link, error);
    if (error) return true;
    const fs::path here = fs::canonical(folder, error);
    return error || is_at_or_under(here.string(), target.string());
  }

  PathSet left_out_, keep_;
  bool follow_symlinks_;
  ModelFiles found_;
  std::vector<Folder> pending_;
  size_t n_entries_ = 0;
};

Result<ModelFiles> list_one_file(const fs::path& path, const ListOptions& options) {
  ModelFiles found{.name = path.filename().string(), .is_single_file = true};
  std::error_code error;
  if (!options.follow_symlinks && fs::is_symlink(path, error)) {
    found.irregular.push_back({.name = found.name, .why = "is a symbolic link"});
    return found;
  }
  const uint64_t size = fs::file_size(path, error);
  if (error) return base::errno_error(error.value(), path.string());
  found.files.push_back({.name = found.name, .path = path, .size = size});
  if (const auto local = find_local_model(path); local.ok() && local->files.size() > 1) {
    // One part of a split GGUF stands for all: signing it alone would sign no model.
    found.is_single_file = false;
    found.files.clear();
    for (const LocalFile& part : local->files)
      found.files.push_back({.name = part.name, .path = part.path, .size = part.size});
  }
  for (const ModelFile& file : found.files)
    if (!base::is_utf8(file.name))
      found.irregular.push_back({.name = file.name, .why = "has a name that is no UTF-8"});
  return found;
}

// The path as it is, links followed where it exists, without a '/' at its end.
fs::path settled(const fs::path& path) {
  std::error_code error;
  fs::path absolute = fs::absolute(path, error);
  if (error) absolute = path;
  absolute = absolute.lexically_normal();
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  const fs::path real = fs::weakly_canonical(absolute.parent_path(), error);
  return error ? absolute : real / absolute.filename();
}

class Hasher {
 public:
  Hasher(std::span<const FileRange> ranges, const RangeHashOptions& options)
      : ranges_(ranges),
        options_(options),
        digests_(ranges.size()),
        progress_({.label = options.label, .total = total(ranges)}, options.progress) {}

  Result<std::vector<base::Digest>> run() {
    std::vector<uint64_t> sizes;
    for (const FileRange& range : ranges_) sizes.push_back(range.end - range.begin);
    LANTERN_TRY(for_each_file(sizes, options_.stop, [&](size_t i, const std::stop_token& stop) {
      return hash(ranges_[i], stop, digests_[i]);
    }));
    progress_.finish();
    return std::move(digests_);
  }

 private:
  static uint64_t total(std::span<const FileRange> ranges) {
    uint64_t bytes = 0;
    for (const FileRange& range : ranges) bytes += range.end - range.begin;
    return bytes;
  }

  Status hash(const FileRange& range, const std::stop_token& stop, base::Digest& out) {
    LANTERN_ASSIGN(const auto file, base::ReadFile::open(range.path));
    if (range.to_end_of_file && file.size() != range.end)
      return make_error(ErrorCode::kCorrupt, "{}: it changed while it was being read",
                        range.path.string());
    std::vector<std::byte> chunk(static_cast<size_t>(
        std::min<uint64_t>(kChunkBytes, std::max<uint64_t>(range.end - range.begin, 1))));
    base::Sha256 hash;
    for (uint64_t at = range.begin; at < range.end;) {
      if (stop.stop_requested())
        return make_error(ErrorCode::kCancelled, "{}: interrupted", range.path.string());
      const auto piece = std::span(chunk).first(
          static_cast<size_t>(std::min<uint64_t>(chunk.size(), range.end - at)));
      LANTERN_TRY(file.read_at(at, piece));
      hash.update(piece);
      progress_.advance(piece.size());
      at += piece.size();
    }
    out = hash.finish();
    return {};
  }

  std::span<const FileRange> ranges_;
  const RangeHashOptions& options_;
  std::vector<base::Digest> digests_;
  base::Progress progress_;
};

}  // namespace

std::span<const std::string_view> default_ignored_paths() { return kIgnoredAtTop; }

bool is_left_out(std::string_view name, std::span<const std::string> ignore) {
  return has_path_or_folder_above(left_out_paths(ignore), name);
}

Result<ModelFiles> list_model_files(const fs::path& path, const ListOptions& options) {
  const fs::path root = settled(path);
  std::error_code error;
  const fs::file_status status = fs::status(root, error);
  if (!fs::exists(status)) return make_error(ErrorCode::kNotFound, "{}: not here", path.string());
  if (error) return base::errno_error(error.value(), path.string());
  if (fs::is_regular_file(status)) return list_one_file(root, options);
  if (!fs::is_directory(status))
    return make_error(ErrorCode::kInvalidArgument, "{}: neither a file nor a folder",
                      path.string());
  LANTERN_ASSIGN(ModelFiles found, Lister(root, options).list());
  found.name = root.filename().string();
  return found;
}

std::optional<std::string> path_inside(const fs::path& root, const fs::path& file) {
  std::error_code error;
  fs::path folder = fs::weakly_canonical(settled(root), error);
  if (error) folder = settled(root);
  const std::string inside = settled(file).lexically_relative(folder).generic_string();
  if (inside.empty() || inside == "." || inside == ".." || inside.starts_with("../")) return {};
  return inside;
}

Result<std::vector<base::Digest>> hash_ranges(std::span<const FileRange> ranges,
                                              const RangeHashOptions& options) {
  if (ranges.empty()) return std::vector<base::Digest>{};
  return Hasher(ranges, options).run();
}

}  // namespace lantern::supply
