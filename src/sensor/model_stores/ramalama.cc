// RamaLama: <transport>/<organisation>/<model>/blobs/sha256-<hex>.
#include "sensor/model_store.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kFolders[] = {"~/.local/share/ramalama/store",
                                         "/var/lib/ramalama/store"};

std::string label(std::string_view path) {
  // The parts before "blobs" or "snapshots".
  std::string name;
  for (const std::string_view part : components(path)) {
    if (part == "blobs" || part == "snapshots") return name;
    name += (name.empty() ? "" : name.find("://") == std::string::npos ? "://" : "/");
    name += part;
  }
  return "";
}

}  // namespace

extern const ModelStore k_ramalama;
const ModelStore k_ramalama = {.name = "RamaLama",
                               .folders = kFolders,
                               .label = label,
                               .is_manifest = nullptr,
                               .read_manifest = nullptr};

}  // namespace lantern::sensor
