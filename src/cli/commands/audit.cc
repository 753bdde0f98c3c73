// lantern audit: what happened on this machine, provably.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>

#include "base/file.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/subcommands.h"
#include "cli/table.h"
#include "gate/audit.h"
#include "gate/policy.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string folder;  // empty: this user's log
  bool json = false;
  // verify
  std::string witness, proof;
  std::vector<std::string> keys, since_checkpoints;
  bool strict = false;
  // prove, checkpoint
  uint64_t index = 0;
  std::string out;
  // show, query, export
  uint64_t last = 20;
  audit::Query query;
  std::string since, until, action, decision, format;
  uint32_t enterprise_number = audit::kExampleEnterprise;
  // prune
  std::string keep;
  bool dry_run = false;
  // clock
  std::string reason;
};

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::vector<std::filesystem::path> paths(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

Status write_out(const Flags& flags, const std::string& text) {
  if (flags.out.empty()) return print(text);
  return base::write_file_atomically(flags.out, text);
}

std::string who(const audit::Event& event) {
  if (!event.actor.user.empty()) return event.actor.user;
  return event.actor.uid ? std::to_string(*event.actor.uid) : "unknown";
}

base::OrderedJson record_json(uint64_t index, std::string_view entry) {
  return {{"index", index}, {"event", base::OrderedJson::parse(entry, nullptr, false)}};
}

/// The records that `query` matches from `begin` on, as a table or as one JSON document.
Result<Exit> list_records(const Flags& flags, audit::LogView& view, uint64_t begin) {
  std::vector<std::vector<std::string>> rows = {
      {"ENTRY", "TIME", "WHO", "ACTION", "DECISION", "MODEL", "RULE"}};
  base::OrderedJson records = base::OrderedJson::array();
  const auto add = [&](const audit::Record& record) -> Result<bool> {
    const audit::Event& event = record.event;
    if (flags.json) {
      records.push_back(record_json(record.index, record.entry));
      return true;
    }
    const std::string model = !event.model                 ? ""
                              : !event.model->name.empty() ? event.model->name
                                                           : event.model->id.substr(0, 12);
    rows.push_back({std::to_string(record.index), audit::format_time(event.time_ms), who(event),
                    std::string(audit::action_name(event.action)),
                    std::string(audit::decision_name(event.decision)), model, event.rule});
    return true;
  };
  LANTERN_ASSIGN(const audit::Found found, audit::for_each_match(view, begin, flags.query, add));
  if (flags.json) {
    LANTERN_TRY(print_json({{"origin", view.head().checkpoint.origin},
                            {"size", view.size()},
                            {"first_kept", view.first_kept()},
                            {"unreadable", found.n_unreadable},
                            {"records", records}}));
  } else {
    LANTERN_TRY(print(visible(table(rows, {0}))));
  }
  if (found.n_unreadable == 0) return Exit::kDone;
  tell(fmt::format("{} entries are no events that this version reads", found.n_unreadable));
  return Exit::kInconclusive;
}

Result<Exit> show(const Flags& flags) {
  LANTERN_ASSIGN(auto view, gate::open_audit_view(flags.folder));
  const uint64_t begin = view.size() - std::min(view.size(), flags.last);
  LANTERN_ASSIGN(const Exit exit, list_records(flags, view, begin));
  if (!flags.json)
    tell(fmt::format("{}: {} entries in {}; lantern audit verify checks them",
                     visible(view.head().checkpoint.origin), view.size(), view.folder().string()));
  return exit;
}

Status complete_query(Flags& flags) {
  flags.query.signer = gate::signer_named(flags.query.signer);
  if (!flags.since.empty()) {
    LANTERN_ASSIGN(flags.query.since_ms, audit::parse_moment(flags.since, now_ms()));
  }
  if (!flags.until.empty()) {
    LANTERN_ASSIGN(flags.query.until_ms, audit::parse_moment(flags.until, now_ms()));
  }
  if (!flags.action.empty()) {
    LANTERN_ASSIGN(flags.query.action, audit::action_from_name(flags.action));
  }
  if (!flags.decision.empty()) {
    LANTERN_ASSIGN(flags.query.decision, audit::decision_from_name(flags.decision));
  }
  return {};
}

Result<Exit> query(Flags flags) {
  LANTERN_TRY(complete_query(flags));
  LANTERN_ASSIGN(auto view, gate::open_audit_view(flags.folder));
  return list_records(flags, view, 0);
}

Result<Exit> export_records(Flags flags) {
  LANTERN_TRY(complete_query(flags));
  LANTERN_ASSIGN(const auto format, audit::export_format_from_name(flags.format));
  LANTERN_ASSIGN(auto view, gate::open_audit_view(flags.folder));
  audit::ExportSource source{.origin = view.head().checkpoint.origin,
                             .enterprise_number = flags.enterprise_number};
  char hostname[256] = {};
  // A copy's entries were not made on the machine that exports it.
  if (flags.folder.empty() && ::gethostname(hostname, sizeof hostname - 1) == 0)
    source.hostname = hostname;
  std::string pending;
  constexpr size_t kFlushBytes = 64u << 10;
  const auto write = [&](const audit::Record& record) -> Result<bool> {
    pending += audit::export_record(format, record, source) + "\n";
    if (pending.size() > kFlushBytes) {
      LANTERN_TRY(print(pending));
      pending.clear();
    }
    return true;
  };
  LANTERN_ASSIGN(const audit::Found found, audit::for_each_match(view, 0, flags.query, write));
  LANTERN_TRY(print(pending));
  if (found.n_unreadable == 0) return Exit::kDone;
  tell(fmt::format("{} entries are no events that this version reads and were left out",
                   found.n_unreadable));
  return Exit::kInconclusive;
}

Result<Exit> prove(const Flags& flags) {
  LANTERN_ASSIGN(auto view, gate::open_audit_view(flags.folder));
  LANTERN_ASSIGN(const auto proof, gate::prove_entry(view, flags.index));
  LANTERN_TRY(write_out(flags, audit::format_proof(proof)));
  return Exit::kDone;
}

Result<Exit> checkpoint(const Flags& flags) {
  LANTERN_ASSIGN(const auto log, gate::AuditLog::of_user());
  LANTERN_ASSIGN(const auto published, log.log().publish());
  LANTERN_TRY(write_out(flags, published.note));
  if (flags.out.empty())
    tell(
        "keep it where this machine cannot change it; lantern audit verify --since holds the log "
        "against it");
  return Exit::kDone;
}

Result<Exit> verify_proof(const Flags& flags) {
  auto proven = gate::check_proof(flags.proof, paths(flags.keys));
  if (!proven.ok()) {
    if (proven.error().code != ErrorCode::kCorrupt) return std::move(proven).error();
    tell(proven.error().message);
    return Exit::kNo;
  }
  LANTERN_TRY(print(SafeText()(proven->entry + "\n")));
  tell(fmt::format("entry {} of {}, as of its {} entries", proven->index,
                   visible(proven->checkpoint.origin), proven->checkpoint.size));
  return Exit::kDone;
}

std::string_view verdict_name(const audit::Verdict& verdict) {
  if (!verdict.consistent()) return "inconsistent";
  return verdict.anchored_size ? "consistent" : "unanchored";
}

base::OrderedJson verdict_json(const audit::Verdict& verdict) {
  base::OrderedJson findings = base::OrderedJson::array();
  for (const audit::Finding& finding : verdict.findings)
    findings.push_back({{"fault", audit::fault_name(finding.fault)}, {"message", finding.message}});
  base::OrderedJson anchored = nullptr;
  if (verdict.anchored_size)
    anchored = {{"size", *verdict.anchored_size}, {"by", verdict.anchored_by}};
  return {{"verdict", verdict_name(verdict)},
          {"origin", verdict.head.origin},
          {"size", verdict.head.size},
          {"root", base::to_hex(verdict.head.root)},
          {"first_kept", verdict.first_kept},
          {"drop_record",
           verdict.first_kept > 0 ? base::OrderedJson(verdict.drop_record) : base::OrderedJson()},
          {"unfinished_bytes", verdict.unfinished_bytes},
          {"anchored", anchored},
          {"findings", findings}};
}

std::string verdict_text(const audit::Verdict& verdict) {
  std::string text;
  for (const audit::Finding& finding : verdict.findings)
    text += fmt::format("{}: {}\n", audit::fault_name(finding.fault), finding.message);
  if (!verdict.consistent()) return text + "not consistent\n";
  if (verdict.unfinished_bytes > 0)
    text += fmt::format(
        "the journal ends in {} bytes of a write that never ended and that nobody "
        "was answered for; the next entry drops them\n",
        verdict.unfinished_bytes);
  if (verdict.first_kept > 0)
    text += fmt::format(
        "the log begins with entry {}: retention dropped those before it, as entry {} records; "
        "their hashes hold\n",
        verdict.first_kept, verdict.drop_record);
  const uint64_t size = verdict.head.size;
  if (!verdict.anchored_size)
    return text + fmt::format(
                      "{}: {} entries, consistent up to an unanchored head: nothing from "
                      "outside says that this is the newest\n",
                      verdict.head.origin, size);
  text += fmt::format("{}: {} entries, consistent with {} ({} entries)", verdict.head.origin, size,
                      verdict.anchored_by, *verdict.anchored_size);
  if (*verdict.anchored_size < size)
    text += fmt::format("; the {} after it are consistent up to an unanchored head",
                        size - *verdict.anchored_size);
  return text + "\n";
}

Result<Exit> verify(const Flags& flags) {
  if (!flags.proof.empty()) return verify_proof(flags);
  LANTERN_ASSIGN(const audit::Verdict verdict,
                 gate::check_audit_log({.folder = flags.folder,
                                        .keys = paths(flags.keys),
                                        .since = paths(flags.since_checkpoints),
                                        .witness = flags.witness}));
  if (flags.json) {
    LANTERN_TRY(print_json(verdict_json(verdict)));
  } else {
    LANTERN_TRY(print(visible(verdict_text(verdict))));
  }
  if (!verdict.consistent()) return Exit::kNo;
  // The checkpoint that this account keeps beside its log would be put back together with it.
  const bool names_one = !flags.since_checkpoints.empty() || !flags.witness.empty();
  if (!flags.strict || (verdict.anchored_size && names_one)) return Exit::kDone;
  if (verdict.anchored_size)
    tell(
        "--strict: the checkpoint compared with is this account's own; --since names one from "
        "outside");
  return Exit::kInconclusive;
}

Result<Exit> prune(const Flags& flags) {
  LANTERN_ASSIGN(const std::chrono::seconds keep, duration_from_text(flags.keep));
  LANTERN_ASSIGN(const audit::DropPlan plan,
                 gate::prune_audit_log({.keep = keep, .dry_run = flags.dry_run}));
  const uint64_t n_entries = plan.first_kept - plan.first_kept_now;
  if (flags.json) {
    const auto time = [&](int64_t time_ms) {
      return plan.empty() ? base::OrderedJson() : base::OrderedJson(audit::format_time(time_ms));
    };
    LANTERN_TRY(print_json({{"dropped", !flags.dry_run && !plan.empty()},
                            {"entries", n_entries},
                            {"bytes", plan.bytes},
                            {"oldest", time(plan.oldest_ms)},
                            {"newest", time(plan.newest_ms)},
                            {"first_kept", plan.first_kept}}));
    return Exit::kDone;
  }
  if (plan.empty()) {
    tell(fmt::format("nothing to drop: there are no {} entries in a row, all older than {}",
                     audit::kTileWidth, flags.keep));
    return Exit::kDone;
  }
  LANTERN_TRY(print(fmt::format("{} entries of {} to {}, {}: {}; the log {} with entry {}\n",
                                n_entries, audit::format_time(plan.oldest_ms),
                                audit::format_time(plan.newest_ms), base::format_bytes(plan.bytes),
                                flags.dry_run ? "would be dropped" : "dropped",
                                flags.dry_run ? "would begin" : "begins", plan.first_kept)));
  return Exit::kDone;
}

Result<Exit> correct_clock(const Flags& flags) {
  LANTERN_ASSIGN(const gate::ClockCorrection corrected, gate::correct_clock(flags.reason));
  const std::string now = base::format_utc(corrected.now);
  const std::string ahead_until = base::format_utc(corrected.ahead_until);
  tell(fmt::format(
      "time goes on from {}; approvals that had ended by {} stay ended; this is in the log", now,
      ahead_until));
  if (flags.json) LANTERN_TRY(print_json({{"now", now}, {"ahead_until", ahead_until}}));
  return Exit::kDone;
}

void add_folder(CLI::App& app, Flags& flags) {
  app.add_option("--dir", flags.folder, "a log's folder (default: this user's log)");
}

void add_query(CLI::App& app, Flags& flags) {
  add_folder(app, flags);
  app.add_option("--model", flags.query.model, "a model's name, or the first digits of its id");
  app.add_option(
      "--signer", flags.query.signer,
      "who signed the model: a key's name in the policy, or key:HEX, certificate:ROOT:SUBJECT");
  app.add_option("--user", flags.query.user, "a login name or a user number");
  app.add_option("--since", flags.since, "from 2026-11-22, 2026-11-22T18:41:41Z, or 30d ago on");
  app.add_option("--until", flags.until, "up to this moment");
  app.add_option("--action", flags.action, "load, chat, approve, revoke, ...");
  app.add_option("--decision", flags.decision, "allow, deny, record or error");
}

void define_verify(CLI::App& app, Flags& flags) {
  app.add_option("DIR", flags.folder, "a log's folder (default: this user's log)");
  app.add_option("--since", flags.since_checkpoints,
                 "a checkpoint that was kept elsewhere; may be given several times");
  app.add_option("--witness", flags.witness,
                 "the verifier key of a witness whose signature the checkpoint must bear");
  app.add_option("--key", flags.keys,
                 "the log's public key, PEM or verifier key (default: this user's keys)");
  app.add_flag("--strict", flags.strict,
               "exit 3 where nothing from outside says that the log is the newest");
  app.add_option("--proof", flags.proof, "check a proof of `lantern audit prove` instead of a log");
  app.add_flag("--json", flags.json, "a JSON document (docs/schemas/audit-verify.json)");
}

void define_prune(CLI::App& app, Flags& flags) {
  app.add_option("--keep", flags.keep, "what is younger stays: 365d, 12h, ...")->required();
  app.add_flag("--dry-run", flags.dry_run, "say what would go, and drop nothing");
  app.add_flag("--json", flags.json, "a JSON document (docs/schemas/audit-prune.json)");
}

Action define(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  Subcommands subcommands(app);
  const auto add = [&](const char* name, const char* summary, auto run) -> CLI::App& {
    return subcommands.add(name, summary, [flags, run] { return run(*flags); });
  };
  CLI::App& shows = add("show", "the newest entries", show);
  add_folder(shows, *flags);
  shows.add_option("--last", flags->last, "how many")->capture_default_str();
  shows.add_flag("--json", flags->json, "a JSON document (docs/schemas/audit-query.json)");

  define_verify(add("verify", "check that nothing was changed, cut, replaced or forked", verify),
                *flags);

  CLI::App& proves =
      add("prove", "a proof that anyone can check offline that an entry is in the log", prove);
  proves.add_option("N", flags->index, "the entry's number, the first is 0")->required();
  proves.add_option("--out", flags->out, "write the proof to this file");
  add_folder(proves, *flags);

  CLI::App& queries = add("query", "the entries of a model, a signer, a user or a time", query);
  add_query(queries, *flags);
  queries.add_flag("--json", flags->json, "a JSON document (docs/schemas/audit-query.json)");

  CLI::App& exports = add("export", "the entries for another system", export_records);
  add_query(exports, *flags);
  exports.add_option("--format", flags->format, "jsonl, ocsf (1.8) or syslog (RFC 5424)")
      ->required();
  exports
      .add_option("--enterprise-number", flags->enterprise_number,
                  "syslog: your organisation's IANA number, in lantern@NUMBER (the default is the "
                  "one for examples)")
      ->check(CLI::Range(uint32_t{1}, UINT32_MAX))
      ->capture_default_str();

  add("checkpoint", "publish the log's head, to be kept elsewhere", checkpoint)
      .add_option("--out", flags->out, "write the checkpoint to this file");
  define_prune(add("prune", "drop the oldest entries; their hashes and proofs stay", prune),
               *flags);
  CLI::App& corrects =
      add("clock", "say that the clock is right now, after records were written while it was ahead",
          correct_clock);
  corrects.add_option("--reason", flags->reason, "why, for the record")->required();
  corrects.add_flag("--json", flags->json, "a JSON document (docs/schemas/audit-clock.json)");
  return subcommands.action();
}

}  // namespace

extern const Command k_audit;
const Command k_audit = {
    .name = "audit",
    .access = ModelAccess::kNone,
    .summary = "show, query, verify, export and prune the audit log",
    .examples =
        "  lantern audit show\n"
        "  lantern audit query --model smollm2 --since 30d\n"
        "  lantern audit checkpoint --out /mnt/elsewhere/checkpoint\n"
        "  lantern audit verify --since /mnt/elsewhere/checkpoint --strict\n"
        "  lantern audit prove 17 --out 17.tlog-proof && lantern audit verify --proof "
        "17.tlog-proof\n"
        "  lantern audit export --format ocsf --since 2026-11-22\n"
        "  lantern audit prune --keep 365d --dry-run\n"
        "  lantern audit clock --reason \"the battery was empty; set by NTP since\"",
    .define = define,
};

}  // namespace lantern::cli
