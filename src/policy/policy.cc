#include "policy/policy.h"

#include "base/printable.h"
#include "policy/words.h"

namespace lantern::policy {
namespace {

constexpr std::string_view kActions[] = {"load",   "chat",  "embed",  "convert", "tune",
                                         "export", "serve", "import", "approve", "revoke"};
static_assert(std::size(kActions) == kActionCount);
constexpr std::string_view kStates[] = {"quarantined", "scanned", "approved", "revoked"};
constexpr std::string_view kTiers[] = {"A", "B", "C"};
constexpr std::string_view kSeverities[] = {"none", "low", "medium", "high", "critical"};
constexpr std::string_view kEffects[] = {"deny", "allow"};
constexpr std::string_view kPriorities[] = {"low", "normal", "high"};
constexpr std::string_view kDataPaths[] = {"prompt", "tool_result", "answer", "session"};
constexpr std::string_view kDataActions[] = {"allow",    "warn",    "mask",
                                             "tokenize", "justify", "block"};

template <typename E, size_t N>
std::string_view name_of(const std::string_view (&names)[N], E value) {
  return names[static_cast<size_t>(value)];
}

template <typename E, size_t N>
Result<E> from_name(const std::string_view (&names)[N], std::string_view name,
                    std::string_view kind) {
  if (const auto value = enum_of<E>(names, name)) return *value;
  return make_error(ErrorCode::kInvalidArgument, "{}: no such {}; there are {}",
                    base::printable(name, 60), kind, listed(names));
}

}  // namespace

std::string_view action_name(Action action) { return name_of(kActions, action); }
Result<Action> action_from_name(std::string_view name) {
  return from_name<Action>(kActions, name, "action");
}
bool uses_model(Action action) {
  return action != Action::kImport && action != Action::kApprove && action != Action::kRevoke;
}
std::string_view model_state_name(ModelState state) { return name_of(kStates, state); }
Result<ModelState> model_state_from_name(std::string_view name) {
  return from_name<ModelState>(kStates, name, "state");
}
std::string_view tier_name(Tier tier) { return name_of(kTiers, tier); }
Result<Tier> tier_from_name(std::string_view name) { return from_name<Tier>(kTiers, name, "tier"); }
std::string_view severity_name(Severity severity) { return name_of(kSeverities, severity); }
Result<Severity> severity_from_name(std::string_view name) {
  return from_name<Severity>(kSeverities, name, "severity");
}
std::string_view effect_name(Effect effect) { return name_of(kEffects, effect); }
std::string_view priority_name(Priority priority) { return name_of(kPriorities, priority); }
Result<Priority> priority_from_name(std::string_view name) {
  return from_name<Priority>(kPriorities, name, "priority");
}
std::string_view data_path_name(DataPath path) { return name_of(kDataPaths, path); }
Result<DataPath> data_path_from_name(std::string_view name) {
  return from_name<DataPath>(kDataPaths, name, "path of data");
}
std::string_view data_action_name(DataAction action) { return name_of(kDataActions, action); }
Result<DataAction> data_action_from_name(std::string_view name) {
  return from_name<DataAction>(kDataActions, name, "data-loss action");
}

bool Conditions::empty() const {
  return !users && !groups && !keys && !programs && !ids && !aliases && !licences &&
         !architectures && !publishers && !signers && !states && !in_catalog && !approved &&
         !advisory_severity_min && !labels && !tokens_a_day && !requests_a_minute;
}

std::vector<base::PublicKey> Policy::keys_for(KeyUse use) const {
  std::vector<base::PublicKey> found;
  for (const NamedKey& key : keys)
    if (key.uses.contains(use)) found.push_back(key.key);
  return found;
}

std::string signer_of(const base::PublicKey& key) { return "key:" + base::to_hex(key.id()); }

std::string signer_of(const base::Digest& root, std::string_view subject) {
  return fmt::format("certificate:{}:{}", base::to_hex(root), subject);
}

}  // namespace lantern::policy
