// What a host that has nothing cheaper answers: from processes(), which tells all.
#include "sensor/host.h"

#include <algorithm>

namespace lantern::sensor {
namespace {

Pulse pulse_of(const Process& process) {
  return {.pid = process.pid,
          .start_ticks = process.start_ticks,
          .resident_bytes = process.resident_bytes};
}

}  // namespace

Result<Process> Host::process(int pid) {
  LANTERN_ASSIGN(std::vector<Process> all, processes());
  const auto at = std::find_if(all.begin(), all.end(),
                               [&](const Process& process) { return process.pid == pid; });
  if (at == all.end()) return make_error(ErrorCode::kNotFound, "{}: no such process", pid);
  return std::move(*at);
}

Result<std::vector<Pulse>> Host::pulses() {
  LANTERN_ASSIGN(const std::vector<Process> all, processes());
  std::vector<Pulse> pulses;
  pulses.reserve(all.size());
  for (const Process& process : all) pulses.push_back(pulse_of(process));
  return pulses;
}

Result<Pulse> Host::pulse(int pid) {
  LANTERN_ASSIGN(const Process one, process(pid));
  return pulse_of(one);
}

Result<std::unique_ptr<ProcessEvents>> Host::process_events() {
  return make_error(ErrorCode::kUnsupported, "nothing tells of programs as they are started here");
}

}  // namespace lantern::sensor
