// Does what the policy asks for about what `lantern watch` sees ([sensor], docs/policy.md): each
// process once, told in events, stops recorded before they happen.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/verdicts.h"
#include "cli/watch_events.h"
#include "gate/sensor_responses.h"
#include "sensor/process_handle.h"
#include "sensor/watcher.h"

namespace lantern::cli {

class WatchResponses {
 public:
  using Findings = std::vector<std::shared_ptr<const sensor::Finding>>;

  /// All outlive it.
  WatchResponses(sensor::Host& host, Verdicts& verdicts, WatchEvents& events);

  /// Judges all that runs, and goes on with stops under way. Events of what was done.
  std::vector<Result<delivery::Event>> step(const Findings& findings,
                                            sensor::WatchClock::time_point now);
  /// When a stop under way wants step() again.
  [[nodiscard]] std::optional<sensor::WatchClock::time_point> due() const;
  /// What holds, for a person.
  [[nodiscard]] std::string text() const;
  /// Why the policy cannot be gone by; empty: it can.
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  struct Stop {
    sensor::ProcessHandle process;
    gate::StopTarget target;
    std::shared_ptr<const sensor::Finding> finding;
    sensor::WatchClock::time_point deadline;
  };

  void take_standing(sensor::WatchClock::time_point now);
  void act(const std::shared_ptr<const sensor::Finding>& finding, policy::SensorResponse response,
           sensor::WatchClock::time_point now);
  Status stop(const std::shared_ptr<const sensor::Finding>& finding,
              sensor::WatchClock::time_point now);
  void go_on(sensor::WatchClock::time_point now);
  [[nodiscard]] policy::ForeignModel foreign(const sensor::Finding& finding) const;
  [[nodiscard]] gate::StopTarget target_of(const sensor::Finding& finding) const;
  void tell_response(std::string_view name, const sensor::Finding& finding,
                     policy::SensorResponse response, std::string_view outcome);

  sensor::Host& host_;
  Verdicts& verdicts_;
  WatchEvents& events_;
  Result<gate::SensorResponses> responses_;
  gate::ResponseStanding standing_;
  std::string fault_;
  std::optional<sensor::WatchClock::time_point> watched_until_;
  std::map<std::string, std::string> done_;  // by finding: what was done, and whether in earnest
  std::vector<Stop> stops_;
  std::vector<Result<delivery::Event>> told_;
};

}  // namespace lantern::cli
