// The Hugging Face cache: models--<organisation>--<name>/blobs/<digest>, with links to them under
// snapshots/<revision>/.
#include "sensor/model_store.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kFolders[] = {"~/.cache/huggingface/hub"};

std::string label(std::string_view path) {
  const auto parts = components(path);
  constexpr std::string_view kPrefix = "models--";
  if (parts.empty() || !parts[0].starts_with(kPrefix)) return "";
  std::string name(parts[0].substr(kPrefix.size()));
  if (const size_t dashes = name.find("--"); dashes != std::string::npos)
    name.replace(dashes, 2, "/");
  return name;
}

}  // namespace

extern const ModelStore k_huggingface;
const ModelStore k_huggingface = {.name = "Hugging Face",
                                  .folders = kFolders,
                                  .label = label,
                                  .is_manifest = nullptr,
                                  .read_manifest = nullptr};

}  // namespace lantern::sensor
