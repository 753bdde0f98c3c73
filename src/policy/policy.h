// The policy: who may do what with which model, as a typed TOML document (docs/policy.md).
//
// A Policy is a value: parsed once, never changed. What is not understood is an error with its
// line and column, never ignored: a policy that cannot be read refuses, it never allows.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/keys.h"
#include "base/result.h"
#include "base/time.h"
#include "policy/sensor_response.h"

namespace lantern::policy {

/// What somebody wants to do. The first seven use a model (uses_model()); the others change what
/// is known of it.
enum class Action {
  kLoad,
  kChat,
  kEmbed,
  kConvert,  // also quantize: a new model file is made
  kTune,
  kExport,  // a model, session or record leaves the store
  kServe,   // the model answers others over a socket
  kImport,
  kApprove,
  kRevoke,
};
inline constexpr size_t kActionCount = 10;

/// "load", "chat", ...
std::string_view action_name(Action action);
/// kInvalidArgument lists the names.
Result<Action> action_from_name(std::string_view name);
/// Whether the action reads the model's weights: what quarantine and revocation forbid.
bool uses_model(Action action);

/// What the store says of a model (specs: quarantined -> scanned -> approved -> revoked).
enum class ModelState { kQuarantined, kScanned, kApproved, kRevoked };
std::string_view model_state_name(ModelState state);
Result<ModelState> model_state_from_name(std::string_view name);

/// How a model's integrity was checked at this load: fs-verity, keyed receipt, full hash.
enum class Tier { kA, kB, kC };
std::string_view tier_name(Tier tier);  // "A", "B", "C"
Result<Tier> tier_from_name(std::string_view name);

/// How bad an advisory is. One of unknown severity counts as the worst.
enum class Severity { kNone, kLow, kMedium, kHigh, kCritical };
std::string_view severity_name(Severity severity);  // "none", "low", ...
Result<Severity> severity_from_name(std::string_view name);

enum class Effect { kDeny, kAllow };
std::string_view effect_name(Effect effect);

enum class Priority { kLow, kNormal, kHigh };
std::string_view priority_name(Priority priority);
Result<Priority> priority_from_name(std::string_view name);

/// Where the data-loss scanner looks.
enum class DataPath { kPrompt, kToolResult, kAnswer, kSession };
std::string_view data_path_name(DataPath path);
Result<DataPath> data_path_from_name(std::string_view name);

/// What it does with a finding, weakest first: of two, the later one holds.
enum class DataAction { kAllow, kWarn, kMask, kTokenize, kJustify, kBlock };
std::string_view data_action_name(DataAction action);
Result<DataAction> data_action_from_name(std::string_view name);

/// Path and class of finding ("secrets", "*" for all) -> action.
using DataActions = std::map<std::pair<DataPath, std::string>, DataAction>;

struct PinnedAlias {
  std::string alias = {};
  std::optional<base::Digest> id = {};  // absent: not pinned, so it is nobody's name yet
};

/// What must hold, field by field; an absent field asks for nothing. Within a field any one
/// value is enough, except for labels (see decide.h).
struct Conditions {
  std::optional<std::vector<std::string>> users = {};
  std::optional<std::vector<std::string>> groups = {};
  std::optional<std::vector<std::string>> keys = {};      // ids of API keys
  std::optional<std::vector<std::string>> programs = {};  // absolute paths
  std::optional<std::vector<base::Digest>> ids = {};      // compositions or single files
  std::optional<std::vector<PinnedAlias>> aliases = {};   // alternatives to `ids`
  std::optional<std::vector<std::string>> licences = {};
  std::optional<std::vector<std::string>> architectures = {};
  std::optional<std::vector<std::string>> publishers = {};
  std::optional<std::vector<std::string>> signers = {};  // as Facts::signers, names resolved
  std::optional<std::vector<ModelState>> states = {};
  std::optional<bool> in_catalog = {};
  std::optional<bool> approved = {};  // by as many as [approvals] asks for
  /// Holds where the worst open advisory is at least so bad. Never grants (policy_toml.cc).
  std::optional<Severity> advisory_severity_min = {};
  std::optional<std::vector<std::string>> labels = {};
  std::optional<int64_t> tokens_a_day = {};       // holds while fewer were used
  std::optional<int64_t> requests_a_minute = {};  // holds while fewer were made

  [[nodiscard]] bool empty() const;
};

struct Rule {
  std::string id = {};
  Effect effect = Effect::kDeny;
  std::set<Action> actions = {};
  Conditions match = {};
  Conditions unless = {};  // where it asks for anything and holds, the rule does not match
  DataActions data_actions = {};
  Priority priority = Priority::kNormal;
  bool is_final = false;  // break-glass does not lift this denial
  std::string reason = {};
  std::string ask = {};  // how to ask for it; empty: the policy's own
  int line = 0;
};

struct ModelRequirements {
  bool catalog_is_approved = false;
  std::vector<std::string> in_place = {};  // folders, absolute and normal; empty: nowhere
  std::optional<std::set<Tier>> tiers = {};
  bool advisories_deny = true;
  Severity advisory_severity_min = Severity::kNone;  // only those at least so bad
};
struct SignatureRequirements {
  bool required = false;
  std::vector<std::string> signers = {};  // as Conditions::signers; empty: any trusted one
  bool recheck_certificates = false;      // at each load, not at admission alone
};
struct ApprovalRequirements {
  int approvers_min = 1;
  bool importer_may_approve = false;
  bool in_scripts = false;  // `--approve` without a terminal
  std::optional<int> days_max = 90;
};
struct RevocationRequirements {
  bool required = true;
  int64_t version_min = 0;
  std::optional<int> age_days_max = 30;
};
struct BreakGlassRequirements {
  std::vector<std::string> people = {};  // who may; empty: nobody
  int hours_max = 1;
};

struct PrefixSharing {
  /// Members of one of these share with each other what a served model keeps of their prompts.
  std::vector<std::string> groups = {};
};

struct AuditRequirements {
  /// Younger entries of the audit log are never dropped. Absent: none is.
  std::optional<int> keep_days_min = {};
};

enum class KeyUse { kModels, kApprovals, kRevocations, kBreakGlass };

struct NamedKey {
  std::string name = {};
  base::PublicKey key;
  std::set<KeyUse> uses = {};
  std::string user = {};  // whose it is, so that one person's key and login count once
};

struct Policy {
  int64_t version = 0;
  base::UtcTime issued = {};
  std::optional<base::UtcTime> expires = {};
  std::string ask = {};
  ModelRequirements models = {};
  SignatureRequirements signatures = {};
  ApprovalRequirements approvals = {};
  RevocationRequirements revocations = {};
  BreakGlassRequirements break_glass = {};
  AuditRequirements audit = {};
  PrefixSharing prefix_cache = {};
  std::optional<SensorResponses> sensor = {};  // absent: foreign processes are observed
  std::vector<NamedKey> keys = {};
  std::vector<Rule> rules = {};
  std::map<std::string, base::Digest> pins = {};
  std::vector<std::string> unpinned_aliases = {};  // named by a rule, not in `pins`; sorted

  [[nodiscard]] std::vector<base::PublicKey> keys_for(KeyUse use) const;
};

inline constexpr size_t kPolicyBytesMax = 1u << 20;
inline constexpr size_t kRulesMax = 4096;

/// `what` names the document in messages, which give line and column. kCorrupt for what is no
/// TOML or not this schema (unknown keys, wrong types, duplicates, values out of range),
/// kTooLarge past a limit, kUnsupported for another `format`.
Result<Policy> parse_policy(std::string_view toml, std::string_view what);

/// The personal profile's, compiled in: models of the catalog are approved, others need one
/// approval, and nothing else is asked for.
const Policy& personal_policy();
std::string_view personal_policy_text();

/// How signers are written in rules and facts: "key:" and the key's id in hexadecimal, or
/// "certificate:", the SHA-256 of the root in hexadecimal, ":" and the subject.
std::string signer_of(const base::PublicKey& key);
std::string signer_of(const base::Digest& root, std::string_view subject);

}  // namespace lantern::policy
