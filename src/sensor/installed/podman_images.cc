// Images in the storage that Podman, Buildah and CRI-O share: <driver>-images/images.json, a list
// of
// {"id": ..., "names": ["docker.io/ollama/ollama:latest"]} (containers-storage.conf(5)).
#include "base/json.h"
#include "sensor/installed.h"

namespace lantern::sensor {
namespace {

void find_podman_images(InstalledSearch& search) {
  const auto look = [&](const std::string& root, uint32_t uid) {
    for (const DirectoryEntry& entry : search.list(root))
      if (entry.folder && entry.name.ends_with("-images"))
        search.read(root + "/" + entry.name + "/images.json", uid);
  };
  look("/var/lib/containers/storage", 0);
  for (const Home& home : search.homes())
    look(home.path + "/.local/share/containers/storage", home.uid);
}

std::vector<InstalledEntry> read_podman_images(std::string_view, std::string_view text,
                                               std::span<const RuntimeRule> rules) {
  std::vector<InstalledEntry> entries;
  const auto json =
      base::parse_json(text, "images.json", {.bytes_max = kInstalledTextBytesMax, .depth_max = 16});
  if (!json.ok() || !json->is_array()) return entries;
  for (const base::Json& image : *json) {
    const auto names = image.is_object() ? image.find("names") : image.end();
    if (names == image.end() || !names->is_array()) continue;
    for (const base::Json& name : *names)
      if (name.is_string()) add_image(entries, name.get_ref<const std::string&>(), rules);
  }
  return entries;
}

}  // namespace

extern const InstalledKind k_podman_images;
const InstalledKind k_podman_images = {
    .kind = "image", .find = find_podman_images, .read = read_podman_images};

}  // namespace lantern::sensor
