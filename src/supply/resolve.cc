#include "supply/resolve.h"

#include "supply/local_model.h"
#include "supply/names.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;

ModelFiles from_store(const Store& store, StoredModel stored) {
  ModelFiles model{.kind = stored.manifest.kind,
                   .entry = stored.entry(),
                   .files = {},
                   .id = stored.manifest.id,
                   .name = stored.name(),
                   .stored = {}};
  for (const auto& file : stored.manifest.files)
    model.files.push_back({.name = file.path,
                           .path = store.blob_path(file.digest),
                           .size = file.size,
                           .digest = file.digest});
  model.stored = std::move(stored);
  return model;
}

Result<ModelFiles> from_path(std::string_view path) {
  LANTERN_ASSIGN(LocalModel local, find_local_model(fs::path(path)));
  ModelFiles model{.kind = local.kind,
                   .entry = local.entry,
                   .files = {},
                   .id = {},
                   .name = std::string(path),
                   .stored = {}};
  for (auto& file : local.files)
    model.files.push_back({.name = std::move(file.name),
                           .path = std::move(file.path),
                           .size = file.size,
                           .digest = {}});
  return model;
}

}  // namespace

Result<ModelFiles> resolve_model(const Store& store, std::string_view text) {
  if (text.empty()) return make_error(ErrorCode::kInvalidArgument, "no model was named");
  if (text.find('/') != std::string_view::npos || text.starts_with('.')) return from_path(text);
  auto found = store.find(text);
  if (found.ok()) {
    ModelFiles model = from_store(store, std::move(*found));
    if (is_alias(text)) model.name = text;
    return model;
  }
  std::error_code ignored;
  if (found.error().code == ErrorCode::kNotFound && fs::exists(fs::path(text), ignored))
    return from_path(text);
  return std::move(found).error();
}

Status verify_model(const Store& store, ModelFiles& model, const VerifyOptions& options) {
  std::vector<ManifestFile> listed;
  for (auto& file : model.files) {
    if (model.stored) {
      LANTERN_TRY(store.verify_blob(*file.digest, options));
    } else {
      LANTERN_ASSIGN(file.digest, store.digest_in_place(file.path, options));
    }
    listed.push_back({.path = file.name, .size = file.size, .digest = *file.digest});
  }
  model.id = composition_id(listed);
  return {};
}

}  // namespace lantern::supply
