// Ollama: manifests/<registry>/<namespace>/<model>/<tag>, an OCI manifest without an ending, whose
// layers are blobs/sha256-<hex>.
#include "base/json.h"
#include "sensor/model_store.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kFolders[] = {"~/.ollama/models", "/usr/share/ollama/.ollama/models",
                                         "/var/lib/ollama/.ollama/models"};

std::string label(std::string_view) { return ""; }

bool is_manifest(std::string_view path) {
  return path.starts_with("manifests/") && components(path).size() == 5;
}

Result<std::vector<ManifestEntry>> read_manifest(std::string_view path, std::string_view text) {
  const std::vector<std::string_view> parts = components(path);
  LANTERN_ASSIGN(
      const base::Json json,
      base::parse_json(text, "manifest", {.bytes_max = kManifestBytesMax, .depth_max = 16}));
  std::string name;
  if (parts[2] != "library") name = std::string(parts[2]) + "/";
  name += std::string(parts[3]) + ":" + std::string(parts[4]);
  std::vector<ManifestEntry> entries;
  const auto layers = json.find("layers");
  if (layers == json.end() || !layers->is_array())
    return make_error(ErrorCode::kCorrupt, "manifest: no layers");
  for (const base::Json& layer : *layers) {
    if (!layer.is_object()) continue;
    const auto type = layer.find("mediaType"), digest = layer.find("digest");
    if (type == layer.end() || digest == layer.end() || !type->is_string() || !digest->is_string())
      continue;
    const auto& hex = digest->get_ref<const std::string&>();
    if (!hex.starts_with("sha256:")) continue;
    const auto& kind = type->get_ref<const std::string&>();
    if (kind == "application/vnd.ollama.image.model" ||
        kind == "application/vnd.ollama.image.projector" ||
        kind == "application/vnd.ollama.image.adapter")
      entries.push_back({.file = "blobs/sha256-" + hex.substr(7), .label = name});
  }
  return entries;
}

}  // namespace

extern const ModelStore k_ollama;
const ModelStore k_ollama = {.name = "Ollama",
                             .folders = kFolders,
                             .label = label,
                             .is_manifest = is_manifest,
                             .read_manifest = read_manifest};

}  // namespace lantern::sensor
