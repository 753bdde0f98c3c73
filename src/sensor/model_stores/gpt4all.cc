// GPT4All: files in one folder, each called what the model is.
#include "sensor/model_store.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kFolders[] = {"~/.local/share/nomic.ai/GPT4All"};

std::string label(std::string_view path) {
  const auto parts = components(path);
  return parts.empty() ? "" : std::string(parts.back());
}

}  // namespace

extern const ModelStore k_gpt4all;
const ModelStore k_gpt4all = {.name = "GPT4All",
                              .folders = kFolders,
                              .label = label,
                              .is_manifest = nullptr,
                              .read_manifest = nullptr};

}  // namespace lantern::sensor
