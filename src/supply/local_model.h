// A model that lies on this machine outside the store: which files it is made of.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "supply/manifest.h"

namespace lantern::supply {

struct LocalFile {
  std::string name = {};            // inside the model
  std::filesystem::path path = {};  // where it lies
  uint64_t size = 0;
};

struct LocalModel {
  ModelKind kind = ModelKind::kGguf;
  std::filesystem::path entry = {};   // the GGUF file, a split set's first part, or the folder
  std::vector<LocalFile> files = {};  // sorted by name
};

/// `path`: a GGUF file, any part of a split one, or a folder that holds one model. Nothing is
/// hashed and no tensor read. kNotFound, kInvalidArgument with the choices, kUnsupported for other
/// files.
Result<LocalModel> find_local_model(const std::filesystem::path& path);

/// kUnsupported unless the file begins as GGUF files do; says what it is instead where that shows.
Status check_is_gguf(const std::filesystem::path& path, std::string_view name);

}  // namespace lantern::supply
