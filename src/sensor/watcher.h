// Looks at a machine again and again, and tells what changed. What it costs is what it looks at:
//
//   every interval      one number of each process: is it new, another program, grown?
//   those, then         a look as a sweep takes it (sweep.h)
//   all, one by one     the same look, each process once in `full_interval`
//   where the kernel    each program that is started, at once (process_events.h), and for its first
//   tells               seconds again, as models are mapped soon after
//
// A process is its number and its start. Nothing is kept: a watcher that starts anew tells all that
// runs anew. What lies at rest is told by whoever walks for it (at_rest()).
//
// One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sensor/look_cache.h"
#include "sensor/process_events.h"
#include "sensor/sweep.h"

namespace lantern::sensor {

using WatchClock = std::chrono::steady_clock;

struct WatchOptions {
  std::chrono::milliseconds interval{4000};
  std::chrono::milliseconds full_interval{60'000};
  bool probe = false;  // as SweepOptions has it
  ParserOptions parser = {};
};

enum class Change {
  kAppeared,
  kChanged,  // its level, its runtime, its ports or its files of weights
  kEnded,    // the process, or all that spoke for a model in it
};

struct Observation {
  Change change = Change::kAppeared;
  std::shared_ptr<const Finding> finding;  // as it was last seen
  bool at_start = false;                   // it ran before the watcher did
  bool exited = false;                     // of kEnded: the process is gone
};

struct WeightsObservation {
  bool gone = false;
  FoundWeights weights = {};
};

class Watcher {
 public:
  /// `host` and `events` outlive it; `events` may be null. kCorrupt for broken rules.
  static Result<std::unique_ptr<Watcher>> start(Host& host, ProcessEvents* events,
                                                WatchOptions options);

  /// Looks at what is due, and never for long: what is too much for one step waits for the next.
  /// kIo where processes cannot be listed or no child be started: what was not looked at stays due.
  Result<std::vector<Observation>> step(WatchClock::time_point now);
  /// When step() has something to do again, but for events.
  [[nodiscard]] WatchClock::time_point due() const;

  /// What lies on disk now, by path; what of it appeared and went since the last time.
  std::vector<WeightsObservation> at_rest(std::vector<FoundWeights> found);

  /// All that runs, as it was last seen.
  [[nodiscard]] std::vector<std::shared_ptr<const Finding>> findings() const;
  [[nodiscard]] size_t n_processes() const { return processes_.size(); }
  [[nodiscard]] size_t n_hidden() const;  // of them, those that could not be looked into

  void set_options(WatchOptions options) {
    options_ = std::move(options);
    options_.parser.cache = &cache_;
  }

 private:
  struct Seen {
    Pulse pulse = {};                  // at the last look; since then, where it shrank
    WatchClock::time_point full = {};  // when it is looked at anyway
    Pulse now = {};                    // as it was last taken
    bool is_new = true;                // not looked at yet
    bool waits = false;                // it deserves a look now
    bool hidden = false;
    std::shared_ptr<const Finding> finding = {};
  };
  struct Soon {
    WatchClock::time_point at = {};
    size_t n = 0;
  };

  using Processes = std::map<int, Seen>;

  Watcher(Host& host, ProcessEvents* events, WatchOptions options, std::vector<RuntimeRule> rules)
      : host_(host), events_(events), options_(std::move(options)), rules_(std::move(rules)) {
    options_.parser.cache = &cache_;
  }
  void take_events(WatchClock::time_point now);
  Status take_pulses(WatchClock::time_point now, std::vector<Observation>& told);
  void look_soon(WatchClock::time_point now, std::vector<Observation>& told);
  void note(const Pulse& pulse, bool young, WatchClock::time_point now,
            std::vector<Observation>& told);
  [[nodiscard]] std::vector<int> who_waits(WatchClock::time_point now);
  Status look_at(const std::vector<int>& pids, WatchClock::time_point now,
                 std::vector<Observation>& told);
  Processes::iterator forget(Processes::iterator at, std::vector<Observation>& told);
  static void end(Seen& seen, bool exited, std::vector<Observation>& told);

  Host& host_;
  ProcessEvents* events_;
  WatchOptions options_;
  std::vector<RuntimeRule> rules_;
  LookCache cache_;
  Processes processes_;
  std::map<int, Soon> soon_;  // that execute another program since a moment
  size_t n_looks_ = 0;        // since the last pulses
  std::vector<FoundWeights> at_rest_;
  std::vector<Listener> listeners_;
  WatchClock::time_point listeners_until_ = {};
  WatchClock::time_point next_pulses_ = {};
  bool started_ = false;
};

}  // namespace lantern::sensor
