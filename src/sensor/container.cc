#include "sensor/container.h"

#include <array>

#include "base/printable.h"
#include "sensor/model_store.h"

namespace lantern::sensor {
namespace {

/// A component of the path that an engine makes: what stands before and behind the container's id.
struct GroupName {
  std::string_view engine, before, behind;
  bool numbered = true;  // the id is 64 hexadecimal digits, else a name
};
// systemd's cgroup driver makes scopes, cgroupfs folders (then `before` is the whole parent).
constexpr auto kGroupNames = std::to_array<GroupName>({
    {"docker", "docker-", ".scope"},
    {"podman", "libpod-", ".scope"},
    {"podman", "libpod-", ""},
    {"kubernetes", "cri-containerd-", ".scope"},
    {"kubernetes", "crio-", ".scope"},
    {"containerd", "nerdctl-", ".scope"},
    {"lxc", "lxc.payload.", "", false},
    {"systemd-nspawn", "systemd-nspawn@", ".service", false},
    {"systemd-nspawn", "machine-", ".scope", false},
    {"flatpak", "app-flatpak-", ".scope", false},
    {"snap", "snap.", ".scope", false},
    {"snap", "snap.", ".service", false},
});
constexpr auto kParents = std::to_array<GroupName>({
    {"docker", "docker", ""},
    {"podman", "libpod_parent", ""},
    {"lxc", "lxc", "", false},
    {"lxc", "lxc.payload", "", false},
});

bool is_container_number(std::string_view id) {
  return id.size() == 64 && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// systemd's names hold "\x2d" where a hyphen stood (systemd-escape(1)).
std::string without_escapes(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool hyphen = name.substr(i, 4) == "\\x2d";
    out += hyphen ? '-' : name[i];
    if (hyphen) i += 3;
  }
  return out;
}

std::optional<Container> named(const GroupName& name, std::string_view id) {
  if (id.empty() || (name.numbered && !is_container_number(id))) return std::nullopt;
  return Container{.engine = std::string(name.engine),
                   .id = name.numbered ? std::string(id.substr(0, 12))
                                       : base::printable(without_escapes(id), 64)};
}

}  // namespace

std::optional<Container> container_of(std::string_view cgroup) {
  std::optional<Container> innermost;
  std::string_view parent;
  bool in_pod = false;
  for (const std::string_view part : components(cgroup)) {
    in_pod = in_pod || part.starts_with("kubepods");
    std::optional<Container> here;
    // cgroupfs in a pod: /kubepods/burstable/pod<uid>/<64 digits>.
    if (in_pod && is_container_number(part))
      here = Container{"kubernetes", std::string(part.substr(0, 12))};
    for (const GroupName& name : kParents)
      if (!here && parent == name.before) here = named(name, part);
    for (const GroupName& name : kGroupNames)
      if (!here && part.starts_with(name.before) && part.ends_with(name.behind) &&
          part.size() > name.before.size() + name.behind.size())
        here = named(name, part.substr(name.before.size(),
                                       part.size() - name.before.size() - name.behind.size()));
    if (here) innermost = std::move(here);
    parent = part;
  }
  return innermost;
}

}  // namespace lantern::sensor
