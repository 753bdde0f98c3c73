// Models inside browsers: those that a browser brings itself, as folders of its profile
// (OptGuideOnDeviceModel/<version>), and those that pages keep (the Cache API), whose names stand
// in CacheStorage/<origin>/index.txt of Chromium and in caches.sqlite of Firefox.
#include "sensor/installed.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kChromiums[] = {"/.config/google-chrome",
                                           "/.config/google-chrome-beta",
                                           "/.config/google-chrome-unstable",
                                           "/.config/chromium",
                                           "/.config/microsoft-edge",
                                           "/.config/BraveSoftware/Brave-Browser",
                                           "/.config/vivaldi",
                                           "/snap/chromium/common/chromium",
                                           "/.var/app/com.google.Chrome/config/google-chrome",
                                           "/.var/app/org.chromium.Chromium/config/chromium"};
constexpr std::string_view kFirefoxes[] = {"/.mozilla/firefox",
                                           "/snap/firefox/common/.mozilla/firefox",
                                           "/.var/app/org.mozilla.firefox/.mozilla/firefox"};

void find_in_chromium(InstalledSearch& search, const std::string& root, uint32_t uid) {
  for (const DirectoryEntry& entry : search.list(root)) {
    if (!entry.folder) continue;
    const std::string below = root + "/" + entry.name;
    for (const RuntimeRule& rule : search.rules())
      for (const std::string& folder : rule.profile_folders)
        if (entry.name == folder)
          for (const DirectoryEntry& version : search.list(below))
            if (version.folder)
              search.add(rule, folder, version.name, below + "/" + version.name, uid);
    if (entry.name != "Default" && !entry.name.starts_with("Profile ")) continue;
    const std::string caches = below + "/Service Worker/CacheStorage";
    for (const DirectoryEntry& origin : search.list(caches))
      if (origin.folder) search.read(caches + "/" + origin.name + "/index.txt", uid);
  }
}

void find_in_firefox(InstalledSearch& search, const std::string& root, uint32_t uid) {
  for (const DirectoryEntry& profile : search.list(root)) {
    if (!profile.folder) continue;
    const std::string origins = root + "/" + profile.name + "/storage/default";
    for (const DirectoryEntry& origin : search.list(origins))
      if (origin.folder) search.read(origins + "/" + origin.name + "/cache/caches.sqlite", uid);
  }
}

void find_browsers(InstalledSearch& search) {
  for (const Home& home : search.homes()) {
    for (const std::string_view root : kChromiums)
      find_in_chromium(search, home.path + std::string(root), home.uid);
    for (const std::string_view root : kFirefoxes)
      find_in_firefox(search, home.path + std::string(root), home.uid);
  }
}

std::vector<InstalledEntry> read_cache_index(std::string_view, std::string_view text,
                                             std::span<const RuntimeRule> rules) {
  std::vector<InstalledEntry> entries;
  for (const RuntimeRule& rule : rules)
    for (const std::string& cache : rule.caches)
      if (text.find(cache) != std::string_view::npos)
        entries.push_back({.rule = rule.id, .name = cache});
  return entries;
}

}  // namespace

extern const InstalledKind k_browsers;
const InstalledKind k_browsers = {
    .kind = "browser", .find = find_browsers, .read = read_cache_index};

}  // namespace lantern::sensor
