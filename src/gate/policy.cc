#include "gate/policy.h"

#include <unistd.h>

#include <algorithm>

#include "base/dsse.h"
#include "base/file.h"
#include "base/paths.h"
#include "gate/governance.h"
#include "gate/log_facts.h"
#include "gate/pull.h"
#include "gate/resolve.h"
#include "gate/store.h"
#include "policy/facts_text.h"
#include "policy/signed_policy.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFileBytesMax = 2 * policy::kPolicyBytesMax;  // an envelope is base64

/// For keys at hand: whoever names a folder vouches for it. This machine's own is root's.
Result<policy::TrustRoots> trust_of(const std::optional<fs::path>& trust) {
  if (!trust) return policy::load_trust_roots(base::managed_folder(), 0);
  return policy::load_trust_roots(fs::absolute(*trust).lexically_normal(), ::geteuid());
}

std::vector<std::string> notes_on(const PolicyFile& file) {
  const policy::Policy& policy = file.policy;
  std::vector<std::string> notes;
  if (!policy.expires) notes.emplace_back("no \"expires\": it cannot be signed without one");
  if (policy.expires && *policy.expires <= base::utc_clock())
    notes.push_back("it expired on " + base::format_utc(*policy.expires));
  for (const std::string& alias : policy.unpinned_aliases)
    notes.push_back(fmt::format("alias \"{}\" has no id yet: signing pins it", alias));
  if (std::none_of(policy.rules.begin(), policy.rules.end(),
                   [](const policy::Rule& rule) { return rule.effect == policy::Effect::kAllow; }))
    notes.emplace_back("no rule allows anything, so all is denied");
  if (policy.revocations.required && policy.keys_for(policy::KeyUse::kRevocations).empty())
    notes.emplace_back(
        "a revocation list is required and no key may sign one, so every use is denied");
  if (policy.ask.empty()) notes.emplace_back("no \"ask\": refusals cannot say whom to ask");
  return notes;
}

Result<PolicyFile> read_envelope(const std::string& text, const std::string& what,
                                 const std::optional<fs::path>& trust) {
  PolicyFile file{.is_signed = true};
  if (!trust && !base::machine_is_managed()) {
    LANTERN_ASSIGN(base::DsseEnvelope envelope, base::parse_dsse(text, what));
    if (envelope.payload_type != policy::kPolicyPayloadType)
      return make_error(ErrorCode::kCorrupt, "{}: the payload is no policy", what);
    LANTERN_ASSIGN(file.policy, policy::parse_policy(envelope.payload, what));
    file.text = std::move(envelope.payload);
    file.notes = notes_on(file);
    file.notes.emplace_back("its signature was not checked: name the keys with --trust");
    return file;
  }
  LANTERN_ASSIGN(const policy::TrustRoots roots, trust_of(trust));
  LANTERN_ASSIGN(policy::SignedPolicy verified,
                 policy::verify_policy(text, roots.keys, {.what = what, .now = base::utc_clock()}));
  for (const base::PublicKey& key : verified.signers)
    file.signers.push_back(base::to_hex(key.id()));
  file.policy = std::move(verified.policy);
  file.text = std::move(verified.text);
  file.notes = notes_on(file);
  return file;
}

/// The parts of "user:alice,group:ml,group:ops,key:ID,program:/usr/bin/x". What is not named is
/// not known, but for keys: there are none.
Status set_subject(std::string_view text, policy::Facts& facts) {
  facts.user.reset();
  facts.groups.reset();
  facts.program.reset();
  facts.keys.emplace();
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t colon = part.find(':');
    const std::string_view kind = part.substr(0, colon);
    const std::string value(colon == std::string_view::npos ? "" : part.substr(colon + 1));
    if (!value.empty() && kind == "user") {
      facts.user = value;
    } else if (!value.empty() && kind == "group") {
      if (!facts.groups) facts.groups.emplace();
      facts.groups->insert(value);
    } else if (!value.empty() && kind == "key") {
      facts.keys->insert(value);
    } else if (!value.empty() && kind == "program") {
      facts.program = value;
    } else {
      return make_error(ErrorCode::kInvalidArgument,
                        "--subject {}: user:NAME, group:NAME, key:ID or program:PATH is needed",
                        part);
    }
  }
  return {};
}

/// Approvals may be for some people alone, so another subject has others.
Status count_again(Governance& governance, const Composition& model, policy::Facts& facts) {
  facts.n_approvers.reset();
  LANTERN_TRY(governance.count_approvals(model, facts));
  if (facts.state == policy::ModelState::kApproved && facts.n_approvers.value_or(0) == 0)
    facts.state = policy::ModelState::kScanned;
  if (facts.state == policy::ModelState::kScanned && facts.n_approvers.value_or(0) > 0)
    facts.state = policy::ModelState::kApproved;
  return {};
}

Result<Composition> composition_named(const std::string& reference) {
  constexpr std::string_view kPrefix = "sha256:";
  if (reference.starts_with(kPrefix) && reference.size() == kPrefix.size() + 64) {
    Composition model{.name = reference};
    LANTERN_ASSIGN(model.id, base::digest_from_hex(reference.substr(kPrefix.size())));
    model.files = {model.id};
    return model;
  }
  LANTERN_ASSIGN(const Resolved resolved, resolve(reference, {}));
  return resolved.model;
}

}  // namespace

Result<PolicyFile> check_policy_file(const fs::path& path, const std::optional<fs::path>& trust) {
  LANTERN_ASSIGN(const std::string text, base::read_text_file(path, kFileBytesMax));
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '{')
    return read_envelope(text, path.string(), trust);
  PolicyFile file{.text = text};
  LANTERN_ASSIGN(file.policy, policy::parse_policy(text, path.string()));
  file.notes = notes_on(file);
  return file;
}

Status sign_policy_file(const fs::path& path, const base::PrivateKey& key, const fs::path& out) {
  LANTERN_ASSIGN(const std::string text, base::read_text_file(path, policy::kPolicyBytesMax));
  const auto resolve_alias = [](std::string_view alias) -> Result<base::Digest> {
    LANTERN_ASSIGN(const supply::Store store, open_store());
    LANTERN_ASSIGN(const std::optional<supply::StoredModel> model, store.find_alias(alias));
    if (!model)
      return make_error(ErrorCode::kNotFound,
                        "not in the store: pull it, or give its id under [pins]");
    return model->manifest.id;
  };
  LANTERN_ASSIGN(const std::string envelope,
                 policy::sign_policy(text, path.string(), key, resolve_alias));
  return base::write_file_atomically(out, envelope);
}

/// The highest version that was in force, as the state has it; false where this account may not
/// read that.
Result<bool> copy_floor(policy::VersionFloorInMemory& floor) {
  const auto folders = base::own_folders();
  if (!folders.ok()) return false;
  std::error_code ignored;
  if (!fs::exists(folders->data / "state.db", ignored)) return true;
  LANTERN_ASSIGN(supply::State state, supply::State::open_read_only(folders->data));
  LANTERN_ASSIGN(const auto highest, state.highest(kPolicyFloor));
  if (highest) LANTERN_TRY(floor.raise({.version = highest->version, .digest = highest->digest}));
  return true;
}

Result<PolicyInForce> policy_in_force() {
  PolicyInForce in_force{.managed = base::machine_is_managed()};
  if (!in_force.managed) {
    in_force.file.policy = policy::personal_policy();
    in_force.file.text = policy::personal_policy_text();
    return in_force;
  }
  // The floor of versions is the service's own; anybody may read what the files say.
  policy::VersionFloorInMemory floor;
  LANTERN_ASSIGN(const bool is_held, copy_floor(floor));
  if (!is_held)
    in_force.file.notes.emplace_back(
        "whether a newer version was in force before is for the service's account to say");
  LANTERN_ASSIGN(policy::SignedPolicy loaded,
                 policy::denied_by(policy::load_policy({.folder = base::managed_folder()},
                                                       base::utc_clock(), floor),
                                   "lantern.no-policy"));
  in_force.file.is_signed = true;
  for (const base::PublicKey& key : loaded.signers)
    in_force.file.signers.push_back(base::to_hex(key.id()));
  in_force.file.policy = std::move(loaded.policy);
  in_force.file.text = std::move(loaded.text);
  return in_force;
}

std::string signer_named(std::string_view name) {
  if (const auto in_force = policy_in_force(); in_force.ok())
    for (const policy::NamedKey& key : in_force->file.policy.keys)
      if (key.name == name && key.uses.contains(policy::KeyUse::kModels))
        return policy::signer_of(key.key);
  return std::string(name);
}

Result<Explained> explain_policy(const ExplainRequest& request) {
  Explained explained;
  LANTERN_ASSIGN(Governance governance, Governance::open_to_look());
  Composition model;
  // What is to be imported need not be here.
  const bool imports = request.action == policy::Action::kImport && !request.model.empty() &&
                       !request.model.starts_with("sha256:");
  if (!request.model.empty() && !imports) {
    LANTERN_ASSIGN(model, composition_named(request.model));
  }
  if (imports) {
    LANTERN_ASSIGN(explained.facts, import_facts(governance, request.model));
  } else {
    LANTERN_ASSIGN(explained.facts, governance.facts(model, request.action));
  }
  if (request.model.empty()) {
    policy::Facts none;
    none.now = explained.facts.now;
    none.user = explained.facts.user;
    none.groups = explained.facts.groups;
    none.keys = explained.facts.keys;
    none.program = explained.facts.program;
    none.action = request.action;
    none.revocation_list = explained.facts.revocation_list;
    explained.facts = std::move(none);
  }
  if (request.subject) {
    LANTERN_TRY(set_subject(*request.subject, explained.facts));
    if (!request.model.empty() && !imports)
      LANTERN_TRY(count_again(governance, model, explained.facts));
  }
  for (const std::string& assignment : request.suppose)
    LANTERN_TRY(policy::set_fact(explained.facts, assignment));
  policy::Policy policy;
  if (request.policy) {
    LANTERN_ASSIGN(PolicyFile file, check_policy_file(*request.policy, {}));
    policy = std::move(file.policy);
  } else {
    const Result<PolicyPtr>& in_force = governance.policy();
    if (!in_force.ok()) {
      explained.explanation.decision = policy::deny_without_policy(in_force.error());
      return explained;
    }
    policy = **in_force;
  }
  explained.explanation = policy::explain(policy, explained.facts);
  // Of the machine's own policy also what a break-glass statement makes of it.
  if (!request.policy) explained.explanation.decision = governance.decide(explained.facts);
  return explained;
}

base::OrderedJson to_json(const Explained& explained) {
  base::OrderedJson json = policy::explanation_to_json(explained.explanation);
  json["facts"] = policy::facts_to_json(explained.facts);
  return json;
}

}  // namespace lantern::gate
