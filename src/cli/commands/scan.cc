// lantern scan: what else on this machine runs AI, and what Lantern's records say of its models.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/idle_pages.h"
#include "base/paths.h"
#include "base/printable.h"
#include "base/progress.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/verdicts.h"
#include "sensor/disk_walk.h"
#include "sensor/procfs_host.h"
#include "sensor/recording.h"
#include "sensor/report.h"
#include "sensor/sweep.h"

namespace lantern::cli {
namespace {

using sensor::Finding;
using sensor::FoundWeights;
using sensor::JoinedVerdict;
using sensor::Level;
using sensor::RuntimeClass;
using sensor::SweepReport;

struct Flags {
  sensor::SweepOptions sweep;
  bool json = false, cyclonedx = false, ocsf = false;
  std::string replay, record;
  CLI::App* explain = nullptr;
  std::string target;
};

std::string since(int64_t started_at_s) {
  const std::string text =
      base::format_utc(base::UtcTime(std::chrono::seconds(std::max<int64_t>(started_at_s, 0))));
  return text.substr(0, 10) + " " + text.substr(11, 5);
}

std::string what_of(const Finding& finding) {
  std::string name = finding.runtime_name.empty() ? "an unknown engine" : finding.runtime_name;
  if (finding.kind == RuntimeClass::kAgent || finding.kind == RuntimeClass::kFrontEnd)
    name += fmt::format(" ({})", runtime_class_name(finding.kind));
  const std::string where = whereabouts(finding);
  return where.empty() ? name : name + ", " + where;
}

/// Of a process in a user namespace, whose namespace it is, too: its own number may be nobody's.
std::string user_of(const Finding& finding) {
  std::string name = base::account_name(finding.process.uid);
  const auto& owner = finding.surroundings.owner;
  if (owner && *owner != finding.process.uid) name += " of " + base::account_name(*owner);
  return name;
}

std::string model_name(const FoundWeights& weights) {
  std::string name = !weights.label.empty() ? weights.label : weights.facts.name;
  return (weights.use == sensor::Basis::kInferred ? "perhaps " : "") +
         (name.empty() ? "" : name + ", ") + weights.facts.summary();
}

std::string why_of(const Finding& finding) {
  std::vector<std::string> classes;
  for (const sensor::Evidence& one : finding.evidence)
    if (const std::string name(evidence_class_name(one.kind));
        std::find(classes.begin(), classes.end(), name) == classes.end())
      classes.push_back(name);
  std::string text;
  for (const std::string& name : classes) text += (text.empty() ? "" : " + ") + name;
  return text;
}

std::string table_of(const SweepReport& report, Verdicts& verdicts) {
  std::vector<std::vector<std::string>> rows = {
      {"WHAT", "PID", "MODEL", "IT IS", "USER", "SINCE (UTC)", "SURE", "WHY"}};
  for (const Finding& finding : report.findings) {
    const std::vector<std::string> who = {
        user_of(finding), since(finding.process.started_at_s),
        fmt::format("{} {}", level_name(finding.level), finding.score), why_of(finding)};
    bool first = true;
    const auto row = [&](const std::string& model, const std::string& verdict) {
      std::vector<std::string> cells = {first ? what_of(finding) : "",
                                        first ? std::to_string(finding.process.pid) : "", model,
                                        verdict};
      for (const std::string& cell : who) cells.push_back(first ? cell : "");
      rows.push_back(std::move(cells));
      first = false;
    };
    for (const FoundWeights& weights : finding.weights)
      row(model_name(weights), verdicts.of(weights).verdict);
    if (finding.weights.empty()) row("-", "-");
  }
  return rows.size() > 1 ? table(rows, {1}) : "";
}

std::string at_rest_table(const SweepReport& report, Verdicts& verdicts) {
  std::vector<std::vector<std::string>> rows = {{"AT REST", "IT IS", "SIZE", "STORE", "FILE"}};
  for (const FoundWeights& weights : report.at_rest)
    rows.push_back(
        {model_name(weights), verdicts.of(weights).verdict, base::format_bytes(weights.size),
         weights.store.empty() ? "-" : weights.store,
         base::printable(weights.path, 200) +
             (weights.parts.empty() ? "" : fmt::format(" and {} more", weights.parts.size() - 1))});
  return rows.size() > 1 ? table(rows, {2}) : "";
}

std::string installed_table(const SweepReport& report) {
  std::vector<std::vector<std::string>> rows = {{"INSTALLED", "VERSION", "KIND", "USER", "WHERE"}};
  for (const sensor::Installed& one : report.installed)
    rows.push_back({one.name, one.version.empty() ? "-" : one.version, one.kind,
                    base::account_name(one.uid), base::printable(one.where, 200)});
  return rows.size() > 1 ? table(rows) : "";
}

Status print_report(const Flags& flags, const SweepReport& report, Verdicts& verdicts) {
  const auto verdict_of = [&](const FoundWeights& weights) { return verdicts.of(weights); };
  if (flags.json) return print_json(report_to_json(report, verdict_of));
  if (flags.cyclonedx) return print_json(report_to_cyclonedx(report, verdict_of));
  if (flags.ocsf) {
    char name[256] = {};
    ::gethostname(name, sizeof name - 1);
    for (const base::OrderedJson& event : report_to_ocsf(report, verdict_of, name))
      LANTERN_TRY(
          print(event.dump(-1, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n"));
    return {};
  }
  std::string text;
  for (const std::string& part :
       {table_of(report, verdicts), at_rest_table(report, verdicts), installed_table(report)})
    text += (text.empty() || part.empty() ? "" : "\n") + part;
  return print(visible(text));
}

void tell_limits(const SweepReport& report) {
  if (!report.hidden.empty())
    tell(fmt::format("{} of {} processes could not be looked into", report.hidden.size(),
                     report.n_processes));
  for (const std::string& line : report.blind_spots) tell("not seen: " + line);
}

Result<std::unique_ptr<sensor::Host>> open_host(const Flags& flags) {
  if (!flags.replay.empty()) return sensor::open_recording(flags.replay);
  LANTERN_ASSIGN(std::unique_ptr<sensor::Host> host, sensor::open_procfs_host());
  if (flags.record.empty()) return host;
  return std::unique_ptr<sensor::Host>(sensor::record(std::move(host)));
}

std::string attributes_text(const FoundWeights& weights, Verdicts& verdicts) {
  const JoinedVerdict& joined = verdicts.of(weights);
  std::string text = fmt::format("{}{}\n", base::printable(weights.path, 1024),
                                 weights.deleted ? " (deleted)" : "");
  std::vector<std::vector<std::string>> rows = {{"  WHAT", "VALUE", "HOW", "READ AT"}};
  for (const sensor::Attribute& one : attributes_of(weights))
    rows.push_back({"  " + one.name, one.value, std::string(basis_name(one.basis)), one.where});
  std::string matched = joined.verdict;
  if (!joined.model.empty()) matched += ": " + joined.model;
  rows.push_back({"  verdict", matched, joined.matched_by.empty() ? "-" : "verified",
                  joined.matched_by.empty() ? "no record of it" : "by its " + joined.matched_by});
  return text + table(rows);
}

Result<Exit> explain_process(const Flags& flags, int pid) {
  LANTERN_ASSIGN(const std::unique_ptr<sensor::Host> host, open_host(flags));
  sensor::SweepOptions options = flags.sweep;
  options.pids = {pid};
  LANTERN_ASSIGN(const SweepReport report, sensor::sweep(*host, options));
  tell_limits(report);
  if (report.n_processes == 0) return make_error(ErrorCode::kNotFound, "{}: no such process", pid);
  Verdicts verdicts;
  if (report.findings.empty()) {
    tell(fmt::format("{}: nothing speaks for a model in it", pid));
    return Exit::kDone;
  }
  const Finding& finding = report.findings.front();
  std::string text =
      fmt::format("{}, process {} of {}, since {} UTC\nprogram {}\n{}, {} of 100\n\n",
                  what_of(finding), pid, user_of(finding), since(finding.process.started_at_s),
                  finding.program.empty() ? "-" : base::printable(finding.program, 1024),
                  level_name(finding.level), finding.score);
  std::vector<std::vector<std::string>> rows = {{"EVIDENCE", "", "HOW", "STRENGTH", "READ AT"}};
  for (const sensor::Evidence& one : finding.evidence)
    rows.push_back({std::string(evidence_class_name(one.kind)), one.text,
                    std::string(basis_name(one.basis)), std::to_string(one.strength), one.where});
  text += table(rows, {3});
  for (const FoundWeights& weights : finding.weights)
    text += "\n" + attributes_text(weights, verdicts);
  LANTERN_TRY(print(visible(text)));
  return is_in_the_dark(finding, verdicts) ? Exit::kNo : Exit::kDone;
}

Result<Exit> explain_file(const Flags& flags) {
  LANTERN_ASSIGN(const std::unique_ptr<sensor::Host> host, open_host(flags));
  LANTERN_ASSIGN(
      const std::vector<FoundWeights> found,
      sensor::find_at_rest(
          *host, {}, {.stores = false, .paths = {flags.target}, .digest = flags.sweep.digest}));
  if (found.empty()) {
    tell(visible(flags.target + ": no file of weights"));
    return Exit::kDone;
  }
  Verdicts verdicts;
  std::string text;
  for (const FoundWeights& weights : found)
    text += (text.empty() ? "" : "\n") + attributes_text(weights, verdicts);
  LANTERN_TRY(print(visible(text)));
  return Exit::kDone;
}

Result<Exit> run(const Flags& flags) {
  if (flags.explain->parsed()) {
    int pid = 0;
    const std::string& target = flags.target;
    const auto [end, code] = std::from_chars(target.data(), target.data() + target.size(), pid);
    if (code == std::errc() && end == target.data() + target.size() && pid > 0)
      return explain_process(flags, pid);
    return explain_file(flags);
  }
  // Of what starting the whole program touched a look needs a third.
  (void)base::unmap_idle_pages();
  LANTERN_ASSIGN(const std::unique_ptr<sensor::Host> host, open_host(flags));
  LANTERN_ASSIGN(const SweepReport report, sensor::sweep(*host, flags.sweep));
  if (!flags.record.empty()) LANTERN_TRY(sensor::write_recording(*host, flags.record));
  Verdicts verdicts;
  LANTERN_TRY(print_report(flags, report, verdicts));
  tell_limits(report);
  if (report.findings.empty()) tell("nothing that runs AI was seen");
  const bool dark =
      std::any_of(report.findings.begin(), report.findings.end(),
                  [&](const Finding& finding) { return is_in_the_dark(finding, verdicts); });
  return dark ? Exit::kNo : Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  auto* json = app.add_flag("--json", flags->json, "a JSON document (docs/schemas/scan.json)");
  auto* cyclonedx =
      app.add_flag("--cyclonedx", flags->cyclonedx, "a CycloneDX 1.6 inventory")->excludes(json);
  app.add_flag("--ocsf", flags->ocsf, "OCSF 1.8 events, one a line")
      ->excludes(json)
      ->excludes(cyclonedx);
  app.add_option("--disk", flags->sweep.disk,
                 "look for models in this file or folder, too; may be given several times");
  app.add_flag("--fast", flags->sweep.fast,
               "processes alone, and of programs only those that stand out");
  app.add_flag("--digest", flags->sweep.digest,
               "hash each model as a whole (reads all of it) to find it in the records");
  app.add_flag("--probe", flags->sweep.probe,
               "ask what stands out and listens on this machine which models it has");
  auto* record = app.add_option("--record", flags->record,
                                "also write what was seen of the machine to this file");
  app.add_option("--replay", flags->replay,
                 "look at a machine that --record wrote, not at this one")
      ->excludes(record);
  flags->explain = app.add_subcommand("explain", "every piece of evidence, and where it was read");
  flags->explain->add_option("TARGET", flags->target, "a process's number, or a file")->required();
  app.require_subcommand(0, 1);
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_scan;
const Command k_scan = {
    .name = "scan",
    .access = ModelAccess::kNone,
    .summary = "find what else runs AI on this machine, and whether its models are known",
    .examples =
        "  sudo lantern scan\n"
        "  lantern scan --disk /data --json\n"
        "  lantern scan explain 4711\n"
        "  lantern scan explain ./model.gguf",
    .define = define,
};

}  // namespace lantern::cli
