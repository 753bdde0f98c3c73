// Extensions of editors, by their folders' names: "continue.continue-1.0.4-linux-x64" of Visual
// Studio Code and those made of it, a plug-in's own name of JetBrains' programs.
#include "sensor/installed.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kEditorFolders[] = {
    "/.vscode/extensions",
    "/.vscode-insiders/extensions",
    "/.vscode-oss/extensions",
    "/.vscode-server/extensions",
    "/.cursor/extensions",
    "/.cursor-server/extensions",
    "/.windsurf/extensions",
    "/.windsurf-server/extensions",
    "/.trae/extensions",
    "/.kiro/extensions",
    "/.local/share/code-server/extensions",
    "/.var/app/com.visualstudio.code/data/vscode/extensions",
    "/.var/app/com.vscodium.codium/data/codium/extensions"};
constexpr std::string_view kJetBrainsFolder = "/.local/share/JetBrains";

/// A version begins behind the first hyphen that a digit follows.
size_t version_begin(std::string_view folder) {
  for (size_t dash = folder.find('-'); dash != std::string_view::npos;
       dash = folder.find('-', dash + 1))
    if (dash + 1 < folder.size() && folder[dash + 1] >= '0' && folder[dash + 1] <= '9') return dash;
  return folder.size();
}

void find_in_extensions(InstalledSearch& search, const std::string& folder, uint32_t uid) {
  for (const DirectoryEntry& entry : search.list(folder)) {
    if (!entry.folder) continue;
    const std::string_view all = entry.name;
    const size_t end = version_begin(all);
    const std::string_view version = end < all.size() ? all.substr(end + 1) : "";
    for (const RuntimeRule& rule : search.rules())
      if (matches_extension(rule, all.substr(0, end)) || matches_extension(rule, all))
        search.add(rule, all.substr(0, end), version, folder + "/" + entry.name, uid);
  }
}

void find_extensions(InstalledSearch& search) {
  for (const Home& home : search.homes()) {
    for (const std::string_view folder : kEditorFolders)
      find_in_extensions(search, home.path + std::string(folder), home.uid);
    // One folder a program and version: IntelliJIdea2026.2.
    const std::string jetbrains = home.path + std::string(kJetBrainsFolder);
    for (const DirectoryEntry& program : search.list(jetbrains))
      if (program.folder) find_in_extensions(search, jetbrains + "/" + program.name, home.uid);
  }
}

}  // namespace

extern const InstalledKind k_editor_extensions;
const InstalledKind k_editor_extensions = {
    .kind = "extension", .find = find_extensions, .read = nullptr};

}  // namespace lantern::sensor
