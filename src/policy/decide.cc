#include "policy/decide.h"

#include <algorithm>
#include <tuple>

#include "policy/conditions.h"
#include "policy/revocations.h"

namespace lantern::policy {
namespace {

constexpr std::string_view kAskDefault = "ask whoever keeps the policy (lantern policy show)";
constexpr std::string_view kFinished = "it stays refused: use another model";

/// What holds under any policy, and what its tables require, as deny rules.
struct BuiltIn {
  std::string_view id;
  std::string_view reason;
  std::string_view ask;  // empty: the policy's own
  bool is_final;
  Finding (*match)(const Policy& policy, const Facts& facts);
};

Finding finding(Truth truth, std::string_view what) {
  const char* verb = truth == Truth::kYes  ? "so it is"
                     : truth == Truth::kNo ? "not so"
                                           : "not known";
  return {truth, fmt::format("{}: {}", what, verb)};
}

Truth action_uses_model(const Facts& facts) {
  return facts.action ? truth_of(uses_model(*facts.action)) : Truth::kUnknown;
}
Truth action_is(const Facts& facts, Action action) {
  return facts.action ? truth_of(*facts.action == action) : Truth::kUnknown;
}
Truth in_state(const Facts& facts, ModelState state) {
  return facts.state ? truth_of(*facts.state == state) : Truth::kUnknown;
}

Finding policy_expired(const Policy& policy, const Facts& facts) {
  if (!policy.expires) return {Truth::kNo, "the policy has no end"};
  if (!facts.now) return {Truth::kUnknown, "the time is not known: see to the clock"};
  return finding(truth_of(*facts.now >= *policy.expires),
                 "expired on " + base::format_utc(*policy.expires));
}

Finding revoked(const Policy&, const Facts& facts) {
  const Truth concerned = either(action_uses_model(facts), action_is(facts, Action::kApprove));
  const Truth listed = facts.revoked ? truth_of(*facts.revoked) : Truth::kUnknown;
  return finding(both(concerned, either(listed, in_state(facts, ModelState::kRevoked))),
                 "the model, a file of it or what it was made from is revoked");
}

/// Whether the policy takes the catalog's word for the model.
Truth catalog_vouches(const Policy& policy, const Facts& facts) {
  if (!policy.models.catalog_is_approved) return Truth::kNo;
  return facts.in_catalog ? truth_of(*facts.in_catalog) : Truth::kUnknown;
}

Finding quarantined(const Policy& policy, const Facts& facts) {
  const Truth held =
      both(in_state(facts, ModelState::kQuarantined), !catalog_vouches(policy, facts));
  return finding(both(action_uses_model(facts), held), "the model is in quarantine");
}

Finding list_not_fresh(const Policy& policy, const Facts& facts) {
  const RevocationRequirements& wanted = policy.revocations;
  if (!wanted.required) return {Truth::kNo, "no revocation list is required"};
  const Truth concerned = either(action_uses_model(facts), action_is(facts, Action::kApprove));
  if (!facts.revocation_list)
    return {both(concerned, Truth::kUnknown), "there is no valid revocation list"};
  if (!facts.now) return {both(concerned, Truth::kUnknown), "the time is not known"};
  const Status fresh = check_fresh(&*facts.revocation_list, wanted, *facts.now);
  if (fresh.ok()) return {Truth::kNo, "the revocation list is fresh"};
  return {both(concerned, Truth::kYes), fresh.error().message};
}

Finding too_few_approvers(const Policy& policy, const Facts& facts) {
  const int wanted = policy.approvals.approvers_min;
  if (wanted == 0) return {Truth::kNo, "no approval is required"};
  const Truth too_few = facts.n_approvers ? truth_of(*facts.n_approvers < wanted) : Truth::kUnknown;
  return {both(action_uses_model(facts), both(too_few, !catalog_vouches(policy, facts))),
          facts.n_approvers ? fmt::format("approved by {} of {}", *facts.n_approvers, wanted)
                            : "whether it is approved is not known"};
}

Finding not_signed(const Policy& policy, const Facts& facts) {
  const SignatureRequirements& wanted = policy.signatures;
  if (!wanted.required) return {Truth::kNo, "no signature is required"};
  Truth is_signed = Truth::kUnknown;
  if (facts.signers)
    is_signed = truth_of(
        wanted.signers.empty()
            ? !facts.signers->empty()
            : std::any_of(wanted.signers.begin(), wanted.signers.end(),
                          [&](const std::string& name) { return facts.signers->contains(name); }));
  return finding(both(action_uses_model(facts), !is_signed),
                 "there is no signature by a signer that the policy names");
}

Finding has_advisories(const Policy& policy, const Facts& facts) {
  if (!policy.models.advisories_deny) return {Truth::kNo, "advisories do not deny"};
  const Truth open = facts.advisories ? truth_of(!facts.advisories->empty()) : Truth::kUnknown;
  const Severity least = policy.models.advisory_severity_min;
  Truth severe = Truth::kYes;
  if (least != Severity::kNone)
    severe =
        facts.advisory_severity ? truth_of(*facts.advisory_severity >= least) : Truth::kUnknown;
  std::string what = facts.advisories
                         ? "an advisory is open"
                         : "an advisory is open (where those that were imported are gone, "
                           "lantern advisories import brings them back)";
  if (open == Truth::kYes) what += " (" + *facts.advisories->begin() + ")";
  if (open == Truth::kYes && facts.advisory_severity)
    what += fmt::format(", the worst of severity {}", severity_name(*facts.advisory_severity));
  if (least != Severity::kNone) what += fmt::format(", {} or worse", severity_name(least));
  return finding(both(action_uses_model(facts), both(open, severe)), what);
}

Finding wrong_tier(const Policy& policy, const Facts& facts) {
  if (!policy.models.tiers) return {Truth::kNo, "any tier of integrity will do"};
  const Truth wrong =
      facts.tier ? truth_of(!policy.models.tiers->contains(*facts.tier)) : Truth::kUnknown;
  std::string wanted;
  for (const Tier tier : *policy.models.tiers)
    wanted += (wanted.empty() ? "" : ", ") + std::string(tier_name(tier));
  return finding(both(action_uses_model(facts), wrong),
                 fmt::format("integrity was checked by {}, wanted is {}",
                             facts.tier ? tier_name(*facts.tier) : "an unknown tier", wanted));
}

Finding in_wrong_place(const Policy& policy, const Facts& facts) {
  Truth wrong = Truth::kUnknown;
  if (facts.in_place_path)
    wrong = truth_of(!facts.in_place_path->empty() &&
                     std::none_of(policy.models.in_place.begin(), policy.models.in_place.end(),
                                  [&](const std::string& folder) {
                                    return lies_within(*facts.in_place_path, folder);
                                  }));
  return finding(both(action_uses_model(facts), wrong),
                 "it lies outside the store and the folders that the policy names");
}

Finding script_approves(const Policy& policy, const Facts& facts) {
  if (policy.approvals.in_scripts) return {Truth::kNo, "scripts may approve"};
  const Truth script =
      facts.approval_in_script ? truth_of(*facts.approval_in_script) : Truth::kUnknown;
  return finding(both(action_is(facts, Action::kApprove), script),
                 "nobody was asked at a terminal");
}

constexpr BuiltIn kBuiltIns[] = {
    {"lantern.policy-expired", "the policy has expired", "a newer signed policy is needed", true,
     policy_expired},
    {"lantern.revoked", "the model is revoked", kFinished, true, revoked},
    {"lantern.quarantined", "the model is in quarantine until it is scanned",
     "lantern scan-model shows what was found; lantern approve asks for it", false, quarantined},
    {"lantern.revocation-list", "there is no revocation list as the policy requires it",
     "lantern revoke --list takes a newer one", true, list_not_fresh},
    {"lantern.approvers", "the model is not approved as the policy requires it", "", false,
     too_few_approvers},
    {"lantern.signature", "the model is not signed as the policy requires it", "", false,
     not_signed},
    {"lantern.advisories", "an advisory about the model is open",
     "lantern advisories MODEL shows it", false, has_advisories},
    {"lantern.tier", "its integrity was not checked as the policy requires it",
     "--paranoid hashes all of it (tier C)", false, wrong_tier},
    {"lantern.in-place", "the model is not in the store",
     "lantern pull PATH takes a copy into the store", false, in_wrong_place},
    {"lantern.approve-in-script", "the policy wants approvals from a person at a terminal",
     "lantern approve MODEL --reason WHY, at a terminal", false, script_approves},
};

Finding match_rule(const Rule& rule, const Policy& policy, const Facts& facts) {
  const bool allows = rule.effect == Effect::kAllow;
  if (facts.action && !rule.actions.contains(*facts.action))
    return {Truth::kNo, fmt::format("it is not about {}", action_name(*facts.action))};
  Finding match =
      evaluate(rule.match, allows ? Reading::kGrants : Reading::kRestricts, policy, facts);
  if (!facts.action && match.truth == Truth::kYes)
    match = {Truth::kUnknown, "the action is not known"};
  if (rule.unless.empty() || match.truth == Truth::kNo) return match;
  Finding unless =
      evaluate(rule.unless, allows ? Reading::kRestricts : Reading::kGrants, policy, facts);
  const Truth spared = !unless.truth;
  if (spared >= match.truth) return match;
  return {spared, "unless: " + unless.why};
}

/// A deny rule that applies; the least of them is the one that is named. No two are equal, so the
/// choice does not depend on the rules' order.
struct Denial {
  bool is_not_final;
  bool is_in_doubt;
  std::string_view id;
  std::string_view reason;
  std::string_view ask;
  std::string_view why;

  bool operator<(const Denial& other) const {
    return std::tie(is_not_final, is_in_doubt, id) <
           std::tie(other.is_not_final, other.is_in_doubt, other.id);
  }
};

std::string first_of(std::initializer_list<std::string_view> texts) {
  for (const std::string_view text : texts)
    if (!text.empty()) return std::string(text);
  return {};
}

class Decider {
 public:
  Decider(const Policy& policy, const Facts& facts) : policy_(policy), facts_(facts) {
    explanation_.rules.reserve(std::size(kBuiltIns) + policy.rules.size());
  }

  Explanation run() {
    for (const BuiltIn& rule : kBuiltIns) add(rule);
    for (const Rule& rule : policy_.rules) add(rule);
    conclude();
    return std::move(explanation_);
  }

 private:
  void add(const BuiltIn& rule) {
    Finding found = rule.match(policy_, facts_);
    const bool applies = found.truth != Truth::kNo;
    RuleTrace& trace = explanation_.rules.emplace_back(RuleTrace{.rule = std::string(rule.id),
                                                                 .built_in = true,
                                                                 .match = found.truth,
                                                                 .applies = applies,
                                                                 .why = std::move(found.why)});
    if (applies)
      consider(
          {!rule.is_final, found.truth != Truth::kYes, rule.id, rule.reason, rule.ask, trace.why});
  }

  void add(const Rule& rule) {
    Finding found = match_rule(rule, policy_, facts_);
    const bool denies = rule.effect == Effect::kDeny;
    const bool applies = denies ? found.truth != Truth::kNo : found.truth == Truth::kYes;
    RuleTrace& trace = explanation_.rules.emplace_back(RuleTrace{.rule = rule.id,
                                                                 .effect = rule.effect,
                                                                 .match = found.truth,
                                                                 .applies = applies,
                                                                 .why = std::move(found.why)});
    if (denies && applies)
      consider(
          {!rule.is_final, found.truth != Truth::kYes, rule.id, rule.reason, rule.ask, trace.why});
    if (!denies && applies && (allowance_ == nullptr || rule.id < allowance_->id))
      allowance_ = &rule;
    if (!denies && applies) priority_ = std::max(priority_.value_or(rule.priority), rule.priority);
    // What a rule asks of the scanner binds wherever the rule may hold: not knowing whether
    // somebody is under it frees nobody from it.
    if (!denies && found.truth != Truth::kNo) bind(rule.data_actions);
  }

  void bind(const DataActions& actions) {
    for (const auto& [where, action] : actions) {
      DataAction& bound =
          explanation_.decision.data_actions.try_emplace(where, action).first->second;
      bound = std::max(bound, action);
    }
  }

  void consider(const Denial& denial) {
    if (!denial_ || denial < *denial_) denial_ = denial;
  }

  void conclude() {
    judge();
    Decision& decision = explanation_.decision;
    // Whatever was refused for: without a time most facts are doubts, and the clock is the cause.
    if (!decision.allowed() && !facts_.now && !facts_.clock_fault.empty())
      decision.reason += "; " + facts_.clock_fault;
  }

  void judge() {
    Decision& decision = explanation_.decision;
    decision.effect = denial_ || allowance_ == nullptr ? Effect::kDeny : Effect::kAllow;
    if (decision.allowed()) {
      decision.rule = allowance_->id;
      decision.reason = first_of({allowance_->reason, "the rule holds"});
      decision.priority = priority_.value_or(Priority::kNormal);
      decision.prefix_group = prefix_group();
      return;
    }
    if (!denial_) {
      decision.rule = "lantern.default";
      decision.reason = "no rule of the policy allows it";
      decision.how_to_ask = first_of({policy_.ask, kAskDefault});
      return;
    }
    decision.rule = denial_->id;
    decision.reason = first_of({denial_->reason, "the policy denies it"});
    if (denial_->is_in_doubt)
      decision.reason += fmt::format(" or cannot be told ({})", denial_->why);
    decision.how_to_ask = first_of({denial_->ask, policy_.ask, kAskDefault});
    decision.is_final = !denial_->is_not_final;
  }

  /// The first that the policy names of those that the subject is known to be in.
  [[nodiscard]] std::string prefix_group() const {
    if (!facts_.groups) return {};
    for (const std::string& group : policy_.prefix_cache.groups)
      if (facts_.groups->contains(group)) return group;
    return {};
  }

  const Policy& policy_;
  const Facts& facts_;
  Explanation explanation_;
  std::optional<Denial> denial_;
  const Rule* allowance_ = nullptr;
  std::optional<Priority> priority_;
};

}  // namespace

Status Decision::status() const {
  if (allowed()) return {};
  return make_error(ErrorCode::kDenied, "denied by rule {}: {}; {}", rule, reason, how_to_ask);
}

Error denied_by(Error error, std::string_view rule) {
  if (error.code == ErrorCode::kDenied && !error.message.starts_with("denied by rule "))
    error.message = fmt::format("denied by rule {}: {}", rule, error.message);
  return error;
}

Explanation explain(const Policy& policy, const Facts& facts) {
  return Decider(policy, facts).run();
}

Decision decide(const Policy& policy, const Facts& facts) {
  return explain(policy, facts).decision;
}

Decision deny_without_policy(const Error& why) {
  return {.effect = Effect::kDeny,
          .rule = "lantern.no-policy",
          .reason = why.message,
          .how_to_ask = "a valid signed policy is needed: ask whoever keeps it",
          .is_final = true};
}

Decision decide(const Result<Policy>& policy, const Facts& facts) {
  return policy.ok() ? decide(*policy, facts) : deny_without_policy(policy.error());
}

}  // namespace lantern::policy
