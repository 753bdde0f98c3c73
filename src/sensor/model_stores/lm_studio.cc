// LM Studio: <publisher>/<repository>/<file>.
#include "sensor/model_store.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kFolders[] = {"~/.lmstudio/models", "~/.cache/lm-studio/models"};

std::string label(std::string_view path) {
  const auto parts = components(path);
  return parts.size() < 3 ? "" : std::string(parts[0]) + "/" + std::string(parts[1]);
}

}  // namespace

extern const ModelStore k_lm_studio;
const ModelStore k_lm_studio = {.name = "LM Studio",
                                .folders = kFolders,
                                .label = label,
                                .is_manifest = nullptr,
                                .read_manifest = nullptr};

}  // namespace lantern::sensor
