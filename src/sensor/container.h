// Which container a process runs in, by the name of its control group. Engines write these names; a
// process with the right to make groups can make any, so they are labels and no evidence.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lantern::sensor {

struct Container {
  std::string engine = {};  // "docker", "kubernetes"
  std::string id = {};      // printable: the first 12 digits of a number, else a name
};

/// `cgroup`: a path as /proc/PID/cgroup gives it: "/system.slice/docker-<64 digits>.scope".
/// Nothing where no engine that is known writes such.
std::optional<Container> container_of(std::string_view cgroup);

}  // namespace lantern::sensor
