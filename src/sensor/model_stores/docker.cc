// Docker Model Runner: models.json names the images by tag, and their blobs/sha256/<hex>.
#include "base/json.h"
#include "sensor/model_store.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kFolders[] = {"~/.docker/models"};

std::string label(std::string_view) { return ""; }
bool is_manifest(std::string_view path) { return path == "models.json"; }

Result<std::vector<ManifestEntry>> read_manifest(std::string_view, std::string_view text) {
  LANTERN_ASSIGN(
      const base::Json json,
      base::parse_json(text, "models.json", {.bytes_max = kManifestBytesMax, .depth_max = 16}));
  const auto models = json.find("models");
  if (models == json.end() || !models->is_array())
    return make_error(ErrorCode::kCorrupt, "models.json: no models");
  std::vector<ManifestEntry> entries;
  for (const base::Json& model : *models) {
    if (!model.is_object()) continue;
    const auto tags = model.find("tags"), files = model.find("files");
    if (tags == model.end() || files == model.end() || !tags->is_array() || tags->empty() ||
        !tags->front().is_string() || !files->is_array())
      continue;
    for (const base::Json& file : *files) {
      if (!file.is_string()) continue;
      const auto& digest = file.get_ref<const std::string&>();
      if (digest.starts_with("sha256:"))
        entries.push_back({.file = "blobs/sha256/" + digest.substr(7),
                           .label = tags->front().get<std::string>()});
    }
  }
  return entries;
}

}  // namespace

extern const ModelStore k_docker;
const ModelStore k_docker = {.name = "Docker Model Runner",
                             .folders = kFolders,
                             .label = label,
                             .is_manifest = is_manifest,
                             .read_manifest = read_manifest};

}  // namespace lantern::sensor
