#include "supply/signing/manifest.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <tuple>
#include <utility>

#include "base/json.h"
#include "base/printable.h"

namespace lantern::supply {
namespace {

using base::Json;
using base::OrderedJson;
using base::printable;

constexpr std::string_view kStatementType = "https://in-toto.io/Statement/v1";
constexpr std::string_view kPredicateType = "https://model_signing/signature/v1.0";
constexpr std::string_view kHistoricalPredicateType = "https://model_signing/Digests/v0.1";

constexpr size_t kResourcesMax = 200'000;
constexpr size_t kIgnorePathsMax = 10'000;
constexpr size_t kPathBytesMax = 4096;
// A terabyte in one shard is more than any file here; the bound keeps sums far from overflow.
constexpr double kShardBytesMax = 1ull << 40;

Error missing(std::string_view what, std::string_view field, std::string_view kind) {
  return make_error(ErrorCode::kCorrupt, "{}: the statement's {} is missing or no {}", what, field,
                    kind);
}

Result<const Json*> member(const Json& object, const char* name, Json::value_t type,
                           std::string_view what, std::string_view field, std::string_view kind) {
  if (!object.is_object()) return missing(what, field, kind);
  const auto found = object.find(name);
  if (found == object.end() || found->type() != type) return missing(what, field, kind);
  return &*found;
}

Result<std::string_view> text(const Json& object, const char* name, std::string_view what,
                              std::string_view field) {
  LANTERN_ASSIGN(const Json* value,
                 member(object, name, Json::value_t::string, what, field, "string"));
  return std::string_view(value->get_ref<const std::string&>());
}

Result<const Json*> list(const Json& object, const char* name, std::string_view what,
                         std::string_view field) {
  return member(object, name, Json::value_t::array, what, field, "list");
}

Result<base::Digest> digest(std::string_view hex, std::string_view what, std::string_view name) {
  auto parsed = base::digest_from_hex(hex);
  if (!parsed.ok())
    return make_error(ErrorCode::kCorrupt, "{}: the digest of {} is no SHA-256 in hexadecimal",
                      what, printable(name));
  return parsed;
}

Status check_hash(std::string_view algorithm, std::string_view what, std::string_view of) {
  if (algorithm == "sha256") return {};
  return make_error(ErrorCode::kUnsupported,
                    "{}: {} is hashed with {}; this version verifies sha256 alone", what,
                    printable(of), printable(algorithm));
}

// How a resource names its hash. The specification asks for the plain name of shards too; the
// reference tool writes the shards' size into it, and verifies nothing that does not.
std::string algorithm_name(const SignedManifest& manifest) {
  if (manifest.method == Serialization::kFiles) return "sha256";
  return fmt::format("sha256-sharded-{}", manifest.shard_bytes);
}

Status check_count(size_t n, std::string_view what) {
  if (n == 0)
    return make_error(ErrorCode::kCorrupt, "{}: the statement lists no files: an empty model",
                      what);
  if (n > kResourcesMax)
    return make_error(ErrorCode::kTooLarge,
                      "{}: the statement lists {} resources, at most {} are "
                      "read",
                      what, n, kResourcesMax);
  return {};
}

std::optional<uint64_t> decimal(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || fault != std::errc() || end != digits.data() + digits.size()) return {};
  if (digits.size() > 1 && digits[0] == '0') return {};
  return value;
}

// "<path>:<begin>:<end>": a path may hold colons too, so the last two count.
bool split_shard_name(std::string_view name, SignedResource& out) {
  const size_t second = name.rfind(':');
  if (second == std::string_view::npos || second == 0) return false;
  const size_t first = name.rfind(':', second - 1);
  if (first == std::string_view::npos) return false;
  const auto begin = decimal(name.substr(first + 1, second - first - 1));
  const auto end = decimal(name.substr(second + 1));
  if (!begin || !end) return false;
  out.path = name.substr(0, first);
  out.begin = *begin;
  out.end = *end;
  return true;
}

Result<SignedResource> read_resource(const Json& entry, const SignedManifest& manifest,
                                     std::string_view what) {
  LANTERN_ASSIGN(const std::string_view name, text(entry, "name", what, "resource name"));
  LANTERN_ASSIGN(const std::string_view algorithm,
                 text(entry, "algorithm", what, "resource algorithm"));
  if (algorithm != algorithm_name(manifest)) LANTERN_TRY(check_hash(algorithm, what, name));
  LANTERN_ASSIGN(const std::string_view hex, text(entry, "digest", what, "resource digest"));
  SignedResource resource;
  LANTERN_ASSIGN(resource.digest, digest(hex, what, name));
  if (manifest.method == Serialization::kFiles) {
    resource.path = name;
  } else if (!split_shard_name(name, resource)) {
    return make_error(ErrorCode::kCorrupt, "{}: {} is no name of a shard, <path>:<start>:<end>",
                      what, printable(name));
  }
  return resource;
}

// Names are unique; the shards of each file begin at 0, follow one another, and only the last is
// shorter than the rest.
Status check_resources(const SignedManifest& manifest, std::string_view what) {
  std::vector<const SignedResource*> sorted;
  sorted.reserve(manifest.resources.size());
  bool any_dot = false, all_dot = true;
  for (const SignedResource& resource : manifest.resources) {
    const bool dot = resource.path == ".";
    any_dot |= dot;
    all_dot &= dot;
    if (!dot && !is_canonical_path(resource.path))
      return make_error(ErrorCode::kCorrupt, "{}: {} is no path inside a model", what,
                        printable(resource.path));
    sorted.push_back(&resource);
  }
  if (any_dot && !all_dot)
    return make_error(ErrorCode::kCorrupt,
                      "{}: the statement names a single file (\".\") beside other files", what);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
    return std::tie(a->path, a->begin) < std::tie(b->path, b->begin);
  });
  for (size_t i = 0; i < sorted.size(); ++i) {
    const SignedResource& shard = *sorted[i];
    const bool same_file = i > 0 && sorted[i - 1]->path == shard.path;
    if (manifest.method == Serialization::kFiles) {
      if (same_file)
        return make_error(ErrorCode::kCorrupt, "{}: {} is listed twice", what,
                          printable(shard.path));
      continue;
    }
    const uint64_t expected = same_file ? sorted[i - 1]->end : 0;
    const bool follows = shard.begin == expected && shard.begin % manifest.shard_bytes == 0;
    if (!follows || shard.end <= shard.begin || shard.end - shard.begin > manifest.shard_bytes)
      return make_error(ErrorCode::kCorrupt,
                        "{}: the shards of {} do not follow one another in steps of {} bytes", what,
                        printable(shard.path), manifest.shard_bytes);
  }
  return {};
}

Status read_serialization(const Json& predicate, std::string_view what, SignedManifest& out) {
  LANTERN_ASSIGN(
      const Json* serialization,
      member(predicate, "serialization", Json::value_t::object, what, "serialization", "object"));
  LANTERN_ASSIGN(const std::string_view method,
                 text(*serialization, "method", what, "serialization method"));
  if (method == "shards") {
    out.method = Serialization::kShards;
    const auto size = serialization->find("shard_size");
    if (size == serialization->end() || !size->is_number())
      return missing(what, "shard_size", "number");
    // The reference tool writes 1000000000.0.
    const auto bytes = size->get<double>();
    if (!(bytes >= 1 && bytes <= kShardBytesMax) || std::floor(bytes) != bytes)
      return make_error(ErrorCode::kCorrupt, "{}: a shard_size of {} bytes makes no sense", what,
                        size->dump());
    out.shard_bytes = static_cast<uint64_t>(bytes);
  } else if (method != "files") {
    return make_error(ErrorCode::kUnsupported,
                      "{}: serialized by {}; files and shards are supported", what,
                      printable(method));
  }
  LANTERN_ASSIGN(const std::string_view hash, text(*serialization, "hash_type", what, "hash_type"));
  LANTERN_TRY(check_hash(hash, what, "the model"));
  LANTERN_ASSIGN(const Json* links, member(*serialization, "allow_symlinks", Json::value_t::boolean,
                                           what, "allow_symlinks", "boolean"));
  out.allow_symlinks = links->get<bool>();
  const auto ignored = serialization->find("ignore_paths");
  if (ignored == serialization->end()) return {};
  if (!ignored->is_array() || ignored->size() > kIgnorePathsMax)
    return missing(what, "ignore_paths", "list of at most 10,000");
  for (const Json& path : *ignored) {
    if (!path.is_string()) return missing(what, "ignore_paths", "list of strings");
    out.ignore_paths.push_back(path.get<std::string>());
  }
  return {};
}

Result<SignedManifest> read_v1(const Json& statement, std::string_view what) {
  SignedManifest manifest;
  LANTERN_ASSIGN(const Json* subjects, list(statement, "subject", what, "subject"));
  if (subjects->size() != 1)
    return make_error(ErrorCode::kCorrupt, "{}: the statement has {} subjects instead of one", what,
                      subjects->size());
  const Json& subject = subjects->front();
  LANTERN_ASSIGN(const std::string_view name, text(subject, "name", what, "subject's name"));
  manifest.model_name = name;
  LANTERN_ASSIGN(const Json* digests, member(subject, "digest", Json::value_t::object, what,
                                             "subject's digest", "object"));
  LANTERN_ASSIGN(const std::string_view hex, text(*digests, "sha256", what, "subject's sha256"));
  LANTERN_ASSIGN(const base::Digest expected, digest(hex, what, "the subject"));

  LANTERN_ASSIGN(const Json* predicate, member(statement, "predicate", Json::value_t::object, what,
                                               "predicate", "object"));
  LANTERN_TRY(read_serialization(*predicate, what, manifest));
  LANTERN_ASSIGN(const Json* resources, list(*predicate, "resources", what, "resources"));
  LANTERN_TRY(check_count(resources->size(), what));
  for (const Json& entry : *resources) {
    LANTERN_ASSIGN(SignedResource resource, read_resource(entry, manifest, what));
    manifest.resources.push_back(std::move(resource));
  }
  if (root_digest(manifest.resources) != expected)
    return make_error(ErrorCode::kCorrupt,
                      "{}: the subject's digest is not that of the listed resources", what);
  return manifest;
}

// Release 0.2 of the reference tool: the files are the subjects, and there is no root.
Result<SignedManifest> read_historical(const Json& statement, std::string_view what) {
  SignedManifest manifest{.historical = true};
  LANTERN_ASSIGN(const Json* subjects, list(statement, "subject", what, "subject"));
  LANTERN_TRY(check_count(subjects->size(), what));
  for (const Json& entry : *subjects) {
    LANTERN_ASSIGN(const std::string_view name, text(entry, "name", what, "subject's name"));
    if (const auto notes = entry.find("annotations"); notes != entry.end() && notes->is_object())
      if (const auto hash = notes->find("actual_hash_algorithm");
          hash != notes->end() && *hash != "file-sha256")
        return make_error(ErrorCode::kUnsupported,
                          "{}: {} is hashed otherwise than as a whole file with sha256", what,
                          printable(name));
    LANTERN_ASSIGN(const Json* digests, member(entry, "digest", Json::value_t::object, what,
                                               "subject's digest", "object"));
    LANTERN_ASSIGN(const std::string_view hex, text(*digests, "sha256", what, "subject's sha256"));
    SignedResource resource{.path = std::string(name)};
    LANTERN_ASSIGN(resource.digest, digest(hex, what, name));
    manifest.resources.push_back(std::move(resource));
  }
  return manifest;
}

}  // namespace

std::string_view serialization_name(Serialization method) {
  return method == Serialization::kFiles ? "files" : "shards";
}

std::vector<std::string> SignedManifest::paths() const {
  std::vector<std::string> paths;
  for (const SignedResource& resource : resources) paths.push_back(resource.path);
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

base::Digest root_digest(std::span<const SignedResource> resources) {
  base::Sha256 hash;
  for (const SignedResource& resource : resources) hash.update(resource.digest);
  return hash.finish();
}

bool is_canonical_path(std::string_view path) {
  if (path.empty() || path.size() > kPathBytesMax || path.find('\0') != path.npos) return false;
  for (std::string_view rest = path;;) {
    const size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == rest.npos) break;
    rest.remove_prefix(slash + 1);
  }
  return base::is_utf8(path);
}

std::string resource_name(const SignedResource& resource, Serialization method) {
  if (method == Serialization::kFiles) return resource.path;
  return fmt::format("{}:{}:{}", resource.path, resource.begin, resource.end);
}

void sort_resources(SignedManifest& manifest) {
  // UTF-8 sorts by bytes as it does by code points.
  std::vector<std::pair<std::string, SignedResource>> named;
  named.reserve(manifest.resources.size());
  for (SignedResource& resource : manifest.resources) {
    std::string name = resource_name(resource, manifest.method);
    named.emplace_back(std::move(name), std::move(resource));
  }
  std::sort(named.begin(), named.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (size_t i = 0; i < named.size(); ++i) manifest.resources[i] = std::move(named[i].second);
}

std::string to_statement(const SignedManifest& manifest) {
  OrderedJson resources = OrderedJson::array();
  const std::string algorithm = algorithm_name(manifest);
  for (const SignedResource& resource : manifest.resources)
    resources.push_back({{"name", resource_name(resource, manifest.method)},
                         {"digest", base::to_hex(resource.digest)},
                         {"algorithm", algorithm}});
  OrderedJson serialization = {{"method", serialization_name(manifest.method)},
                               {"hash_type", "sha256"}};
  if (manifest.method == Serialization::kShards) serialization["shard_size"] = manifest.shard_bytes;
  serialization["allow_symlinks"] = manifest.allow_symlinks;
  serialization["ignore_paths"] = manifest.ignore_paths;
  const std::string root = base::to_hex(root_digest(manifest.resources));
  const OrderedJson subject = {{"name", manifest.model_name}, {"digest", {{"sha256", root}}}};
  const OrderedJson statement = {
      {"_type", kStatementType},
      {"subject", OrderedJson::array({subject})},
      {"predicateType", kPredicateType},
      {"predicate",
       {{"resources", std::move(resources)}, {"serialization", std::move(serialization)}}}};
  return statement.dump();
}

Result<SignedManifest> parse_statement(std::string_view payload, std::string_view what) {
  LANTERN_ASSIGN(const Json statement,
                 base::parse_json(payload, fmt::format("{}: its payload", what),
                                  {.bytes_max = 64u << 20, .depth_max = 16}));
  LANTERN_ASSIGN(const std::string_view type, text(statement, "_type", what, "_type"));
  if (type != kStatementType)
    return make_error(ErrorCode::kUnsupported, "{}: a payload of type {}, not an in-toto statement",
                      what, printable(type));
  LANTERN_ASSIGN(const std::string_view predicate,
                 text(statement, "predicateType", what, "predicateType"));
  const bool historical = predicate == kHistoricalPredicateType;
  if (!historical && predicate != kPredicateType)
    return make_error(ErrorCode::kUnsupported,
                      "{}: a statement about something else ({}), not a model signature", what,
                      printable(predicate));
  LANTERN_ASSIGN(SignedManifest manifest,
                 historical ? read_historical(statement, what) : read_v1(statement, what));
  LANTERN_TRY(check_resources(manifest, what));
  return manifest;
}

}  // namespace lantern::supply
