// Images that Docker has, as its own record says: image/<driver>/repositories.json,
// {"Repositories": {"ollama/ollama": {"ollama/ollama:latest": "sha256:..."}}}.
#include "base/json.h"
#include "sensor/installed.h"

namespace lantern::sensor {
namespace {

void find_docker_images(InstalledSearch& search) {
  const auto look = [&](const std::string& root, uint32_t uid) {
    for (const DirectoryEntry& driver : search.list(root + "/image"))
      if (driver.folder) search.read(root + "/image/" + driver.name + "/repositories.json", uid);
  };
  look("/var/lib/docker", 0);
  for (const Home& home : search.homes()) look(home.path + "/.local/share/docker", home.uid);
}

std::vector<InstalledEntry> read_docker_images(std::string_view, std::string_view text,
                                               std::span<const RuntimeRule> rules) {
  std::vector<InstalledEntry> entries;
  const auto json = base::parse_json(text, "repositories.json",
                                     {.bytes_max = kInstalledTextBytesMax, .depth_max = 8});
  if (!json.ok() || !json->is_object()) return entries;
  const auto all = json->find("Repositories");
  if (all == json->end() || !all->is_object()) return entries;
  for (const base::Json& references : *all) {
    if (!references.is_object()) continue;
    for (const auto& [reference, digest] : references.items())
      if (reference.find('@') == std::string::npos) add_image(entries, reference, rules);
  }
  return entries;
}

}  // namespace

extern const InstalledKind k_docker_images;
const InstalledKind k_docker_images = {
    .kind = "image", .find = find_docker_images, .read = read_docker_images};

}  // namespace lantern::sensor
