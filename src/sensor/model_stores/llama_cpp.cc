// llama.cpp's own downloads: <organisation>_<repository>_<file> in one folder.
#include "sensor/model_store.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kFolders[] = {"~/.cache/llama.cpp"};

std::string label(std::string_view path) {
  const auto parts = components(path);
  return parts.empty() ? "" : std::string(parts.back());
}

}  // namespace

extern const ModelStore k_llama_cpp;
const ModelStore k_llama_cpp = {.name = "llama.cpp",
                                .folders = kFolders,
                                .label = label,
                                .is_manifest = nullptr,
                                .read_manifest = nullptr};

}  // namespace lantern::sensor
