// Where other programs keep their models, and how to read from their own records what they call
// them. One file a store: model_stores/<name>.cc defines `extern const ModelStore k_<name>`.
//
// The sensor walks a store's folder for files of weights and for manifests; a manifest is read by
// the confined child, as every foreign file is.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::sensor {

/// A file of weights that a manifest speaks of.
struct ManifestEntry {
  std::string file = {};   // the end of its path inside the store: "blobs/sha256-..."
  std::string label = {};  // "llama3.2:3b"
};

struct ModelStore {
  std::string_view name;                      // "Ollama"
  std::span<const std::string_view> folders;  // "~/" for each home
  /// What the store calls a file of weights, by its path inside the store alone; may be empty.
  std::string (*label)(std::string_view path);
  /// Whether a file is a manifest; null: the store has none.
  bool (*is_manifest)(std::string_view path);
  /// kCorrupt for what is none after all.
  Result<std::vector<ManifestEntry>> (*read_manifest)(std::string_view path, std::string_view text);
};
std::span<const ModelStore* const> model_stores();

inline constexpr size_t kManifestBytesMax = 1u << 20;

/// For stores: the path's components.
std::vector<std::string_view> components(std::string_view path);

}  // namespace lantern::sensor
