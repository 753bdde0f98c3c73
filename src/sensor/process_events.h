// What the kernel tells of processes as it happens, so that one that lives for less than a look is
// seen. The proc connector (netlink, CONFIG_PROC_EVENTS, outside of containers; CAP_NET_ADMIN
// before Linux 6.6) is the one source there is; a program in the kernel's BPF would be another
// behind this interface. Where there is none, /proc alone is looked at.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::sensor {

struct StartedPrograms {
  std::vector<int> pids = {};  // of processes that execute another program since the last call
  bool lost = false;           // the kernel had more to tell than it could keep: look at all
};

class ProcessEvents {
 public:
  virtual ~ProcessEvents() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;  // "proc connector"
  /// Readable where there is something to take.
  [[nodiscard]] virtual int fd() const = 0;
  /// Whatever is there, never waiting.
  virtual StartedPrograms take() = 0;
};

/// kDenied without the right to it, kUnsupported where the kernel has none.
Result<std::unique_ptr<ProcessEvents>> open_proc_connector();

/// The processes that a datagram of the connector's says execute another program. Anything else in
/// it is left out; what ends early is, too.
std::vector<int> parse_proc_events(std::span<const std::byte> datagram);

}  // namespace lantern::sensor
