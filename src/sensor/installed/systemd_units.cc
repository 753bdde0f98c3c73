// systemd's units, of the machine and of users, whose ExecStart= is a known runtime, and Quadlet's
// units of containers, whose Image= is (systemd.service(5), podman-systemd.unit(5)).
#include <algorithm>
#include <iterator>
#include <string>

#include "sensor/command_line.h"
#include "sensor/installed.h"

namespace lantern::sensor {
namespace {

constexpr std::string_view kMachineFolders[] = {
    "/etc/systemd/system",           "/run/systemd/system", "/usr/lib/systemd/system",
    "/usr/local/lib/systemd/system", "/etc/systemd/user",   "/usr/lib/systemd/user",
    "/etc/containers/systemd"};
constexpr std::string_view kHomeFolders[] = {"/.config/systemd/user", "/.local/share/systemd/user",
                                             "/.config/containers/systemd"};
/// Programs that start what stands behind them.
constexpr std::string_view kWrappers[] = {
    "env",     "sh",      "bash", "dash", "nice",   "ionice", "taskset", "numactl",
    "setpriv", "runuser", "su",   "sudo", "docker", "podman", "nerdctl", "systemd-inhibit"};

void find_units(InstalledSearch& search) {
  const auto look = [&](const std::string& folder, uint32_t uid) {
    for (const DirectoryEntry& entry : search.list(folder))
      if (entry.regular && (entry.name.ends_with(".service") || entry.name.ends_with(".container")))
        search.read(folder + "/" + entry.name, uid);
  };
  for (const std::string_view folder : kMachineFolders) look(std::string(folder), 0);
  for (const Home& home : search.homes())
    for (const std::string_view folder : kHomeFolders)
      look(home.path + std::string(folder), home.uid);
}

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  constexpr std::string_view kBetween = " \t\"'";
  while (!line.empty()) {
    const size_t begin = line.find_first_not_of(kBetween);
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(line.find_first_of(kBetween, begin), line.size());
    words.emplace_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
  return words;
}

/// Lines with what continues them ("\" at the end), comments left out.
template <typename Take>
void each_line(std::string_view text, const Take& take) {
  std::string line;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (part.starts_with('#') || part.starts_with(';')) continue;
    const bool goes_on = part.ends_with('\\');
    if (goes_on) part.remove_suffix(1);
    line += part;
    line += goes_on ? " " : "";
    if (goes_on && !text.empty()) continue;
    take(std::string_view(line));
    line.clear();
  }
}

void take_command(std::string_view command, std::string_view unit,
                  std::span<const RuntimeRule> rules, std::vector<InstalledEntry>& entries) {
  command.remove_prefix(std::min(command.find_first_not_of("-@:+!|"), command.size()));
  const std::vector<std::string> words = words_of(command);
  if (words.empty()) return;
  const std::string_view first = base_name(words.front());
  const bool wrapped =
      std::find(std::begin(kWrappers), std::end(kWrappers), first) != std::end(kWrappers);
  std::string arguments;
  for (const std::string& word : words) arguments += word + '\0';
  const CommandLine line = cut_command_line(arguments);
  for (const RuntimeRule& rule : rules) {
    bool known = matches_process(rule, words.front()) || matches_script(rule, line.script);
    for (const std::string& word : words)
      known = known || (wrapped && (matches_process(rule, word) || matches_script(rule, word) ||
                                    matches_image(rule, split_image(word).first)));
    if (known) entries.push_back({.rule = rule.id, .name = std::string(unit)});
  }
}

std::vector<InstalledEntry> read_unit(std::string_view path, std::string_view text,
                                      std::span<const RuntimeRule> rules) {
  std::vector<InstalledEntry> entries;
  const std::string_view unit = base_name(path);
  each_line(text, [&](std::string_view line) {
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return;
    std::string_view key = line.substr(0, equals), value = line.substr(equals + 1);
    key.remove_suffix(key.size() - std::min(key.find_last_not_of(" \t") + 1, key.size()));
    value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
    if (key == "ExecStart") take_command(value, unit, rules, entries);
    if (key != "Image" || !unit.ends_with(".container")) return;
    std::vector<InstalledEntry> images;
    add_image(images, value, rules);
    for (const InstalledEntry& image : images)
      entries.push_back({.rule = image.rule, .name = std::string(unit), .version = image.version});
  });
  return entries;
}

}  // namespace

extern const InstalledKind k_systemd_units;
const InstalledKind k_systemd_units = {.kind = "unit", .find = find_units, .read = read_unit};

}  // namespace lantern::sensor
