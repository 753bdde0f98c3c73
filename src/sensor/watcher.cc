#include "sensor/watcher.h"

#include <algorithm>
#include <set>
#include <utility>

namespace lantern::sensor {
namespace {

using std::chrono::milliseconds;

/// A model is at least as large as the smallest file of weights.
constexpr uint64_t kGrownBytesMin = kWeightBytesMin;
/// After a program was started: models are mapped soon after, or in the first seconds. Later the
/// interval's look sees it.
constexpr milliseconds kSoon[] = {milliseconds(100), milliseconds(300), milliseconds(600),
                                  milliseconds(900), milliseconds(900)};
/// So many looks in an interval: some tenths of a millisecond each. The largest come first.
constexpr size_t kLooksMax = 64;

/// What makes a finding another one: not its score, which computing alone changes.
std::string gist_of(const Finding& finding) {
  std::string gist = fmt::format("{} {}", level_name(finding.level), finding.runtime);
  for (const uint16_t port : finding.ports) gist += fmt::format(" {}", port);
  for (const FoundWeights& weights : finding.weights)
    gist += fmt::format("\n{} {} {} {} {}", weights.path, weights.deleted, weights.size,
                        basis_name(weights.use), weights.facts.summary());
  return gist;
}

/// Weights that were read into memory and closed: the sweep sees no file any more, but it was seen
/// open in this very program, and as much memory is held.
void keep_what_was_read(const Finding& before, Finding& now) {
  if (!now.weights.empty()) return;
  for (const FoundWeights& weights : before.weights) {
    if (now.process.anonymous_bytes < weights.size - weights.size / 10) continue;
    now.weights.push_back(weights);
    now.weights.back().use = Basis::kInferred;
  }
}

bool is_same_file(const FoundWeights& a, const FoundWeights& b) {
  return a.path == b.path && a.stamp == b.stamp;
}

}  // namespace

Result<std::unique_ptr<Watcher>> Watcher::start(Host& host, ProcessEvents* events,
                                                WatchOptions options) {
  LANTERN_ASSIGN(std::vector<RuntimeRule> rules, read_runtime_rules());
  return std::unique_ptr<Watcher>(new Watcher(host, events, std::move(options), std::move(rules)));
}

void Watcher::take_events(WatchClock::time_point now) {
  if (events_ == nullptr) return;
  const StartedPrograms started = events_->take();
  for (const int pid : started.pids) soon_.insert_or_assign(pid, Soon{.at = now + kSoon[0]});
  if (started.lost) next_pulses_ = now;
}

void Watcher::end(Seen& seen, bool exited, std::vector<Observation>& told) {
  if (seen.finding == nullptr) return;
  told.push_back(
      {.change = Change::kEnded, .finding = std::exchange(seen.finding, {}), .exited = exited});
}

/// `young`: it has been running for less than a moment, and may well be gone after the next.
void Watcher::note(const Pulse& pulse, bool young, WatchClock::time_point now,
                   std::vector<Observation>& told) {
  const auto [at, is_new] = processes_.try_emplace(pulse.pid);
  Seen& seen = at->second;
  if (is_new || seen.pulse.start_ticks != pulse.start_ticks) {
    end(seen, true, told);
    seen = {.pulse = pulse, .full = now + options_.full_interval, .is_new = true};
  }
  const bool grown = pulse.resident_bytes >= seen.pulse.resident_bytes + kGrownBytesMin ||
                     pulse.mapped_bytes >= seen.pulse.mapped_bytes + kGrownBytesMin;
  const bool large = pulse.resident_bytes >= kGrownBytesMin;
  if (pulse.image != seen.pulse.image || grown || (seen.is_new && (!young || large)))
    seen.waits = true;
  // What shrank may grow again.
  seen.pulse.resident_bytes = std::min(seen.pulse.resident_bytes, pulse.resident_bytes);
  seen.pulse.mapped_bytes = std::min(seen.pulse.mapped_bytes, pulse.mapped_bytes);
  seen.now = pulse;
}

Status Watcher::take_pulses(WatchClock::time_point now, std::vector<Observation>& told) {
  if (now < next_pulses_) return {};
  LANTERN_ASSIGN(const std::vector<Pulse> pulses, host_.pulses());
  next_pulses_ = now + options_.interval;
  n_looks_ = 0;
  std::set<int> alive;
  for (const Pulse& pulse : pulses) {
    alive.insert(pulse.pid);
    note(pulse, false, now, told);
  }
  for (auto at = processes_.begin(); at != processes_.end();)
    at = alive.contains(at->first) ? std::next(at) : forget(at, told);
  return {};
}

Watcher::Processes::iterator Watcher::forget(Processes::iterator at,
                                             std::vector<Observation>& told) {
  end(at->second, true, told);
  return processes_.erase(at);
}

void Watcher::look_soon(WatchClock::time_point now, std::vector<Observation>& told) {
  for (auto at = soon_.begin(); at != soon_.end();) {
    auto& [pid, soon] = *at;
    if (soon.at > now) {
      ++at;
      continue;
    }
    const auto pulse = host_.pulse(pid);
    if (pulse.ok())
      note(*pulse, true, now, told);
    else if (const auto gone = processes_.find(pid); gone != processes_.end())
      forget(gone, told);
    if (!pulse.ok() || ++soon.n == std::size(kSoon)) {
      at = soon_.erase(at);
      continue;
    }
    soon.at = now + kSoon[soon.n];
    ++at;
  }
}

/// Who deserves a look now, the largest first; then who is due anyway, longest first, so many that
/// all have their turn in a full interval and no interval has more than its part.
std::vector<int> Watcher::who_waits(WatchClock::time_point now) {
  std::vector<std::pair<uint64_t, int>> waiting;
  std::vector<std::pair<WatchClock::time_point, int>> anyway;
  for (const auto& [pid, seen] : processes_) {
    if (seen.waits)
      waiting.emplace_back(seen.now.resident_bytes, pid);
    else if (seen.full <= now)
      anyway.emplace_back(seen.full, pid);
  }
  std::sort(waiting.rbegin(), waiting.rend());
  std::sort(anyway.begin(), anyway.end());
  std::vector<int> pids;
  for (const auto& [bytes, pid] : waiting)
    if (!started_ || n_looks_++ < kLooksMax) pids.push_back(pid);
  const size_t part = processes_.size() * static_cast<size_t>(options_.interval.count()) /
                          static_cast<size_t>(options_.full_interval.count()) +
                      4;
  for (const auto& [at, pid] : anyway)
    if (pids.size() < part) pids.push_back(pid);
  std::sort(pids.begin(), pids.end());
  return pids;
}

Status Watcher::look_at(const std::vector<int>& pids, WatchClock::time_point now,
                        std::vector<Observation>& told) {
  LANTERN_ASSIGN(SweepReport report, sweep(host_,
                                           {.probe = options_.probe,
                                            .pids = pids,
                                            .at_rest = &at_rest_,
                                            .listeners = &listeners_,
                                            .parser = options_.parser},
                                           rules_));
  std::map<int, Finding*> found;
  for (Finding& finding : report.findings) found[finding.process.pid] = &finding;
  const std::set<int> hidden(report.hidden.begin(), report.hidden.end());
  for (const int pid : pids) {
    Seen& seen = processes_.at(pid);
    const auto at = found.find(pid);
    Finding* finding = at == found.end() ? nullptr : at->second;
    // Gone by now, or its number is another's: the next pulses say so.
    const auto pulse = host_.pulse(pid);
    if (!pulse.ok() || pulse->start_ticks != seen.pulse.start_ticks ||
        (finding != nullptr && finding->process.start_ticks != seen.pulse.start_ticks))
      continue;
    const bool executed = seen.now.image != seen.pulse.image;
    seen.pulse = seen.now;
    seen.waits = false;
    seen.is_new = false;
    seen.full = now + options_.full_interval;
    seen.hidden = hidden.contains(pid);
    if (finding == nullptr) {
      end(seen, false, told);
      continue;
    }
    if (seen.finding != nullptr && !executed) keep_what_was_read(*seen.finding, *finding);
    const auto before =
        std::exchange(seen.finding, std::make_shared<const Finding>(std::move(*finding)));
    if (before == nullptr)
      told.push_back({.change = Change::kAppeared, .finding = seen.finding, .at_start = !started_});
    else if (gist_of(*before) != gist_of(*seen.finding))
      told.push_back({.change = Change::kChanged, .finding = seen.finding});
  }
  return {};
}

Result<std::vector<Observation>> Watcher::step(WatchClock::time_point now) {
  std::vector<Observation> told;
  take_events(now);
  look_soon(now, told);
  LANTERN_TRY(take_pulses(now, told));
  const std::vector<int> pids = who_waits(now);
  if (!pids.empty()) LANTERN_TRY(look_at(pids, now, told));
  if (!started_) {
    // The next looks at all are spread over the interval.
    started_ = true;
    size_t n = 0;
    for (auto& [pid, seen] : processes_)
      seen.full = now + options_.full_interval * ++n / processes_.size();
  }
  return told;
}

WatchClock::time_point Watcher::due() const {
  WatchClock::time_point due = next_pulses_;
  for (const auto& [pid, soon] : soon_) due = std::min(due, soon.at);
  return due;
}

std::vector<WeightsObservation> Watcher::at_rest(std::vector<FoundWeights> found) {
  std::vector<WeightsObservation> told;
  const auto tell_missing = [&](const std::vector<FoundWeights>& of,
                                const std::vector<FoundWeights>& in, bool gone) {
    // Both are sorted by path.
    for (const FoundWeights& one : of) {
      const auto at = std::lower_bound(
          in.begin(), in.end(), one,
          [](const FoundWeights& a, const FoundWeights& b) { return a.path < b.path; });
      if (at == in.end() || !is_same_file(*at, one)) told.push_back({.gone = gone, .weights = one});
    }
  };
  tell_missing(at_rest_, found, true);
  tell_missing(found, at_rest_, false);
  if (told.empty()) return told;
  at_rest_ = std::move(found);
  // Memory may fit a file that was not known before.
  for (auto& [pid, seen] : processes_)
    if (seen.finding != nullptr && seen.finding->weights.empty()) seen.waits = true;
  return told;
}

std::vector<std::shared_ptr<const Finding>> Watcher::findings() const {
  std::vector<std::shared_ptr<const Finding>> all;
  for (const auto& [pid, seen] : processes_)
    if (seen.finding != nullptr) all.push_back(seen.finding);
  return all;
}

size_t Watcher::n_hidden() const {
  return static_cast<size_t>(std::count_if(processes_.begin(), processes_.end(),
                                           [](const auto& one) { return one.second.hidden; }));
}

}  // namespace lantern::sensor
