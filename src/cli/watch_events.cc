#include "cli/watch_events.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/hash.h"
#include "base/paths.h"
#include "base/printable.h"
#include "base/progress.h"
#include "sensor/report.h"

namespace lantern::cli {
namespace {

using base::OrderedJson;
using delivery::Event;
using delivery::Severity;
using sensor::Change;
using sensor::Finding;
using sensor::FindingActivity;
using sensor::FoundWeights;

constexpr std::array<std::string_view, 3> kChangeNames = {"finding.appeared", "finding.changed",
                                                          "finding.ended"};

constexpr size_t kToldFilesMax = 8, kToldEvidenceMax = 32;

std::string shown(std::string_view text) { return base::printable(text, 300); }

FindingActivity activity_of(std::string_view name) {
  if (name == kChangeNames[static_cast<size_t>(Change::kAppeared)]) return FindingActivity::kCreate;
  if (name == kChangeNames[static_cast<size_t>(Change::kEnded)]) return FindingActivity::kClose;
  return FindingActivity::kUpdate;
}

/// OCSF's Application Lifecycle.
OrderedJson lifecycle(std::string_view name) {
  const int activity = name == "watch.started" ? 3 : name == "watch.stopped" ? 4 : 99;
  OrderedJson product = {
      {"name", "Lantern"}, {"vendor_name", "Lantern"}, {"version", LANTERN_VERSION}};
  return {{"class_uid", 6002},
          {"class_name", "Application Lifecycle"},
          {"category_uid", 6},
          {"activity_id", activity},
          {"type_uid", 600200 + activity},
          {"metadata", {{"version", "1.8.0"}, {"product", product}}},
          {"app", product}};
}

void add_weights_params(const FoundWeights& weights, std::string verdict, Event& event) {
  event.params.emplace_back("arch", weights.facts.architecture);
  event.params.emplace_back(
      "params", weights.facts.parameters > 0 ? std::to_string(weights.facts.parameters) : "");
  event.params.emplace_back("quant", weights.facts.quantization);
  event.params.emplace_back("sha256", weights.digest ? base::to_hex(*weights.digest) : "");
  event.params.emplace_back("verdict", std::move(verdict));
}

}  // namespace

WatchEvents::WatchEvents(std::string boot_id, Verdicts& verdicts)
    : boot_id_(std::move(boot_id)), verdicts_(verdicts) {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  hostname_ = shown(name.data());
}

Result<Event> WatchEvents::make(std::string_view name, Severity severity, std::string text) {
  Event event{.time_us = delivery::now_us(),
              .name = std::string(name),
              .severity = severity,
              .json = {{"host", hostname_}},
              .text = std::move(text)};
  LANTERN_ASSIGN(event.id, delivery::new_event_id(event.time_us));
  return event;
}

std::string WatchEvents::id_of(const Finding& finding) const {
  return finding_id(finding, boot_id_);
}

std::string WatchEvents::sentence(const Finding& finding) {
  std::string text =
      finding.runtime_name.empty() ? "an unknown engine runs" : finding.runtime_name + " runs";
  if (!finding.weights.empty()) {
    const FoundWeights& first = finding.weights.front();
    const std::string& name = first.label.empty() ? first.facts.name : first.label;
    text += fmt::format(" {}{}{}", first.use == sensor::Basis::kInferred ? "perhaps " : "",
                        name.empty() ? "" : name + ", ", first.facts.summary());
    if (finding.weights.size() > 1)
      text += fmt::format(" and {} more files of weights", finding.weights.size() - 1);
    text += ": " + worst_verdict(finding, verdicts_);
  }
  return shown(fmt::format("{} (process {} of {}, {})", text, finding.process.pid,
                           base::account_name(finding.process.uid), level_name(finding.level)));
}

Result<Event> WatchEvents::of_finding(std::string_view name, const Finding& finding,
                                      std::string text, const OrderedJson& more) {
  const std::string verdict = worst_verdict(finding, verdicts_);
  LANTERN_ASSIGN(Event event, of_files(name, finding, std::move(text), verdict, more));
  if (event_line(event).size() < delivery::kEventBytesMax &&
      ocsf_line(event).size() < delivery::kEventBytesMax)
    return event;
  // The largest models have hundreds of files, and an event its limit: the worst are told.
  Finding cut = finding;
  const auto is_worst = [&](const FoundWeights& one) {
    return verdicts_.of(one).verdict == verdict;
  };
  std::stable_partition(cut.weights.begin(), cut.weights.end(), is_worst);
  cut.weights.resize(std::min(cut.weights.size(), kToldFilesMax));
  cut.evidence.resize(std::min(cut.evidence.size(), kToldEvidenceMax));
  return of_files(name, cut, std::move(event.text), verdict, more);
}

Result<Event> WatchEvents::of_files(std::string_view name, const Finding& finding, std::string text,
                                    const std::string& verdict, const OrderedJson& more) {
  const auto verdict_of = [this](const FoundWeights& weights) { return verdicts_.of(weights); };
  const auto severity = finding.level == sensor::Level::kLabel
                            ? Severity::kInformational
                            : static_cast<Severity>(finding_severity(finding, verdict_of));
  LANTERN_ASSIGN(Event event, make(name, severity, std::move(text)));
  event.json["finding_id"] = id_of(finding);
  for (const auto& [key, value] : more.items()) event.json[key] = value;
  event.json["verdict"] = verdict;
  event.json["finding"] = finding_to_json(finding, verdict_of);
  event.ocsf =
      finding_to_ocsf(finding, activity_of(name), event.time_us / 1'000'000, boot_id_, verdict_of);
  event.ocsf["device"] = {{"type_id", 0}, {"name", hostname_}};
  event.params = {{"runtime", finding.runtime}};
  if (finding.weights.empty())
    event.params.emplace_back("verdict", verdict);
  else
    add_weights_params(finding.weights.front(), verdict, event);
  event.params.emplace_back("pid", std::to_string(finding.process.pid));
  event.params.emplace_back("user", base::account_name(finding.process.uid));
  return event;
}

Result<Event> WatchEvents::of(const sensor::Observation& observation) {
  const Finding& finding = *observation.finding;
  const std::string text = sentence(finding);
  switch (observation.change) {
    case Change::kAppeared:
      return of_finding(kChangeNames[0], finding, text, {{"at_start", observation.at_start}});
    case Change::kChanged:
      return of_finding(kChangeNames[1], finding, text);
    case Change::kEnded:
      break;
  }
  return of_finding(kChangeNames[2], finding, "ended: " + text, {{"exited", observation.exited}});
}

Result<Event> WatchEvents::of(const sensor::WeightsObservation& observation) {
  const FoundWeights& weights = observation.weights;
  const auto verdict_of = [this](const FoundWeights& one) { return verdicts_.of(one); };
  const std::string verdict = verdict_of(weights).verdict;
  const auto severity = observation.gone || verdict == "approved" ? Severity::kInformational
                        : verdict == "revoked"                    ? Severity::kHigh
                                                                  : Severity::kLow;
  LANTERN_ASSIGN(Event event, make(observation.gone ? "weights.gone" : "weights.appeared", severity,
                                   shown(fmt::format("{} {} at {}: {}", weights.facts.summary(),
                                                     observation.gone ? "is gone; it lay" : "lies",
                                                     weights.path, verdict))));
  event.json["verdict"] = verdict;
  event.json["weights"] = weights_to_report(weights, verdict_of);
  const sensor::SweepReport inventory{.at_rest = {weights}, .at_s = event.time_us / 1'000'000};
  event.ocsf = std::move(report_to_ocsf(inventory, verdict_of, hostname_).back());
  add_weights_params(weights, verdict, event);
  return event;
}

Result<Event> WatchEvents::of_watch(std::string_view name, Severity severity, std::string_view text,
                                    OrderedJson more) {
  LANTERN_ASSIGN(Event event, make(name, severity, shown(text)));
  for (auto& [key, value] : more.items()) event.json[key] = std::move(value);
  event.ocsf = lifecycle(name);
  event.ocsf["device"] = {{"type_id", 0}, {"name", hostname_}};
  return event;
}

}  // namespace lantern::cli
