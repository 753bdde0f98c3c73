// Images that containerd has (Kubernetes, k3s, nerdctl, Docker since its version 29): its records
// are a bbolt file, in which references stand as plain text. Pages of images that were removed may
// be among them until they are written over.
#include <algorithm>

#include "sensor/installed.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kRoots[] = {"/var/lib/containerd", "/var/lib/docker/containerd/daemon",
                                       "/var/lib/rancher/k3s/agent/containerd"};

void find_containerd_images(InstalledSearch& search) {
  constexpr std::string_view kRecords = "/io.containerd.metadata.v1.bolt/meta.db";
  for (const std::string_view root : kRoots)
    search.read(std::string(root) + std::string(kRecords), 0);
  for (const Home& home : search.homes())
    search.read(home.path + "/.local/share/containerd" + std::string(kRecords), home.uid);
}

bool is_of_reference(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._-/:").find(c) != std::string_view::npos;
}

std::vector<InstalledEntry> read_containerd_images(std::string_view, std::string_view text,
                                                   std::span<const RuntimeRule> rules) {
  constexpr size_t kReferenceBytesMax = 300, kEntriesMax = 200;
  std::vector<InstalledEntry> entries;
  for (const RuntimeRule& rule : rules)
    for (const std::string& image : rule.images)
      for (size_t at = text.find(image);
           at != std::string_view::npos && entries.size() < kEntriesMax;
           at = text.find(image, at + image.size())) {
        size_t begin = at, end = at + image.size();
        while (begin > 0 && is_of_reference(text[begin - 1]) && at - begin < kReferenceBytesMax)
          --begin;
        while (end < text.size() && is_of_reference(text[end]) && end - at < kReferenceBytesMax)
          ++end;
        const auto [name, version] = split_image(text.substr(begin, end - begin));
        // What has no tag is a digest's page or something else that holds these letters.
        if (version.empty() || !matches_image(rule, name)) continue;
        InstalledEntry entry{
            .rule = rule.id, .name = std::string(name), .version = std::string(version)};
        if (std::find(entries.begin(), entries.end(), entry) == entries.end())
          entries.push_back(std::move(entry));
      }
  return entries;
}

}  // namespace

extern const InstalledKind k_containerd_images;
const InstalledKind k_containerd_images = {
    .kind = "image", .find = find_containerd_images, .read = read_containerd_images};

}  // namespace lantern::sensor
