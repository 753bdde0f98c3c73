// Containers that Docker has, running or not: containers/<id>/config.v2.json, of which the image's
// name alone is kept (the rest holds command lines and environments).
#include "base/json.h"
#include "sensor/installed.h"

namespace lantern::sensor {
namespace {

void find_docker_containers(InstalledSearch& search) {
  const auto look = [&](const std::string& root, uint32_t uid) {
    for (const DirectoryEntry& container : search.list(root + "/containers"))
      if (container.folder)
        search.read(root + "/containers/" + container.name + "/config.v2.json", uid);
  };
  look("/var/lib/docker", 0);
  for (const Home& home : search.homes()) look(home.path + "/.local/share/docker", home.uid);
}

std::vector<InstalledEntry> read_docker_container(std::string_view, std::string_view text,
                                                  std::span<const RuntimeRule> rules) {
  std::vector<InstalledEntry> entries;
  const auto json = base::parse_json(text, "config.v2.json",
                                     {.bytes_max = kInstalledTextBytesMax, .depth_max = 32});
  if (!json.ok() || !json->is_object()) return entries;
  const auto config = json->find("Config");
  if (config == json->end() || !config->is_object()) return entries;
  const auto image = config->find("Image");
  if (image != config->end() && image->is_string())
    add_image(entries, image->get_ref<const std::string&>(), rules);
  return entries;
}

}  // namespace

extern const InstalledKind k_docker_containers;
const InstalledKind k_docker_containers = {
    .kind = "container", .find = find_docker_containers, .read = read_docker_container};

}  // namespace lantern::sensor
