#include "cli/watch_responses.h"

#include <algorithm>
#include <csignal>
#include <set>
#include <utility>

#include "base/paths.h"
#include "base/printable.h"
#include "gate/caller.h"

namespace lantern::cli {

using delivery::Severity;
using policy::SensorResponse;
using sensor::Finding;
using sensor::WatchClock;

WatchResponses::WatchResponses(sensor::Host& host, Verdicts& verdicts, WatchEvents& events)
    : host_(host),
      verdicts_(verdicts),
      events_(events),
      responses_(gate::SensorResponses::open()) {}

/// Time counts as watched between two steps that are as close as they should be: not what the
/// machine slept.
void WatchResponses::take_standing(WatchClock::time_point now) {
  constexpr std::chrono::seconds kGapMax{3600};
  const auto since = std::chrono::floor<std::chrono::seconds>(
      watched_until_ ? now - *watched_until_ : WatchClock::duration{});
  watched_until_ = watched_until_ && since < kGapMax ? *watched_until_ + since : now;
  standing_ = {};
  fault_.clear();
  gate::Governance* governance = verdicts_.governance();
  if (governance == nullptr) return;  // told already, as the records' fault
  if (!responses_.ok()) {
    fault_ = responses_.error().message;
    return;
  }
  auto standing = responses_->standing(*governance, since < kGapMax ? since : since * 0);
  if (standing.ok())
    standing_ = std::move(*standing);
  else
    fault_ = standing.error().message;
}

policy::ForeignModel WatchResponses::foreign(const Finding& finding) const {
  policy::ForeignModel model{
      .has_weights =
          std::any_of(finding.weights.begin(), finding.weights.end(),
                      [](const auto& one) { return one.use != sensor::Basis::kInferred; }),
      .is_alert = finding.level == sensor::Level::kAlert,
      .is_own = finding.kind == sensor::RuntimeClass::kOwn,
      .user = base::account_name(finding.process.uid),
      .program = finding.program};
  model.verdict = worst_verdict(finding, verdicts_, FilesJudged::kSeenFirst);
  if (const auto groups = gate::groups_of(model.user)) model.groups = *groups;
  return model;
}

gate::StopTarget WatchResponses::target_of(const Finding& finding) const {
  gate::StopTarget target{.pid = finding.process.pid,
                          .user = base::account_name(finding.process.uid),
                          .program = base::printable(finding.program, 1024),
                          .finding_id = events_.id_of(finding),
                          .verdict = worst_verdict(finding, verdicts_, FilesJudged::kSeenFirst)};
  for (const sensor::FoundWeights& one : finding.weights)
    if (one.use != sensor::Basis::kInferred && verdicts_.of(one).verdict == target.verdict &&
        target.model.empty())
      target.model = fmt::format("{} {}", verdicts_.of(one).model, one.facts.summary());
  return target;
}

void WatchResponses::tell_response(std::string_view name, const Finding& finding,
                                   SensorResponse response, std::string_view outcome) {
  auto event = events_.of_finding(
      name, finding, fmt::format("{}: {}", outcome, events_.sentence(finding)),
      {{"response", sensor_response_name(response)}, {"outcome", base::printable(outcome, 300)}});
  if (event.ok()) {
    event->severity = std::max(event->severity, Severity::kHigh);
    event->ocsf["severity_id"] = static_cast<int>(event->severity);
  }
  told_.push_back(std::move(event));
}

Status WatchResponses::stop(const std::shared_ptr<const Finding>& finding,
                            WatchClock::time_point now) {
  LANTERN_ASSIGN(
      sensor::ProcessHandle process,
      sensor::ProcessHandle::open(host_, finding->process.pid, finding->process.start_ticks));
  gate::StopTarget target = target_of(*finding);
  LANTERN_TRY(gate::SensorResponses::record_stop(*verdicts_.governance(), target));
  Status sent = process.send(SIGTERM);
  if (!sent.ok()) {
    gate::SensorResponses::record_failure(*verdicts_.governance(), target, sent.error().message);
    return sent;
  }
  stops_.push_back({.process = std::move(process),
                    .target = std::move(target),
                    .finding = finding,
                    .deadline = now + std::chrono::seconds(standing_.policy->grace_s)});
  return {};
}

void WatchResponses::act(const std::shared_ptr<const Finding>& finding, SensorResponse response,
                         WatchClock::time_point now) {
  if (!standing_.enforced) {
    const Status counted = responses_->count(response);
    if (!counted.ok()) fault_ = counted.error().message;
    tell_response("response.would-take", *finding, response,
                  response == SensorResponse::kStop ? "would be stopped" : "would be notified");
  } else if (response == SensorResponse::kNotify) {
    tell_response("response.taken", *finding, response, "notified");
  } else if (const Status stopped = stop(finding, now); stopped.ok()) {
    tell_response("response.taken", *finding, response, "asked to end (SIGTERM)");
  } else {
    tell_response("response.failed", *finding, response, "not stopped: " + stopped.error().message);
  }
}

/// Who does not end when asked is made to.
void WatchResponses::go_on(WatchClock::time_point now) {
  for (Stop& one : stops_) {
    if (one.process.ended() || one.deadline > now) continue;
    const Status sent = one.process.send(SIGKILL);
    if (sent.ok()) {
      tell_response("response.taken", *one.finding, SensorResponse::kStop, "made to end (SIGKILL)");
    } else if (sent.error().code != ErrorCode::kNotFound) {
      if (gate::Governance* governance = verdicts_.governance())
        gate::SensorResponses::record_failure(*governance, one.target, sent.error().message);
      tell_response("response.failed", *one.finding, SensorResponse::kStop,
                    "not made to end: " + sent.error().message);
    }
  }
  std::erase_if(stops_,
                [&](const Stop& one) { return one.process.ended() || one.deadline <= now; });
}

std::vector<Result<delivery::Event>> WatchResponses::step(const Findings& findings,
                                                          WatchClock::time_point now) {
  told_.clear();
  take_standing(now);
  go_on(now);
  std::set<std::string> running;
  for (const auto& finding : findings) {
    const std::string id = events_.id_of(*finding);
    running.insert(id);
    if (!standing_.policy) continue;
    const SensorResponse response = respond(*standing_.policy, foreign(*finding));
    const std::string what = fmt::format("{} {}", sensor_response_name(response),
                                         standing_.enforced ? "enforced" : "dry run");
    if (std::exchange(done_[id], what) == what || response == SensorResponse::kObserve) continue;
    act(finding, response, now);
  }
  std::erase_if(done_, [&](const auto& one) { return !running.contains(one.first); });
  return std::move(told_);
}

std::optional<WatchClock::time_point> WatchResponses::due() const {
  std::optional<WatchClock::time_point> due;
  for (const Stop& one : stops_) due = due ? std::min(*due, one.deadline) : one.deadline;
  return due;
}

std::string WatchResponses::text() const {
  return fault_.empty() ? standing_.text() : "no response is taken: " + fault_;
}

}  // namespace lantern::cli
