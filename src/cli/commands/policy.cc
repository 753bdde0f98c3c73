// lantern policy: check a policy, sign it, show the one in force, explain a decision.
#include <memory>

#include "base/file.h"
#include "base/keys.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/passphrase.h"
#include "cli/subcommands.h"
#include "cli/table.h"
#include "gate/policy.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string file, key, passphrase_file, out, trust, subject, model, policy;
  std::string action = "load";
  std::vector<std::string> suppose;
  bool json = false;
};

std::optional<std::filesystem::path> given(const std::string& path) {
  if (path.empty()) return {};
  return std::filesystem::path(path);
}

base::OrderedJson head_of(const gate::PolicyFile& file) {
  const policy::Policy& policy = file.policy;
  return {{"version", policy.version},
          {"issued", base::format_utc(policy.issued)},
          {"expires", policy.expires ? base::OrderedJson(base::format_utc(*policy.expires))
                                     : base::OrderedJson()},
          {"rules", policy.rules.size()},
          {"keys", policy.keys.size()},
          {"signed", file.is_signed},
          {"signers", file.signers}};
}

std::string line_of(const gate::PolicyFile& file) {
  const policy::Policy& policy = file.policy;
  return fmt::format("version {}, {} rules, issued {}, {}{}", policy.version, policy.rules.size(),
                     base::format_utc(policy.issued),
                     policy.expires ? "expires " + base::format_utc(*policy.expires) : "no end",
                     file.signers.empty() ? "" : ", signed by " + file.signers.front());
}

Result<Exit> check(const Flags& flags) {
  LANTERN_ASSIGN(const gate::PolicyFile file,
                 gate::check_policy_file(flags.file, given(flags.trust)));
  if (flags.json) {
    base::OrderedJson document = {{"file", flags.file}};
    document.update(head_of(file));
    document["notes"] = file.notes;
    LANTERN_TRY(print_json(document));
    return Exit::kDone;
  }
  std::string text = fmt::format("{}: valid: {}\n", flags.file, line_of(file));
  for (const std::string& note : file.notes) text += "note: " + note + "\n";
  LANTERN_TRY(print(visible(text)));
  return Exit::kDone;
}

Result<Exit> sign(const Flags& flags) {
  LANTERN_ASSIGN(const base::Secret passphrase, read_passphrase_file(flags.passphrase_file));
  LANTERN_ASSIGN(const base::PrivateKey key, base::PrivateKey::load(flags.key, passphrase.view()));
  std::filesystem::path out = flags.out;
  if (out.empty()) out = std::filesystem::path(flags.file).replace_extension(".dsse");
  LANTERN_TRY(gate::sign_policy_file(flags.file, key, out));
  LANTERN_TRY(print(visible(
      fmt::format("{}: signed by {}\n", out.string(), base::to_hex(key.public_key().id())))));
  return Exit::kDone;
}

Result<Exit> show(const Flags& flags) {
  LANTERN_ASSIGN(const gate::PolicyInForce in_force, gate::policy_in_force());
  const char* profile = in_force.managed ? "managed" : "personal";
  if (flags.json) {
    base::OrderedJson document = {{"profile", profile}};
    document.update(head_of(in_force.file));
    document["notes"] = in_force.file.notes;
    document["text"] = in_force.file.text;
    LANTERN_TRY(print_json(document));
    return Exit::kDone;
  }
  std::string head = fmt::format("# profile: {}; {}\n", profile, line_of(in_force.file));
  for (const std::string& note : in_force.file.notes) head += "# note: " + note + "\n";
  LANTERN_TRY(print(visible(head + in_force.file.text)));
  return Exit::kDone;
}

Result<Exit> explain(const Flags& flags) {
  gate::ExplainRequest request{
      .policy = given(flags.policy), .model = flags.model, .suppose = flags.suppose};
  LANTERN_ASSIGN(request.action, policy::action_from_name(flags.action));
  if (!flags.subject.empty()) request.subject = flags.subject;
  LANTERN_ASSIGN(const gate::Explained explained, gate::explain_policy(request));
  const policy::Decision& decision = explained.explanation.decision;
  const Exit exit = decision.allowed() ? Exit::kDone : Exit::kNo;
  if (flags.json) {
    LANTERN_TRY(print_json(gate::to_json(explained)));
    return exit;
  }
  std::vector<std::vector<std::string>> rows = {{"RULE", "EFFECT", "MATCHES", "APPLIES", "WHY"}};
  for (const policy::RuleTrace& trace : explained.explanation.rules)
    rows.push_back({trace.rule, std::string(policy::effect_name(trace.effect)),
                    std::string(policy::truth_name(trace.match)), trace.applies ? "yes" : "no",
                    trace.why});
  std::string text = fmt::format("{} by rule {}: {}\n", decision.allowed() ? "allowed" : "denied",
                                 decision.rule, decision.reason);
  if (!decision.how_to_ask.empty()) text += "to ask for it: " + decision.how_to_ask + "\n";
  LANTERN_TRY(print(visible(text + "\n" + table(rows))));
  return exit;
}

void define_explain(CLI::App& app, Flags& flags) {
  app.add_option("--subject", flags.subject,
                 "user:NAME,group:NAME,key:ID,program:PATH (default: who is logged in)");
  app.add_option("--action", flags.action,
                 "load, chat, embed, convert, tune, export, serve, import, approve or revoke");
  app.add_option("--model", flags.model, "a name in the store, a path, or sha256:DIGEST");
  app.add_option("--policy", flags.policy, "this policy instead of the one in force");
  app.add_option("--suppose", flags.suppose,
                 "a fact as if it were so, such as state=approved, approvers=2, label=public, "
                 "tier=A, licence=?; may be given several times");
  app.add_flag("--json", flags.json, "a JSON document (docs/schemas/policy-explain.json)");
}

Action define(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  Subcommands subcommands(app);
  const auto add = [&](const char* name, const char* summary, auto run) -> CLI::App& {
    return subcommands.add(name, summary, [flags, run] { return run(*flags); });
  };
  CLI::App& checks = add("check", "whether a policy is valid, or where it is not", check);
  checks.add_option("FILE", flags->file, "TOML, or a signed policy")->required();
  checks.add_option("--trust", flags->trust,
                    "the folder whose trust/*.pem a signed policy is checked against");
  checks.add_flag("--json", flags->json, "a JSON document (docs/schemas/policy-check.json)");
  CLI::App& signs = add("sign", "sign a policy, its aliases pinned to ids", sign);
  signs.add_option("FILE", flags->file, "TOML")->required();
  signs.add_option("--key", flags->key, "the private key (PEM) of the trust root")->required();
  signs.add_option("--passphrase-file", flags->passphrase_file, "what the key is encrypted with");
  signs.add_option("--out", flags->out, "where to (default: FILE with the ending .dsse)");
  define_explain(add("explain", "which rule decides, and why each other not", explain), *flags);
  add("show", "the policy in force on this machine", show)
      .add_flag("--json", flags->json, "a JSON document (docs/schemas/policy-show.json)");
  return subcommands.action();
}

}  // namespace

extern const Command k_policy;
const Command k_policy = {
    .name = "policy",
    .access = ModelAccess::kNone,
    .summary = "check, sign, explain or show who may do what",
    .examples =
        "  lantern policy check policy.toml\n"
        "  lantern policy sign policy.toml --key root.pem --out /etc/lantern/policy.dsse\n"
        "  lantern policy explain --subject user:alice,group:ml --action load --model smollm2\n"
        "  lantern policy show",
    .define = define,
};

}  // namespace lantern::cli
