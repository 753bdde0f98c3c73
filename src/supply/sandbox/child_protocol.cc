#include "supply/sandbox/child_protocol.h"

#include "base/confined_child.h"
#include "base/json.h"

namespace lantern::supply::sandbox {
namespace {

using base::Json;

Result<uint64_t> number(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_unsigned())
    return make_error(ErrorCode::kCorrupt, "scan manifest: {}: no number", key);
  return found->get<uint64_t>();
}

Result<std::string> text_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string())
    return make_error(ErrorCode::kCorrupt, "scan manifest: {}: no text", key);
  return found->get<std::string>();
}

// Names of files are bytes, texts in JSON are Unicode: a byte goes as the character of its number.
std::string as_text(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      text += c;
    } else {
      text += static_cast<char>(0xC0 | (byte >> 6));
      text += static_cast<char>(0x80 | (byte & 0x3F));
    }
  }
  return text;
}

Result<std::string> as_bytes(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto first = static_cast<unsigned char>(text[i]);
    if (first < 0x80) {
      bytes += text[i];
    } else if ((first == 0xC2 || first == 0xC3) && i + 1 < text.size()) {
      bytes += static_cast<char>((first << 6) | (static_cast<unsigned char>(text[++i]) & 0x3F));
    } else {
      return make_error(ErrorCode::kCorrupt, "scan manifest: a name that is no bytes");
    }
  }
  return bytes;
}

Result<std::string> bytes_of(const Json& json, const char* key) {
  LANTERN_ASSIGN(const std::string text, text_of(json, key));
  return as_bytes(text);
}

}  // namespace

std::string manifest_to_json(const Manifest& manifest) {
  const scan::Limits& limits = manifest.limits;
  Json paths = Json::array();
  for (const std::string& path : manifest.paths) paths.push_back(as_text(path));
  const Json json = {{"task", static_cast<uint64_t>(manifest.task)},
                     {"folder", as_text(manifest.folder)},
                     {"entry", as_text(manifest.entry)},
                     {"files", limits.files},
                     {"depth_max", limits.depth_max},
                     {"entries", limits.entries},
                     {"entry_bytes", limits.entry_bytes},
                     {"read_bytes", limits.read_bytes},
                     {"extracted_bytes", limits.extracted_bytes},
                     {"ratio_max", limits.ratio_max},
                     {"findings", limits.findings},
                     {"time_ms_max", std::max<int64_t>(limits.time_max.count(), 0)},
                     {"memory_bytes_max", manifest.memory_bytes_max},
                     {"misbehave", manifest.misbehave},
                     {"paths", std::move(paths)}};
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

Result<Manifest> parse_manifest(std::string_view text) {
  LANTERN_ASSIGN(
      const Json json,
      base::parse_json(text, "scan manifest", {.bytes_max = kManifestBytesMax, .depth_max = 4}));
  Manifest manifest;
  scan::Limits& limits = manifest.limits;
  LANTERN_ASSIGN(limits.files, number(json, "files"));
  LANTERN_ASSIGN(const uint64_t depth, number(json, "depth_max"));
  limits.depth_max = static_cast<int>(std::min<uint64_t>(depth, 64));
  LANTERN_ASSIGN(limits.entries, number(json, "entries"));
  LANTERN_ASSIGN(limits.entry_bytes, number(json, "entry_bytes"));
  LANTERN_ASSIGN(limits.read_bytes, number(json, "read_bytes"));
  LANTERN_ASSIGN(limits.extracted_bytes, number(json, "extracted_bytes"));
  LANTERN_ASSIGN(limits.ratio_max, number(json, "ratio_max"));
  LANTERN_ASSIGN(limits.findings, number(json, "findings"));
  LANTERN_ASSIGN(const uint64_t time_ms, number(json, "time_ms_max"));
  limits.time_max = std::chrono::milliseconds(std::min<uint64_t>(time_ms, 86'400'000));
  LANTERN_ASSIGN(manifest.memory_bytes_max, number(json, "memory_bytes_max"));
  LANTERN_ASSIGN(const uint64_t task, number(json, "task"));
  const auto paths = json.find("paths");
  if (task > static_cast<uint64_t>(Task::kCheck) || paths == json.end() || !paths->is_array() ||
      paths->size() > base::kChildFilesMax)
    return make_error(ErrorCode::kCorrupt, "scan manifest: task or paths");
  manifest.task = static_cast<Task>(task);
  LANTERN_ASSIGN(manifest.misbehave, text_of(json, "misbehave"));
  LANTERN_ASSIGN(manifest.folder, bytes_of(json, "folder"));
  LANTERN_ASSIGN(manifest.entry, bytes_of(json, "entry"));
  for (const Json& path : *paths) {
    if (!path.is_string()) return make_error(ErrorCode::kCorrupt, "scan manifest: paths");
    LANTERN_ASSIGN(std::string name, as_bytes(path.get_ref<const std::string&>()));
    manifest.paths.push_back(std::move(name));
  }
  return manifest;
}

}  // namespace lantern::supply::sandbox
