// What the store knows of a model: its files by digest, and where they came from.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace lantern::supply {

enum class ModelKind { kGguf, kFolder };  // one GGUF file or a split set; a Hugging Face folder

struct ManifestFile {
  std::string path = {};  // inside the model; a safe relative path
  uint64_t size = 0;
  base::Digest digest{};
};

struct Manifest {
  base::Digest id{};
  ModelKind kind = ModelKind::kGguf;
  std::vector<ManifestFile> files = {};  // sorted by path, in bytes
  std::string source = {};               // the reference it was pulled by, without secrets
  std::string revision = {};             // the commit behind it, where the source has commits
  std::string licence = {};              // SPDX id; empty: not known
  std::string pulled_at = {};            // RFC 3339, UTC

  [[nodiscard]] uint64_t bytes() const;
  /// What to open: the GGUF file, a split set's first part, or empty for the folder itself.
  [[nodiscard]] std::string entry() const;
};

/// SHA-256("lantern-model-v1\n" and for each file "<sha256> <size> <path>\n"), sorted by path.
base::Digest composition_id(std::span<const ManifestFile> files);

std::string to_json(const Manifest& manifest);
/// kCorrupt names the field. The id is computed again and must agree.
Result<Manifest> parse_manifest(std::string_view json, std::string_view where);

/// "2026-01-31T12:00:00Z"
std::string utc_now();

}  // namespace lantern::supply
