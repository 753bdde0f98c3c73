#include "gate/caller_decision.h"

#include <utility>

#include "gate/limits.h"

namespace lantern::gate {
namespace {

using Clock = std::chrono::steady_clock;

/// How long a decision stands for the same caller while nothing that it went by was written: what
/// ends by the clock, or by a policy file, is seen this soon.
constexpr auto kDecideAnew = std::chrono::seconds(1);
constexpr size_t kVerdictsMax = 256;

policy::Fact<std::string> known(const std::string& text) {
  return text.empty() ? policy::Fact<std::string>() : policy::Fact<std::string>(text);
}

}  // namespace

audit::Actor actor_of(const Caller& caller) {
  return {
      .user = caller.user, .uid = caller.uid, .program = caller.program, .key_id = caller.key_id};
}

audit::Action audit_action(policy::Action action) {
  return action == policy::Action::kEmbed ? audit::Action::kEmbed : audit::Action::kChat;
}

/// What is known of the model, asked for by somebody who is not this process's own person.
Result<policy::Facts> CallerDecisions::facts_of(const Composition& model, const Caller& caller,
                                                policy::Action action) {
  LANTERN_ASSIGN(policy::Facts facts, governance_.facts(model, action));
  facts.user = known(caller.user);
  facts.groups =
      caller.user.empty() ? policy::Fact<std::set<std::string>>() : groups_of(caller.user);
  facts.keys.emplace();
  if (!caller.key_id.empty()) facts.keys->insert(caller.key_id);
  facts.program = known(caller.program);
  // Approvals may be for some people alone.
  facts.n_approvers.reset();
  LANTERN_TRY(governance_.count_approvals(model, facts));
  const bool approved = facts.n_approvers.value_or(0) > 0;
  if (facts.state == policy::ModelState::kApproved && !approved)
    facts.state = policy::ModelState::kQuarantined;
  else if (approved && facts.state != policy::ModelState::kRevoked)
    facts.state = policy::ModelState::kApproved;
  return facts;
}

Result<policy::Decision> CallerDecisions::decide(const Composition& model, const Caller& caller,
                                                 policy::Action action) {
  const std::string key =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}", policy::action_name(action), base::to_hex(model.id),
                  caller.user, caller.program, caller.key_id, caller.grant != nullptr, model.name);
  const std::lock_guard lock(mutex_);
  LANTERN_ASSIGN(const int64_t version, governance_.state().data_version());
  const auto now = Clock::now();
  std::erase_if(verdicts_, [&](const Verdict& verdict) {
    return verdict.data_version != version || now - verdict.at > kDecideAnew;
  });
  for (const Verdict& verdict : verdicts_)
    if (verdict.key == key) return verdict.decision;

  LANTERN_ASSIGN(const policy::Facts facts, facts_of(model, caller, action));
  LANTERN_ASSIGN(const policy::Decision decision,
                 decide_within_limits(governance_, facts, caller, model.name));
  if (!decision.allowed()) {
    audit::Event event{.action = audit_action(action),
                       .decision = audit::Decision::kDeny,
                       .actor = actor_of(caller),
                       .model = Governance::model_ref(model),
                       .rule = decision.rule,
                       .reason = decision.reason};
    if (auto recorded = log_.append(event); !recorded.ok()) return std::move(recorded).error();
    return decision;
  }
  if (verdicts_.size() < kVerdictsMax && !is_limited(governance_, caller))
    verdicts_.push_back({key, decision, version, now});
  return decision;
}

bool CallerDecisions::has_budget(const Caller& caller) {
  const std::lock_guard lock(mutex_);
  return is_limited(governance_, caller);
}

Result<bool> CallerDecisions::would_allow(const Composition& model, const Caller& caller,
                                          policy::Action action) {
  const std::lock_guard lock(mutex_);
  LANTERN_ASSIGN(const policy::Facts facts, facts_of(model, caller, action));
  LANTERN_ASSIGN(const policy::Decision decision,
                 decide_within_limits(governance_, facts, caller, model.name));
  return decision.allowed();
}

}  // namespace lantern::gate
