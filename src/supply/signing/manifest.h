// What a model signature says: which files, or which ranges of them, with which SHA-256. It travels
// as an in-toto Statement v1 with the predicate of OpenSSF Model Signing 1.0; the predicate of the
// reference tool's release 0.2 is read too, and never written.
//
// The root digest is SHA-256 over the resources' raw digests in the statement's order. It covers no
// names and differs between methods, so it is an attribute of a signature and never an identity.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace lantern::supply {

enum class Serialization { kFiles, kShards };

/// "files" or "shards", as statements spell it.
std::string_view serialization_name(Serialization method);

inline constexpr uint64_t kDefaultShardBytes = 1'000'000'000;

struct SignedResource {
  /// Inside the model, components joined by '/'. "." names a model of one file as the reference
  /// tool writes it.
  std::string path = {};
  uint64_t begin = 0, end = 0;  // kShards: the bytes [begin, end) of the file
  base::Digest digest{};
};

struct SignedManifest {
  std::string model_name = {};  // informational, as the specification says
  Serialization method = Serialization::kFiles;
  uint64_t shard_bytes = 0;  // kShards only
  bool allow_symlinks = false;
  bool historical = false;  // the predicate https://model_signing/Digests/v0.1
  std::vector<std::string> ignore_paths = {};
  std::vector<SignedResource> resources = {};  // in the statement's order

  /// The paths that it vouches for, each once, sorted by bytes.
  [[nodiscard]] std::vector<std::string> paths() const;
};

base::Digest root_digest(std::span<const SignedResource> resources);

/// Whether `path` is relative, has no empty, "." or ".." component, no NUL, and is UTF-8.
bool is_canonical_path(std::string_view path);

/// A resource's name: its path, or "<path>:<begin>:<end>".
std::string resource_name(const SignedResource& resource, Serialization method);

/// Brings resources into the order that the specification asks for: by name, in code points.
void sort_resources(SignedManifest& manifest);

/// The statement's JSON. `manifest` has at least one resource, sorted.
std::string to_statement(const SignedManifest& manifest);

/// kCorrupt names `what` and the field, also where the root digest is not that of the resources or
/// the shards of a file leave a gap; kUnsupported for other predicates, methods and hashes;
/// kTooLarge past 200,000 resources.
Result<SignedManifest> parse_statement(std::string_view payload, std::string_view what);

}  // namespace lantern::supply
