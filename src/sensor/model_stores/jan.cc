// Jan (and Cortex.cpp before it): a folder each model, with model.yml beside the weights.
#include "base/ascii.h"
#include "sensor/model_store.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kFolders[] = {"~/.local/share/Jan/data", "~/.config/Jan/data", "~/jan",
                                         "~/cortexcpp/models"};

std::string folder_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(path.substr(0, slash == std::string_view::npos ? 0 : slash));
}

std::string label(std::string_view path) {
  const std::string folder = folder_of(path);
  const auto parts = components(folder);
  return parts.empty() ? "" : std::string(parts.back());
}

bool is_manifest(std::string_view path) { return path.ends_with("/model.yml"); }

/// Of the YAML only the line "name: ..." at its top level.
Result<std::vector<ManifestEntry>> read_manifest(std::string_view path, std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.starts_with("name:")) continue;
    std::string_view name = base::trimmed(line.substr(5));
    if (name.size() >= 2 && (name.front() == '"' || name.front() == '\''))
      name = name.substr(1, name.size() - 2);
    return std::vector<ManifestEntry>{{.file = folder_of(path) + "/", .label = std::string(name)}};
  }
  return make_error(ErrorCode::kCorrupt, "model.yml: no name");
}

}  // namespace

extern const ModelStore k_jan;
const ModelStore k_jan = {.name = "Jan",
                          .folders = kFolders,
                          .label = label,
                          .is_manifest = is_manifest,
                          .read_manifest = read_manifest};

}  // namespace lantern::sensor
