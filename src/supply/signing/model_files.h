// The files of a model as signatures see them: every regular file under a folder, by its path
// inside, except what signatures leave out; or one file alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/progress.h"
#include "base/result.h"

namespace lantern::supply {

struct ModelFile {
  std::string name = {};            // inside the model, components joined by '/'
  std::filesystem::path path = {};  // where its bytes are
  uint64_t size = 0;
  /// Where somebody who is believed has hashed the whole file already; else it is hashed.
  std::optional<base::Digest> digest = {};
};

/// What cannot be signed: a link that is not followed, a device, a name that is no UTF-8.
struct IrregularFile {
  std::string name = {};
  std::string why = {};  // "is a symbolic link"
};

struct ModelFiles {
  std::string name = {};  // of the folder or file
  bool is_single_file = false;
  std::vector<ModelFile> files = {};          // sorted by name, in bytes
  std::vector<IrregularFile> irregular = {};  // sorted likewise
};

struct ListOptions {
  /// Paths inside the model; each leaves out a file, or a folder with all in it. In addition to
  /// .git, .gitignore, .gitattributes and .github at the top.
  std::vector<std::string> ignore = {};
  /// What is listed even so: these paths.
  std::vector<std::string> keep = {};
  bool follow_symlinks = false;
};

/// The four names that are left out at the top of a model.
std::span<const std::string_view> default_ignored_paths();

/// Whether signatures leave `name` out: at or under one of the four, or of `ignore`.
bool is_left_out(std::string_view name, std::span<const std::string> ignore);

/// `path`: a folder, or a file (all parts of a split GGUF). kNotFound, kIo, kInvalidArgument for
/// what is neither, kTooLarge past 200,000 entries or 64 levels.
Result<ModelFiles> list_model_files(const std::filesystem::path& path, const ListOptions& options);

/// Where `file` lies inside the folder `root`; nothing where it lies elsewhere. Neither need exist.
std::optional<std::string> path_inside(const std::filesystem::path& root,
                                       const std::filesystem::path& file);

/// Bytes [begin, end) of a file.
struct FileRange {
  std::filesystem::path path = {};
  uint64_t begin = 0, end = 0;
  bool to_end_of_file = false;  // `end` is the file's size; another size by now is kCorrupt
};

struct RangeHashOptions {
  std::stop_token stop = {};
  base::ProgressOutput progress = base::ProgressOutput::none();
  std::string label = "Hashing";
};

/// The SHA-256 of each range, several at a time, on as many threads as there are cores. kCancelled,
/// kIo, kCorrupt for a file that ended early.
Result<std::vector<base::Digest>> hash_ranges(std::span<const FileRange> ranges,
                                              const RangeHashOptions& options);

}  // namespace lantern::supply
