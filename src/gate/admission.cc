#include "gate/admission.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arch/hf.h"
#include "base/file.h"
#include "engine/text_sources.h"
#include "supply/manifest.h"
#include "supply/reference.h"
#include "supply/store.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;
using CheckpointPtr = std::shared_ptr<const format::Checkpoint>;

// Where a reference leads.
struct Located {
  std::string name;
  fs::path path;  // a GGUF file or a Hugging Face folder
  std::optional<supply::StoredModel> stored;
};

Result<Located> locate(const supply::Store& store, std::string_view text) {
  LANTERN_ASSIGN(supply::Reference reference, supply::parse_reference(text));
  switch (reference.kind) {
    case supply::Reference::Kind::kPath: {
      fs::path path = reference.path;
      if (!path.has_filename()) path = path.parent_path();  // "folder/"
      std::string name = path.filename().string();
      return Located{.name = std::move(name), .path = std::move(path), .stored = {}};
    }
    case supply::Reference::Kind::kAlias: {
      LANTERN_ASSIGN(supply::StoredModel model, store.find(reference.alias));
      Located located{.name = model.name(), .path = model.entry(), .stored = {}};
      located.stored = std::move(model);
      return located;
    }
    case supply::Reference::Kind::kHub:
    case supply::Reference::Kind::kPypi:
    case supply::Reference::Kind::kUrl:
      break;
  }
  return make_error(ErrorCode::kInvalidArgument,
                    "{}: not on this machine under that name; `lantern pull` it, then use the "
                    "name it says",
                    supply::recordable(reference));
}

Result<CheckpointPtr> open(const fs::path& path) {
  // A file of another kind is called what it is ("a Python pickle"), not a broken GGUF file.
  const auto kind = format::detect_file_kind(path);
  if (kind.ok() && *kind != format::FileKind::kGguf && *kind != format::FileKind::kHfFolder &&
      *kind != format::FileKind::kUnknown)
    if (auto described = format::describe(path); !described.ok())
      return std::move(described).error();
  LANTERN_ASSIGN(auto checkpoint, arch::open_checkpoint(path));
  return CheckpointPtr(std::move(checkpoint));
}

// Every file that the engine may read.
std::vector<fs::path> composed_files(const format::Checkpoint& checkpoint) {
  std::vector<fs::path> files(checkpoint.files().begin(), checkpoint.files().end());
  for (fs::path& path : engine::text_files(checkpoint)) files.push_back(std::move(path));
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

supply::VerifyOptions verify_options(const AdmitOptions& options) {
  return {.how = options.paranoid ? supply::Verify::kFull : supply::Verify::kFast,
          .stop = options.stop,
          .progress = options.progress};
}

// The store's own record names the digests; each file must be the blob of its digest still.
Result<base::Digest> verify_stored(const supply::Store& store, const supply::StoredModel& model,
                                   const std::vector<fs::path>& files,
                                   const AdmitOptions& options) {
  for (const fs::path& path : files) {
    const std::string inside = path.lexically_relative(model.folder).generic_string();
    const auto& listed = model.manifest.files;
    auto file = std::find_if(listed.begin(), listed.end(),
                             [&](const auto& candidate) { return candidate.path == inside; });
    if (file == listed.end())
      return make_error(ErrorCode::kCorrupt,
                        "{}: the store has no record of this file: remove the model and pull it "
                        "again",
                        path.string());
    std::error_code error;
    if (!fs::equivalent(path, store.blob_path(file->digest), error) || error)
      return make_error(ErrorCode::kCorrupt,
                        "{}: not the file that the store recorded: remove the model and pull it "
                        "again",
                        path.string());
    LANTERN_TRY(store.verify_blob(file->digest, verify_options(options)));
  }
  return model.manifest.id;
}

Result<base::Digest> hash_in_place(const supply::Store& store, const fs::path& path,
                                   const std::vector<fs::path>& files,
                                   const AdmitOptions& options) {
  const fs::path folder = files[0].parent_path();
  std::vector<supply::ManifestFile> listed;
  for (const fs::path& file : files) {
    LANTERN_ASSIGN(base::Digest digest, store.digest_in_place(file, verify_options(options)));
    std::error_code error;
    const uint64_t size = fs::file_size(file, error);
    if (error) return base::errno_error(error.value(), file.string());
    const fs::path root = fs::is_directory(path, error) ? path : folder;
    listed.push_back(
        {.path = file.lexically_relative(root).generic_string(), .size = size, .digest = digest});
  }
  return supply::composition_id(listed);
}

}  // namespace

Result<format::AdmittedModel> Admission::admit(std::string_view reference,
                                               const AdmitOptions& options) {
  LANTERN_ASSIGN(auto store, supply::Store::of_user());
  LANTERN_ASSIGN(Located located, locate(store, reference));
  LANTERN_ASSIGN(auto checkpoint, open(located.path));
  const auto files = composed_files(*checkpoint);
  LANTERN_ASSIGN(base::Digest id, located.stored
                                      ? verify_stored(store, *located.stored, files, options)
                                      : hash_in_place(store, located.path, files, options));
  return format::AdmittedModel(std::move(checkpoint), id, std::move(located.name));
}

Result<CheckpointPtr> inspect(std::string_view reference) {
  LANTERN_ASSIGN(auto store, supply::Store::of_user());
  LANTERN_ASSIGN(Located located, locate(store, reference));
  return open(located.path);
}

Result<format::Description> describe(std::string_view reference) {
  LANTERN_ASSIGN(auto store, supply::Store::of_user());
  LANTERN_ASSIGN(Located located, locate(store, reference));
  return format::describe(located.path);
}

}  // namespace lantern::gate
