// Containers in Podman's storage: <driver>-containers/containers.json, whose "metadata" is a JSON
// text of its own with the image's name.
#include "base/json.h"
#include "sensor/installed.h"

namespace lantern::sensor {
namespace {

void find_podman_containers(InstalledSearch& search) {
  const auto look = [&](const std::string& root, uint32_t uid) {
    for (const DirectoryEntry& entry : search.list(root))
      if (entry.folder && entry.name.ends_with("-containers"))
        search.read(root + "/" + entry.name + "/containers.json", uid);
  };
  look("/var/lib/containers/storage", 0);
  for (const Home& home : search.homes())
    look(home.path + "/.local/share/containers/storage", home.uid);
}

std::vector<InstalledEntry> read_podman_containers(std::string_view, std::string_view text,
                                                   std::span<const RuntimeRule> rules) {
  std::vector<InstalledEntry> entries;
  const base::JsonLimits limits = {.bytes_max = kInstalledTextBytesMax, .depth_max = 16};
  const auto json = base::parse_json(text, "containers.json", limits);
  if (!json.ok() || !json->is_array()) return entries;
  for (const base::Json& container : *json) {
    const auto metadata = container.is_object() ? container.find("metadata") : container.end();
    if (metadata == container.end() || !metadata->is_string()) continue;
    const auto inner =
        base::parse_json(metadata->get_ref<const std::string&>(), "metadata", limits);
    if (!inner.ok() || !inner->is_object()) continue;
    const auto image = inner->find("image-name");
    if (image != inner->end() && image->is_string())
      add_image(entries, image->get_ref<const std::string&>(), rules);
  }
  return entries;
}

}  // namespace

extern const InstalledKind k_podman_containers;
const InstalledKind k_podman_containers = {
    .kind = "container", .find = find_podman_containers, .read = read_podman_containers};

}  // namespace lantern::sensor
