#include "supply/manifest.h"

#include <fmt/chrono.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "base/checked.h"
#include "base/json.h"
#include "base/printable.h"
#include "supply/names.h"

namespace lantern::supply {
namespace {

using base::Json;

constexpr size_t kFilesMax = 10'000;
constexpr size_t kManifestBytesMax = 16u << 20;

Result<std::string> text_field(const Json& object, const char* key, std::string_view where) {
  auto found = object.find(key);
  if (found == object.end() || !found->is_string())
    return make_error(ErrorCode::kCorrupt, "{}: {}: a text is needed", where, key);
  return found->get<std::string>();
}

Result<base::Digest> digest_field(const Json& object, const char* key, std::string_view where) {
  LANTERN_ASSIGN(std::string hex, text_field(object, key, where));
  auto digest = base::digest_from_hex(hex);
  if (!digest.ok())
    return make_error(ErrorCode::kCorrupt, "{}: {}: {}", where, key, digest.error().message);
  return *digest;
}

Result<ManifestFile> parse_file(const Json& json, std::string_view where) {
  if (!json.is_object())
    return make_error(ErrorCode::kCorrupt, "{}: files: an object is needed", where);
  ManifestFile file;
  LANTERN_ASSIGN(file.path, text_field(json, "path", where));
  if (!is_safe_relative_path(file.path))
    return make_error(ErrorCode::kCorrupt, "{}: files: path \"{}\" is not a plain relative path",
                      where, base::printable(file.path));
  auto size = json.find("size");
  if (size == json.end() || !size->is_number_unsigned())
    return make_error(ErrorCode::kCorrupt, "{}: {}: size: a number of bytes is needed", where,
                      file.path);
  file.size = size->get<uint64_t>();
  LANTERN_ASSIGN(file.digest, digest_field(json, "sha256", where));
  return file;
}

}  // namespace

uint64_t Manifest::bytes() const {
  uint64_t sum = 0;
  for (const auto& file : files) sum += file.size;
  return sum;
}

std::string Manifest::entry() const {
  return kind == ModelKind::kFolder || files.empty() ? "" : files.front().path;
}

base::Digest composition_id(std::span<const ManifestFile> files) {
  std::vector<const ManifestFile*> sorted;
  for (const auto& file : files) sorted.push_back(&file);
  std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->path < b->path; });
  base::Sha256 hash;
  hash.update("lantern-model-v1\n");
  for (const auto* file : sorted)
    hash.update(fmt::format("{} {} {}\n", base::to_hex(file->digest), file->size, file->path));
  return hash.finish();
}

std::string to_json(const Manifest& manifest) {
  base::OrderedJson files = base::OrderedJson::array();
  for (const auto& file : manifest.files)
    files.push_back(
        {{"path", file.path}, {"size", file.size}, {"sha256", base::to_hex(file.digest)}});
  base::OrderedJson json = {
      {"version", 1},
      {"id", base::to_hex(manifest.id)},
      {"kind", manifest.kind == ModelKind::kGguf ? "gguf" : "huggingface"},
      {"source", manifest.source},
      {"revision", manifest.revision},
      {"licence", manifest.licence},
      {"pulled_at", manifest.pulled_at},
      {"files", std::move(files)},
  };
  // A source may be a path in any encoding.
  return json.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n";
}

Result<Manifest> parse_manifest(std::string_view text, std::string_view where) {
  LANTERN_ASSIGN(Json json,
                 base::parse_json(text, where, {.bytes_max = kManifestBytesMax, .depth_max = 8}));
  if (!json.is_object() || json.value("version", Json()) != 1)
    return make_error(ErrorCode::kUnsupported, "{}: version: only 1 is understood", where);
  Manifest manifest;
  LANTERN_ASSIGN(manifest.id, digest_field(json, "id", where));
  LANTERN_ASSIGN(std::string kind, text_field(json, "kind", where));
  if (kind != "gguf" && kind != "huggingface")
    return make_error(ErrorCode::kUnsupported, "{}: kind \"{}\" is not understood", where,
                      base::printable(kind));
  manifest.kind = kind == "gguf" ? ModelKind::kGguf : ModelKind::kFolder;
  LANTERN_ASSIGN(manifest.source, text_field(json, "source", where));
  LANTERN_ASSIGN(manifest.revision, text_field(json, "revision", where));
  LANTERN_ASSIGN(manifest.licence, text_field(json, "licence", where));
  LANTERN_ASSIGN(manifest.pulled_at, text_field(json, "pulled_at", where));
  auto files = json.find("files");
  if (files == json.end() || !files->is_array() || files->empty() || files->size() > kFilesMax)
    return make_error(ErrorCode::kCorrupt, "{}: files: 1 to {} are needed", where, kFilesMax);
  base::CheckedSize bytes = 0;
  for (const auto& item : *files) {
    LANTERN_ASSIGN(ManifestFile file, parse_file(item, where));
    if (!manifest.files.empty() && manifest.files.back().path >= file.path)
      return make_error(ErrorCode::kCorrupt, "{}: files: not in order", where);
    bytes = bytes + file.size;
    manifest.files.push_back(std::move(file));
  }
  if (!bytes.value()) return make_error(ErrorCode::kCorrupt, "{}: files: sizes overflow", where);
  if (composition_id(manifest.files) != manifest.id)
    return make_error(ErrorCode::kCorrupt, "{}: id: does not agree with its files", where);
  return manifest;
}

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace lantern::supply
