// Python packages, by the names of their records: "llama_cpp_python-0.3.36.dist-info" (PEP 376 and
// PEP 427) in the folders of the system, of users, of tools and of virtual environments.
#include <string>

#include "sensor/installed.h"

namespace lantern::sensor {
namespace {

constexpr int kProjectDepthMax = 4;  // ~/work/team/project/.venv
constexpr size_t kProjectFoldersMax = 4'000;

void find_in_site(InstalledSearch& search, const std::string& site, uint32_t uid) {
  for (const DirectoryEntry& entry : search.list(site)) {
    std::string_view record = entry.name;
    if (!record.ends_with(".dist-info") && !record.ends_with(".egg-info")) continue;
    record = record.substr(0, record.rfind('.'));
    const size_t dash = record.find('-');
    if (dash == std::string_view::npos) continue;
    const std::string_view name = record.substr(0, dash);
    std::string_view version = record.substr(dash + 1);
    version = version.substr(0, version.find("-py"));  // of an egg: "1.0-py3.11"
    for (const RuntimeRule& rule : search.rules())
      if (matches_package(rule, name))
        search.add(rule, name, version, site + "/" + entry.name, uid);
  }
}

/// What lies under a prefix: lib/python3.11/site-packages.
void find_in_environment(InstalledSearch& search, const std::string& prefix, uint32_t uid) {
  for (const DirectoryEntry& lib : search.list(prefix)) {
    if (!lib.folder || (lib.name != "lib" && lib.name != "lib64")) continue;
    const std::string below = prefix + "/" + lib.name;
    for (const DirectoryEntry& python : search.list(below)) {
      if (!python.folder || !python.name.starts_with("python3")) continue;
      find_in_site(search, below + "/" + python.name + "/site-packages", uid);
      find_in_site(search, below + "/" + python.name + "/dist-packages", uid);
    }
  }
}

void find_in_each(InstalledSearch& search, const std::string& folder, uint32_t uid) {
  for (const DirectoryEntry& entry : search.list(folder))
    if (entry.folder) find_in_environment(search, folder + "/" + entry.name, uid);
}

/// Virtual environments of projects: folders with a pyvenv.cfg (PEP 405).
void find_in_projects(InstalledSearch& search, const std::string& folder, uint32_t uid, int depth,
                      size_t& n_folders) {
  if (++n_folders > kProjectFoldersMax) return;
  const std::vector<DirectoryEntry> entries = search.list_private(folder);
  for (const DirectoryEntry& entry : entries)
    if (entry.regular && entry.name == "pyvenv.cfg")
      return find_in_environment(search, folder, uid);
  for (const DirectoryEntry& entry : entries) {
    const bool hidden =
        entry.name.starts_with('.') && !entry.name.starts_with(".venv") && entry.name != ".env";
    if (entry.folder && !hidden && depth < kProjectDepthMax && entry.name != "node_modules")
      find_in_projects(search, folder + "/" + entry.name, uid, depth + 1, n_folders);
  }
}

void find_packages(InstalledSearch& search) {
  for (const char* prefix : {"/usr", "/usr/local", "/opt/conda"})
    find_in_environment(search, prefix, 0);
  find_in_each(search, "/opt", 0);
  find_in_each(search, "/opt/conda/envs", 0);
  for (const Home& home : search.homes()) {
    // Services have homes such as /usr/sbin and /dev, which are nobody's.
    const auto lies_in = [&](const char* folder) { return home.path.starts_with(folder); };
    if (lies_in("/usr") || lies_in("/bin") || lies_in("/dev") || lies_in("/proc")) continue;
    const std::string& path = home.path;
    find_in_environment(search, path + "/.local", home.uid);
    for (const char* tools :
         {"/.local/share/pipx/venvs", "/.local/pipx/venvs", "/.local/share/uv/tools",
          "/.virtualenvs", "/.pyenv/versions", "/.conda/envs", "/miniconda3/envs",
          "/anaconda3/envs", "/miniforge3/envs", "/mambaforge/envs"})
      find_in_each(search, path + tools, home.uid);
    for (const char* conda : {"/miniconda3", "/anaconda3", "/miniforge3", "/mambaforge"})
      find_in_environment(search, path + conda, home.uid);
    size_t n_folders = 0;
    find_in_projects(search, path, home.uid, 0, n_folders);
  }
}

}  // namespace

extern const InstalledKind k_python_packages;
const InstalledKind k_python_packages = {.kind = "package", .find = find_packages, .read = nullptr};

}  // namespace lantern::sensor
