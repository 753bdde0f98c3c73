// lantern approve: a person answers for a model.
#include <cstdio>
#include <iostream>
#include <memory>

#include "base/keys.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "gate/decisions.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model;
  std::string reason;
  std::string expires;
  std::vector<std::string> scope;
  std::string key;
  bool accept_inconclusive = false;
  bool json = false;
};

Result<gate::ApprovalTerms> terms_of(const Flags& flags) {
  gate::ApprovalTerms terms{.reason = flags.reason,
                            .in_script = !stdin_is_terminal(),
                            .accepts_inconclusive = flags.accept_inconclusive};
  if (!flags.expires.empty()) {
    LANTERN_ASSIGN(const std::chrono::seconds lasts, duration_from_text(flags.expires));
    terms.expires = base::utc_clock() + lasts;
  }
  for (const std::string& who : flags.scope) {
    const auto colon = who.find(':');
    const std::string name = colon == std::string::npos ? "" : who.substr(colon + 1);
    if (who.starts_with("user:") && !name.empty())
      terms.users.insert(name);
    else if (who.starts_with("group:") && !name.empty())
      terms.groups.insert(name);
    else
      return make_error(ErrorCode::kInvalidArgument, "--for {}: user:NAME or group:NAME", who);
  }
  if (!flags.key.empty()) {
    LANTERN_ASSIGN(terms.key, base::PrivateKey::load(flags.key));
  }
  return terms;
}

/// Says what the scan could not read and asks.
Result<bool> confirm_at_terminal(const supply::scan::Report& report) {
  tell(visible(fmt::format("the scan is {}:", supply::scan::verdict_name(report.verdict()))));
  for (const auto& finding : report.findings)
    tell(visible(fmt::format("  {}: {}", finding.rule, finding.message)));
  std::fprintf(stderr, "Approve it all the same? Type yes: ");
  std::string answer;
  return std::getline(std::cin, answer) && !interrupted() && answer == "yes";
}

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(gate::ApprovalTerms terms, terms_of(flags));
  gate::ApproveRequest request{.reference = flags.model,
                               .terms = std::move(terms),
                               .resolve = {.stop = new_interruptible_scope(),
                                           .progress = base::ProgressOutput::standard_error()}};
  if (stdin_is_terminal() && stderr_is_terminal()) request.confirm = confirm_at_terminal;
  LANTERN_ASSIGN(const policy::Approval approval, gate::approve_model(request));
  const std::string id = "sha256:" + base::to_hex(approval.model_id);
  const std::string expires = approval.expires ? base::format_utc(*approval.expires) : "";
  if (flags.json) {
    LANTERN_TRY(
        print_json({{"model", flags.model},
                    {"id", id},
                    {"approver", approval.approver},
                    {"reason", approval.reason},
                    {"issued", base::format_utc(approval.issued)},
                    {"expires", expires.empty() ? base::OrderedJson() : base::OrderedJson(expires)},
                    {"users", approval.users},
                    {"groups", approval.groups},
                    {"key_id", approval.key_id}}));
    return Exit::kDone;
  }
  LANTERN_TRY(print(visible(fmt::format("{} approved by {}{}: {}\n", flags.model, approval.approver,
                                        expires.empty() ? "" : " until " + expires, id))));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, kModelHelp)->required();
  app.add_option("--reason", flags->reason, "why, for the record")->required();
  app.add_option("--expires", flags->expires, "how long it holds, such as 90d or 12h");
  app.add_option("--for", flags->scope,
                 "user:NAME or group:NAME alone; may be given several times");
  app.add_option("--key", flags->key, "sign with this private key (PEM) instead of this machine's");
  app.add_flag("--accept-inconclusive", flags->accept_inconclusive,
               "although the scan could not read all of it (a person at a terminal is asked)");
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/approve.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_approve;
const Command k_approve = {
    .name = "approve",
    .access = ModelAccess::kDescribes,
    .summary = "answer for a model, so that it may be used",
    .examples =
        "  lantern approve ./model.gguf --reason \"evaluated in ticket 17\" --expires 90d\n"
        "  lantern approve mine --reason \"for the research group\" --for group:ml",
    .define = define,
};

}  // namespace lantern::cli
