#include "gate/limits.h"

#include <algorithm>
#include <charconv>

#include "gate/usage.h"

namespace lantern::gate {
namespace {

constexpr const char* kAskForKey = "ask whoever made the key (lantern key list)";

bool has_budget(const policy::Conditions& conditions) {
  return conditions.tokens_a_day.has_value() || conditions.requests_a_minute.has_value();
}

constexpr std::string_view kRetry = "retry after ", kUnit = " s";

std::string with_retry(std::string_view how_to_ask, int64_t seconds) {
  return seconds > 0 ? fmt::format("{}; {}{}{}", how_to_ask, kRetry, seconds, kUnit)
                     : std::string(how_to_ask);
}

policy::Decision denied_by_key(const char* rule, std::string reason, int64_t retry_after_s) {
  return {.effect = policy::Effect::kDeny,
          .rule = rule,
          .reason = std::move(reason),
          .how_to_ask = with_retry(kAskForKey, retry_after_s),
          .is_final = true};
}

/// What the key itself does not allow; nothing where it does.
std::optional<policy::Decision> key_denial(const KeyGrant& grant, const Usage::Used& used,
                                           const std::string& model) {
  if (!grant.models.empty() &&
      std::find(grant.models.begin(), grant.models.end(), model) == grant.models.end())
    return denied_by_key("lantern.key-models",
                         fmt::format("key {} is not for the model {}", grant.id, model), 0);
  if (grant.requests_a_minute > 0 && used.requests_this_minute >= grant.requests_a_minute)
    return denied_by_key("lantern.key-rate",
                         fmt::format("key {} has made {} of {} requests a minute", grant.id,
                                     used.requests_this_minute, grant.requests_a_minute),
                         used.seconds_to_next_request);
  if (grant.tokens_a_day > 0 && used.tokens_today >= grant.tokens_a_day)
    return denied_by_key("lantern.key-budget",
                         fmt::format("key {} has used {} of {} tokens a day", grant.id,
                                     used.tokens_today, grant.tokens_a_day),
                         used.seconds_to_tomorrow);
  return {};
}

/// A denial that ends by itself says when, and where nothing but a used-up budget keeps a rule from
/// allowing it, that this is why.
void explain_budget(Governance& governance, policy::Facts facts, const Usage::Used& used,
                    policy::Decision& denial) {
  const auto relieved = [&](std::string_view budget, int64_t seconds) {
    const policy::Decision later = governance.decide(facts);
    if (!later.allowed()) return false;
    denial.how_to_ask = with_retry(denial.how_to_ask, seconds);
    if (denial.rule != "lantern.default") return true;
    denial.rule = later.rule;
    denial.reason = fmt::format("{} that it allows are used up", budget);
    return true;
  };
  facts.requests_this_minute = 0;
  if (relieved("the requests a minute", used.seconds_to_next_request)) return;
  facts.tokens_today = 0;
  (void)relieved("the tokens a day", used.seconds_to_tomorrow);
}

}  // namespace

int64_t retry_after_seconds(const Error& error) {
  std::string_view text = error.message;
  const size_t at = text.rfind(kRetry);
  const bool is_in_time = error.code == ErrorCode::kDenied || error.code == ErrorCode::kExhausted;
  if (!is_in_time || at == std::string_view::npos || !text.ends_with(kUnit)) return 0;
  text.remove_prefix(at + kRetry.size());
  text.remove_suffix(kUnit.size());
  int64_t seconds = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  return fault == std::errc() && end == text.data() + text.size() && seconds > 0 ? seconds : 0;
}

bool is_limited(Governance& governance, const Caller& caller) {
  if (caller.usage == nullptr) return false;
  if (caller.grant != nullptr &&
      (caller.grant->tokens_a_day > 0 || caller.grant->requests_a_minute > 0))
    return true;
  const Result<PolicyPtr>& policy = governance.policy();
  return policy.ok() && std::any_of((*policy)->rules.begin(), (*policy)->rules.end(),
                                    [](const policy::Rule& rule) {
                                      return has_budget(rule.match) || has_budget(rule.unless);
                                    });
}

Result<policy::Decision> decide_within_limits(Governance& governance, policy::Facts facts,
                                              const Caller& caller, const std::string& model) {
  Usage::Used used, by_key;
  if (is_limited(governance, caller)) {
    LANTERN_ASSIGN(used, caller.usage->used(user_subject(caller)));
    facts.tokens_today = used.tokens_today;
    facts.requests_this_minute = used.requests_this_minute;
    if (caller.grant != nullptr) {
      LANTERN_ASSIGN(by_key, caller.usage->used(key_subject(caller)));
    }
  }
  policy::Decision decision = governance.decide(facts);
  if (!decision.allowed()) {
    if (facts.tokens_today) explain_budget(governance, facts, used, decision);
    return decision;
  }
  if (caller.grant != nullptr)
    if (auto denied = key_denial(*caller.grant, by_key, model)) return *std::move(denied);
  return decision;
}

}  // namespace lantern::gate
