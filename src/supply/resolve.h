// What M means wherever a command takes one: a model of the store, or a path.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "supply/store.h"

namespace lantern::supply {

struct ModelFile {
  std::string name = {};            // inside the model
  std::filesystem::path path = {};  // to open: a blob of the store, or the person's own file
  uint64_t size = 0;
  std::optional<base::Digest> digest = {};  // of a path: once verify_model() has been there
};

struct ModelFiles {
  ModelKind kind = ModelKind::kGguf;
  std::filesystem::path entry = {};     // what a reader opens: GGUF file, first part, or folder
  std::vector<ModelFile> files = {};    // sorted by name
  std::optional<base::Digest> id = {};  // composition_id(); of a path: after verify_model()
  std::string name = {};                // an alias, or the path as given
  std::optional<StoredModel> stored = {};
};

/// A path (anything with a '/', or a file or folder here that is no name in the store) or a name in
/// the store: alias, or digits of a digest. Nothing is hashed. kNotFound, kInvalidArgument,
/// kUnsupported, kCorrupt.
Result<ModelFiles> resolve_model(const Store& store, std::string_view model);

/// Makes sure that every file is what its digest says, and gives files of a path their digests:
/// with Verify::kFast that is a stat for each file, once it has been hashed. kCorrupt where content
/// has changed, kCancelled.
Status verify_model(const Store& store, ModelFiles& model, const VerifyOptions& options);

}  // namespace lantern::supply
