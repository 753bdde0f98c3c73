#include "policy/decide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

#include "policy/clock.h"
#include "policy/testing.h"

namespace lantern::policy {
namespace {

using testing::at;
using testing::digest;
using testing::good_facts;
using ::testing::HasSubstr;
using testing::kHead;
using ::testing::Not;
using testing::policy_of;

const std::string kOpen =
    "[approvals]\napprovers_min = 0\n[revocations]\nrequired = false\n[models]\nadvisories = "
    "\"allow\"\n";
const std::string kAllowAll = "[[rules]]\nid = \"all\"\neffect = \"allow\"\naction = [\"any\"]\n";

std::string deny(const std::string& lines) {
  return "[[rules]]\nid = \"no\"\neffect = \"deny\"\naction = [\"any\"]\n" + lines + "\n";
}
std::string allow(const std::string& lines) {
  return "[[rules]]\nid = \"yes\"\neffect = \"allow\"\naction = [\"load\"]\n" + lines + "\n";
}
Decision of(const std::string& rules, const Facts& facts) {
  return decide(policy_of(kHead + kOpen + rules), facts);
}

TEST(Decide, TheDefaultIsNo) {
  const Decision decision = of("", good_facts());
  EXPECT_FALSE(decision.allowed());
  EXPECT_EQ(decision.rule, "lantern.default");
  EXPECT_EQ(decision.status().error().code, ErrorCode::kDenied);
  EXPECT_THAT(decision.status().error().message, HasSubstr("denied by rule lantern.default: "));
  EXPECT_FALSE(decision.how_to_ask.empty());
}

TEST(Decide, AnyDenyWinsAndNamesItsRule) {
  EXPECT_TRUE(of(kAllowAll, good_facts()).allowed());
  const Decision decision =
      of(kAllowAll + deny("reason = \"because\"\nask = \"Bob\""), good_facts());
  EXPECT_FALSE(decision.allowed());
  EXPECT_EQ(decision.status().error().message, "denied by rule no: because; Bob");
}

struct ConditionCase {
  const char* condition;                // TOML, in an allow rule and under a deny rule
  std::function<void(Facts&)> satisfy;  // makes it hold
  std::function<void(Facts&)> violate;  // makes it not hold
  std::function<void(Facts&)> forget;
};

std::vector<ConditionCase> verified_conditions() {
  static const std::string kId = "model.id = [\"" + base::to_hex(digest("x")) + "\"]";
  static const std::string kSigner = "model.signer = [\"key:" + base::to_hex(digest("s")) + "\"]";
  const std::string signer = "key:" + base::to_hex(digest("s"));
  return {
      {"subject.user = [\"bob\", \"eve\"]", [](Facts& f) { f.user = "eve"; },
       [](Facts& f) { f.user = "alice"; }, [](Facts& f) { f.user.reset(); }},
      {"subject.group = [\"a\"]",
       [](Facts& f) {
         f.groups = {"a", "b"};
       },
       [](Facts& f) { f.groups = {"b"}; }, [](Facts& f) { f.groups.reset(); }},
      {"subject.key = [\"k\"]", [](Facts& f) { f.keys = {"k"}; }, [](Facts& f) { f.keys->clear(); },
       [](Facts& f) { f.keys.reset(); }},
      {"subject.program = [\"/bin/p\"]", [](Facts& f) { f.program = "/bin/p"; },
       [](Facts& f) { f.program = ""; }, [](Facts& f) { f.program.reset(); }},
      {kId.c_str(), [](Facts& f) { f.model_id = digest("x"); },
       [](Facts& f) { f.model_id = digest("y"); },
       [](Facts& f) {
         f.model_id.reset();
         f.files.reset();
       }},
      {kSigner.c_str(), [signer](Facts& f) { f.signers = {signer}; },
       [](Facts& f) { f.signers->clear(); }, [](Facts& f) { f.signers.reset(); }},
      {"model.state = [\"scanned\"]", [](Facts& f) { f.state = ModelState::kScanned; },
       [](Facts& f) { f.state = ModelState::kApproved; }, [](Facts& f) { f.state.reset(); }},
      {"model.catalog = true", [](Facts& f) { f.in_catalog = true; },
       [](Facts& f) { f.in_catalog = false; }, [](Facts& f) { f.in_catalog.reset(); }},
      {"model.approved = true", [](Facts& f) { f.n_approvers = 1; },
       [](Facts& f) { f.n_approvers = 0; }, [](Facts& f) { f.n_approvers.reset(); }},
      {"label = [\"public\", \"internal\"]", [](Facts& f) { f.labels = {"public"}; },
       [](Facts& f) { f.labels = {"secret"}; }, [](Facts& f) { f.labels.reset(); }},
  };
}

TEST(Decide, EveryConditionAllowsWhereItHoldsAndDeniesUnlessItDoesNot) {
  for (const ConditionCase& one : verified_conditions()) {
    SCOPED_TRACE(one.condition);
    Facts holds = good_facts(), fails = good_facts(), unknown = good_facts();
    one.satisfy(holds);
    one.violate(fails);
    one.forget(unknown);
    EXPECT_TRUE(of(allow(one.condition), holds).allowed());
    EXPECT_FALSE(of(allow(one.condition), fails).allowed());
    EXPECT_FALSE(of(allow(one.condition), unknown).allowed());
    const std::string denies = kAllowAll + deny(one.condition);
    EXPECT_FALSE(of(denies, holds).allowed());
    EXPECT_TRUE(of(denies, fails).allowed());
    EXPECT_EQ(of(denies, unknown).allowed(), false);
    const std::string unless = kAllowAll + deny(std::string("unless.") + one.condition);
    EXPECT_TRUE(of(unless, holds).allowed());
    EXPECT_FALSE(of(unless, fails).allowed());
    EXPECT_FALSE(of(unless, unknown).allowed());
    const std::string allow_unless = allow(std::string("unless.") + one.condition);
    EXPECT_FALSE(of(allow_unless, holds).allowed());
    EXPECT_TRUE(of(allow_unless, fails).allowed());
    EXPECT_FALSE(of(allow_unless, unknown).allowed());
  }
}

TEST(Decide, ClaimsOfTheFileOnlyDeny) {
  const std::string rules = kAllowAll + deny("unless.model.licence = [\"MIT\", \"Apache-2.0\"]");
  Facts facts = good_facts();
  EXPECT_TRUE(of(rules, facts).allowed());
  facts.licence = "other";
  EXPECT_FALSE(of(rules, facts).allowed());
  facts.licence.reset();
  const Decision decision = of(rules, facts);
  EXPECT_FALSE(decision.allowed());
  EXPECT_THAT(decision.reason, HasSubstr("licence is not known"));
  EXPECT_FALSE(of(kAllowAll + deny("model.publisher = [\"example\"]"), good_facts()).allowed());
  EXPECT_FALSE(of(kAllowAll + deny("model.architecture = [\"llama\"]"), good_facts()).allowed());
  EXPECT_TRUE(of(kAllowAll + deny("model.architecture = [\"mamba\"]"), good_facts()).allowed());
}

TEST(Decide, AFileNamesItsCompositionOnlyWhereItIsAllOfIt) {
  const std::string id = "model.id = [\"sha256:" + base::to_hex(digest("f")) + "\"]";
  Facts one = good_facts(), two = good_facts();
  one.files = {digest("f")};
  two.files = {digest("f"), digest("adapter")};
  EXPECT_TRUE(of(allow(id), one).allowed());
  EXPECT_FALSE(of(allow(id), two).allowed());
  EXPECT_FALSE(of(kAllowAll + deny(id), one).allowed());
  EXPECT_FALSE(of(kAllowAll + deny(id), two).allowed());
  EXPECT_FALSE(of(kAllowAll + deny("unless." + id), two).allowed());
}

TEST(Decide, AliasesCountByTheirPin) {
  const std::string rules = allow("model.alias = [\"small\"]");
  EXPECT_FALSE(of(rules, good_facts()).allowed()) << "not pinned";
  const std::string pins = "[pins]\nsmall = \"" + base::to_hex(digest("model")) + "\"\n";
  EXPECT_TRUE(of(pins + rules, good_facts()).allowed());
  Facts other = good_facts();
  other.model_id = digest("moved");
  EXPECT_FALSE(of(pins + rules, other).allowed());
  EXPECT_FALSE(of(kAllowAll + deny("model.alias = [\"small\"]"), other).allowed())
      << "an alias without a pin may be any model";
}

TEST(Decide, EveryLabelMustBeAllowed) {
  Facts facts = good_facts();
  facts.labels = {"public", "secret"};
  EXPECT_FALSE(of(allow("label = [\"public\"]"), facts).allowed());
  EXPECT_FALSE(of(kAllowAll + deny("label = [\"secret\"]"), facts).allowed());
  facts.labels->clear();
  EXPECT_FALSE(of(allow("label = [\"public\"]"), facts).allowed());
  EXPECT_TRUE(of(kAllowAll + deny("label = [\"secret\"]"), facts).allowed());
}

TEST(Decide, BudgetsEnd) {
  Facts facts = good_facts();
  for (const std::string& rules :
       {allow("budget = { tokens_a_day = 100, requests_a_minute = 2 }"),
        kAllowAll + deny("unless.budget = { tokens_a_day = 100, requests_a_minute = 2 }")}) {
    facts.tokens_today = 99;
    facts.requests_this_minute = 1;
    EXPECT_TRUE(of(rules, facts).allowed());
    facts.tokens_today = 100;
    EXPECT_FALSE(of(rules, facts).allowed());
    facts.tokens_today = 99;
    facts.requests_this_minute = 2;
    EXPECT_FALSE(of(rules, facts).allowed());
    facts.requests_this_minute.reset();
    EXPECT_FALSE(of(rules, facts).allowed());
  }
}

TEST(Decide, DataLossActionsAddUpToTheStrictest) {
  const std::string mild =
      "[[rules]]\nid = \"a\"\neffect = \"allow\"\naction = [\"load\"]\ndata.prompt = { secrets = "
      "\"warn\", pii = \"mask\" }\n";
  const std::string strict =
      "[[rules]]\nid = \"b\"\neffect = \"allow\"\naction = [\"load\"]\nsubject.group = "
      "[\"guests\"]\ndata.prompt = { secrets = \"block\" }\n";
  const DataActions without = {{{DataPath::kPrompt, "secrets"}, DataAction::kWarn},
                               {{DataPath::kPrompt, "pii"}, DataAction::kMask}};
  DataActions with = without;
  with[{DataPath::kPrompt, "secrets"}] = DataAction::kBlock;
  Facts facts = good_facts();
  EXPECT_EQ(of(mild + strict, facts).data_actions, without);
  facts.groups->insert("guests");
  EXPECT_EQ(of(mild + strict, facts).data_actions, with);
  facts.groups.reset();
  const Decision unknown = of(mild + strict, facts);
  EXPECT_TRUE(unknown.allowed());
  EXPECT_EQ(unknown.data_actions, with) << "a guest must not escape by hiding it";
}

TEST(Decide, PriorityIsTheHighestGranted) {
  const std::string low =
      "[[rules]]\nid = \"a\"\neffect = \"allow\"\naction = [\"any\"]\npriority = \"low\"\n";
  const std::string high =
      "[[rules]]\nid = \"b\"\neffect = \"allow\"\naction = [\"any\"]\npriority = \"high\"\n";
  EXPECT_EQ(of(low, good_facts()).priority, Priority::kLow);
  EXPECT_EQ(of(low + high, good_facts()).priority, Priority::kHigh);
}

TEST(Decide, PrefixesAreSharedWithinTheFirstGroupThatThePolicyNames) {
  const std::string text = "[prefix_cache]\ngroups = [\"support\", \"sales\"]\n" + kAllowAll;
  Facts facts = good_facts();
  facts.groups = {"sales", "staff"};
  EXPECT_EQ(of(text, facts).prefix_group, "sales");
  facts.groups = {"sales", "support"};
  EXPECT_EQ(of(text, facts).prefix_group, "support");
  EXPECT_EQ(of(kAllowAll, facts).prefix_group, "");
  EXPECT_EQ(of(text + deny(""), facts).prefix_group, "") << "who is refused shares nothing";
  facts.groups = {"staff"};
  EXPECT_EQ(of(text, facts).prefix_group, "");
  facts.groups.reset();
  EXPECT_EQ(of(text, facts).prefix_group, "") << "a group that is not known is nobody's";
}

struct RequirementCase {
  const char* rule;
  std::string tables;
  std::function<void(Facts&)> violate;
  std::function<void(Facts&)> forget;
  Action action = Action::kLoad;
};

std::vector<RequirementCase> requirement_cases() {
  const auto seconds = [](int n) { return std::chrono::seconds(n); };
  return {
      {"lantern.policy-expired", "", [](Facts& f) { f.now = at("2027-01-01T00:00:00Z"); },
       [](Facts& f) { f.now.reset(); }},
      {"lantern.revoked", "", [](Facts& f) { f.revoked = true; },
       [](Facts& f) { f.revoked.reset(); }},
      {"lantern.revoked", "", [](Facts& f) { f.state = ModelState::kRevoked; }, {}},
      {"lantern.revoked", "", [](Facts& f) { f.revoked = true; }, {}, Action::kApprove},
      {"lantern.quarantined", "", [](Facts& f) { f.state = ModelState::kQuarantined; }, {}},
      {"lantern.revocation-list", "", [](Facts& f) { f.revocation_list->version = 4; },
       [](Facts& f) { f.revocation_list.reset(); }},
      {"lantern.revocation-list", "", [](Facts& f) { f.revocation_list->expires = *f.now; }, {}},
      {"lantern.revocation-list",
       "",
       [=](Facts& f) { f.revocation_list->issued = *f.now - std::chrono::days(7) - seconds(1); },
       {}},
      {"lantern.revocation-list",
       "",
       [=](Facts& f) { f.revocation_list->issued = *f.now + kClockBehindMax + seconds(1); },
       {}},
      {"lantern.approvers", "", [](Facts& f) { f.n_approvers = 1; },
       [](Facts& f) { f.n_approvers.reset(); }},
      {"lantern.signature", "", [](Facts& f) { f.signers->clear(); },
       [](Facts& f) { f.signers.reset(); }},
      {"lantern.advisories", "", [](Facts& f) { f.advisories = {"x_1"}; },
       [](Facts& f) { f.advisories.reset(); }},
      {"lantern.tier", "", [](Facts& f) { f.tier = Tier::kB; }, [](Facts& f) { f.tier.reset(); }},
      {"lantern.in-place", "", [](Facts& f) { f.in_place_path = "/srv/other"; },
       [](Facts& f) { f.in_place_path.reset(); }},
      {"lantern.in-place", "", [](Facts& f) { f.in_place_path = "/srv/modelsx/a"; }, {}},
      {"lantern.in-place", "", [](Facts& f) { f.in_place_path = "/srv/models/../x"; }, {}},
      {"lantern.in-place", "", [](Facts& f) { f.in_place_path = "relative"; }, {}},
      {"lantern.approve-in-script", "", [](Facts& f) { f.approval_in_script = true; },
       [](Facts& f) { f.approval_in_script.reset(); }, Action::kApprove},
  };
}

TEST(Decide, EveryRequirementDeniesByItsName) {
  const std::string strict =
      "[models]\ntiers = [\"A\", \"C\"]\nin_place = [\"/srv/models\"]\n[signatures]\nrequired = "
      "true\n[approvals]\napprovers_min = 2\n[revocations]\nversion_min = 5\nage_days_max = 7\n";
  const Policy policy = policy_of(kHead + strict + kAllowAll);
  for (const RequirementCase& one : requirement_cases()) {
    SCOPED_TRACE(one.rule);
    Facts good = good_facts();
    good.n_approvers = 2;
    good.tier = Tier::kC;
    good.in_place_path = "/srv/models/a.gguf";
    good.action = one.action;
    ASSERT_TRUE(decide(policy, good).allowed()) << decide(policy, good).reason;
    Facts bad = good;
    one.violate(bad);
    EXPECT_FALSE(decide(policy, bad).allowed());
    EXPECT_EQ(decide(policy, bad).rule, one.rule);
    EXPECT_FALSE(decide(policy, bad).how_to_ask.empty());
    if (!one.forget) continue;
    Facts unknown = good;
    one.forget(unknown);
    EXPECT_FALSE(decide(policy, unknown).allowed());
  }
}

TEST(Decide, AdvisoriesDenyFromASeverityOn) {
  const std::string head = kHead +
                           "[approvals]\napprovers_min = 0\n[revocations]\nrequired = "
                           "false\n[models]\nadvisory_severity_at_least = \"high\"\n";
  const Policy required = policy_of(head + kAllowAll);
  const Policy ruled =
      policy_of(kHead + kOpen + kAllowAll + deny("model.advisory_severity_at_least = \"high\""));
  for (const Policy& policy : {required, ruled}) {
    Facts facts = good_facts();
    EXPECT_TRUE(decide(policy, facts).allowed());
    facts.advisories = {"x_1"};
    for (const Severity severity : {Severity::kNone, Severity::kLow, Severity::kMedium,
                                    Severity::kHigh, Severity::kCritical}) {
      facts.advisory_severity = severity;
      EXPECT_EQ(decide(policy, facts).allowed(), severity < Severity::kHigh);
    }
    facts.advisory_severity.reset();
    EXPECT_FALSE(decide(policy, facts).allowed());
  }
  Facts facts = good_facts();
  facts.advisories = {"x_1"};
  facts.advisory_severity = Severity::kCritical;
  EXPECT_THAT(decide(required, facts).rule, "lantern.advisories");
  const auto traces = explain(required, facts).rules;
  const auto trace = std::find_if(traces.begin(), traces.end(), [](const RuleTrace& one) {
    return one.rule == "lantern.advisories";
  });
  ASSERT_NE(trace, traces.end());
  EXPECT_THAT(trace->why, HasSubstr("the worst of severity critical, high or worse"));
}

TEST(Decide, RevokingIsNotHinderedByTheModel) {
  Facts facts = good_facts();
  facts.action = Action::kRevoke;
  facts.state = ModelState::kQuarantined;
  facts.revoked.reset();
  facts.revocation_list.reset();
  facts.n_approvers.reset();
  EXPECT_TRUE(decide(policy_of(kHead + kAllowAll), facts).allowed());
}

TEST(Decide, ThePersonalPolicyAsksOnceForWhatTheCatalogDoesNotKnow) {
  Facts facts = good_facts();
  facts.n_approvers = 0;
  facts.in_catalog = true;
  facts.now.reset();
  facts.revocation_list.reset();
  facts.state = ModelState::kQuarantined;
  EXPECT_TRUE(decide(personal_policy(), facts).allowed());
  EXPECT_EQ(decide(personal_policy(), facts).rule, "personal.catalog");
  facts.in_catalog = false;
  EXPECT_FALSE(decide(personal_policy(), facts).allowed());
  facts.state = ModelState::kScanned;
  EXPECT_EQ(decide(personal_policy(), facts).rule, "lantern.approvers");
  EXPECT_THAT(decide(personal_policy(), facts).how_to_ask, HasSubstr("lantern approve"));
  facts.n_approvers = 1;
  EXPECT_EQ(decide(personal_policy(), facts).rule, "personal.approved");
  facts.revoked = true;
  EXPECT_EQ(decide(personal_policy(), facts).rule, "lantern.revoked");
}

TEST(Decide, WithoutAPolicyEverythingIsDenied) {
  const Result<Policy> broken = parse_policy("format = 1\nversion = \n", "/etc/lantern/policy");
  for (size_t i = 0; i < kActionCount; ++i) {
    Facts facts = good_facts();
    facts.action = static_cast<Action>(i);
    const Decision decision = decide(broken, facts);
    EXPECT_FALSE(decision.allowed());
    EXPECT_TRUE(decision.is_final);
    EXPECT_EQ(decision.rule, "lantern.no-policy");
    EXPECT_THAT(decision.reason, HasSubstr("/etc/lantern/policy: line 2"));
  }
}

TEST(Decide, ExplainsEveryRule) {
  const Policy policy = policy_of(kHead + kOpen + allow("subject.group = [\"ops\"]") +
                                  deny("subject.user = [\"alice\"]"));
  Facts facts = good_facts();
  facts.labels.reset();
  const Explanation explanation = explain(policy, facts);
  ASSERT_GE(explanation.rules.size(), 2u);
  const RuleTrace& yes = explanation.rules[explanation.rules.size() - 2];
  EXPECT_EQ(yes.rule, "yes");
  EXPECT_EQ(yes.match, Truth::kNo);
  EXPECT_FALSE(yes.applies);
  EXPECT_EQ(yes.why, "group: ml, staff, not ops");
  const RuleTrace& no = explanation.rules.back();
  EXPECT_EQ(no.rule, "no");
  EXPECT_TRUE(no.applies);
  for (const RuleTrace& trace : explanation.rules) {
    EXPECT_FALSE(trace.why.empty()) << trace.rule;
    EXPECT_EQ(trace.built_in, trace.rule.starts_with("lantern."));
  }
}

TEST(Clock, FiveMinutesBehindIsRefused) {
  const base::UtcTime record = at("2026-11-22T12:00:00Z");
  EXPECT_EQ(trusted_time(record, std::nullopt).value(), record);
  EXPECT_EQ(trusted_time(record + std::chrono::hours(1), record).value(),
            record + std::chrono::hours(1));
  EXPECT_EQ(trusted_time(record - std::chrono::minutes(5), record).value(), record);
  const auto behind =
      trusted_time(record - std::chrono::minutes(5) - std::chrono::seconds(1), record);
  EXPECT_EQ(behind.error().code, ErrorCode::kDenied);
}

TEST(Clock, ARefusalWithoutATimeSaysWhatIsWrongWithTheClock) {
  Facts facts;
  facts.action = Action::kLoad;
  facts.clock_fault = "the clock lags";
  EXPECT_THAT(decide(personal_policy(), facts).reason, HasSubstr("; the clock lags"));
  facts.now = at("2026-11-22T12:00:00Z");
  EXPECT_THAT(decide(personal_policy(), facts).reason, Not(HasSubstr("lags")));
}

// Random policies over a small vocabulary, so that rules and facts often meet.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  size_t below(size_t n) { return static_cast<size_t>(engine_() % n); }
  bool one_in(size_t n) { return below(n) == 0; }
  std::string word(const char* kind) { return fmt::format("{}{}", kind, below(3)); }
  std::vector<std::string> words(const char* kind) {
    std::vector<std::string> list = {word(kind)};
    if (one_in(2)) list.push_back(word(kind));
    return list;
  }
  std::set<std::string> set(const char* kind) {
    std::set<std::string> words;
    for (size_t i = below(3); i > 0; --i) words.insert(word(kind));
    return words;
  }
  base::Digest id() { return digest(fmt::format("id{}", below(3))); }
  std::mt19937_64& engine() { return engine_; }

  Conditions conditions(bool is_allow, bool grants) {
    Conditions c;
    if (one_in(4)) c.users = words("user");
    if (one_in(4)) c.groups = words("group");
    if (one_in(8)) c.keys = words("key");
    if (one_in(8)) c.programs = words("/program");
    if (one_in(6)) c.ids = {id(), id()};
    if (one_in(8)) c.aliases = {{"a", one_in(4) ? std::nullopt : std::optional(id())}};
    if (!is_allow && one_in(6)) c.licences = words("licence");
    if (!is_allow && one_in(8)) c.architectures = words("architecture");
    if (!is_allow && one_in(8)) c.publishers = words("publisher");
    if (one_in(6)) c.signers = words("signer");
    if (one_in(6)) c.states = {static_cast<ModelState>(below(4)), ModelState::kApproved};
    if (one_in(8)) c.in_catalog = one_in(2);
    if (one_in(6)) c.approved = !one_in(3);
    if (!grants && one_in(6)) c.advisory_severity_min = static_cast<Severity>(1 + below(4));
    if (one_in(6)) c.labels = words("label");
    if (grants && one_in(8)) c.tokens_a_day = static_cast<int64_t>(1 + below(3));
    if (grants && one_in(8)) c.requests_a_minute = static_cast<int64_t>(1 + below(3));
    return c;
  }

  Rule rule(Effect effect, size_t n) {
    const bool is_allow = effect == Effect::kAllow;
    Rule rule{.id = fmt::format("r{}", n), .effect = effect};
    for (size_t i = 0; i < kActionCount; ++i)
      if (!one_in(3)) rule.actions.insert(static_cast<Action>(i));
    rule.match = conditions(is_allow, is_allow);
    if (one_in(3)) rule.unless = conditions(is_allow, !is_allow);
    rule.is_final = !is_allow && one_in(4);
    if (is_allow && one_in(2))
      rule.data_actions[{static_cast<DataPath>(below(4)), word("class")}] =
          static_cast<DataAction>(below(6));
    if (is_allow) rule.priority = static_cast<Priority>(below(3));
    return rule;
  }

  Policy policy() {
    Policy policy{.version = 1};
    if (!one_in(3)) policy.expires = base::UtcTime(std::chrono::seconds(10 + below(90)));
    policy.models.catalog_is_approved = one_in(2);
    if (one_in(2)) policy.models.in_place = {"/place0"};
    if (one_in(6)) policy.models.tiers = {static_cast<Tier>(below(3)), Tier::kB};
    policy.models.advisories_deny = one_in(4);
    if (one_in(2)) policy.models.advisory_severity_min = static_cast<Severity>(below(5));
    policy.signatures.required = one_in(6);
    if (one_in(2)) policy.signatures.signers = words("signer");
    policy.approvals.approvers_min = static_cast<int>(below(3) / 2);
    policy.approvals.in_scripts = !one_in(3);
    policy.revocations = {.required = one_in(4), .version_min = static_cast<int64_t>(below(2))};
    const size_t n_rules = 1 + below(6);
    for (size_t i = 0; i < n_rules; ++i)
      policy.rules.push_back(rule(one_in(4) ? Effect::kDeny : Effect::kAllow, i));
    return policy;
  }

  Facts facts() {
    Facts f;
    f.now = base::UtcTime(std::chrono::seconds(below(60)));
    f.user = word("user");
    f.groups = set("group");
    f.keys = set("key");
    f.program = word("/program");
    f.action = static_cast<Action>(below(kActionCount));
    f.approval_in_script = one_in(2);
    f.model_id = id();
    f.files = {id()};
    if (one_in(2)) f.files->insert(id());
    f.licence = word("licence");
    f.architecture = word("architecture");
    f.publisher = word("publisher");
    f.signers = set("signer");
    f.state = one_in(6) ? static_cast<ModelState>(below(4)) : ModelState::kApproved;
    f.in_catalog = one_in(2);
    f.revoked = one_in(8);
    f.advisories = one_in(3) ? set("advisory") : std::set<std::string>{};
    f.advisory_severity = static_cast<Severity>(f.advisories->empty() ? 0 : below(5));
    f.n_approvers = static_cast<int>(below(3));
    f.tier = static_cast<Tier>(below(3));
    f.in_place_path = one_in(3) ? word("/place") : "";
    f.revocation_list =
        RevocationListFacts{.version = static_cast<int64_t>(below(3)),
                            .expires = base::UtcTime(std::chrono::seconds(below(200)))};
    f.labels = set("label");
    f.tokens_today = static_cast<int64_t>(below(3));
    f.requests_this_minute = static_cast<int64_t>(below(3));
    return f;
  }

 private:
  std::mt19937_64 engine_;
};

using Forget = void (*)(Facts&);
constexpr Forget kForget[] = {
    [](Facts& f) { f.now.reset(); },
    [](Facts& f) { f.user.reset(); },
    [](Facts& f) { f.groups.reset(); },
    [](Facts& f) { f.keys.reset(); },
    [](Facts& f) { f.program.reset(); },
    [](Facts& f) { f.action.reset(); },
    [](Facts& f) { f.approval_in_script.reset(); },
    [](Facts& f) { f.model_id.reset(); },
    [](Facts& f) { f.files.reset(); },
    [](Facts& f) { f.licence.reset(); },
    [](Facts& f) { f.architecture.reset(); },
    [](Facts& f) { f.publisher.reset(); },
    [](Facts& f) { f.signers.reset(); },
    [](Facts& f) { f.state.reset(); },
    [](Facts& f) { f.in_catalog.reset(); },
    [](Facts& f) { f.revoked.reset(); },
    [](Facts& f) { f.advisories.reset(); },
    [](Facts& f) { f.advisory_severity.reset(); },
    [](Facts& f) { f.n_approvers.reset(); },
    [](Facts& f) { f.tier.reset(); },
    [](Facts& f) { f.in_place_path.reset(); },
    [](Facts& f) { f.revocation_list.reset(); },
    [](Facts& f) { f.labels.reset(); },
    [](Facts& f) { f.tokens_today.reset(); },
    [](Facts& f) { f.requests_this_minute.reset(); },
};

constexpr int kTrials = 20000;

/// Whether `after` asks at least as much of the scanner as `before`.
bool as_strict(const DataActions& before, const DataActions& after) {
  return std::all_of(before.begin(), before.end(), [&](const auto& entry) {
    const auto found = after.find(entry.first);
    return found != after.end() && found->second >= entry.second;
  });
}

TEST(DecideProperties, RuleOrderNeverMatters) {
  Random random(1);
  int n_allowed = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    Policy policy = random.policy();
    const Facts facts = random.facts();
    const Decision before = decide(policy, facts);
    n_allowed += before.allowed() ? 1 : 0;
    std::shuffle(policy.rules.begin(), policy.rules.end(), random.engine());
    ASSERT_EQ(decide(policy, facts), before) << "trial " << trial;
  }
  EXPECT_GT(n_allowed, kTrials / 20) << "too few policies allow anything for the test to mean it";
  EXPECT_LT(n_allowed, kTrials / 2);
}

TEST(DecideProperties, LosingFactsNeverAllowsNorLoosens) {
  Random random(2);
  int n_lost = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Policy policy = random.policy();
    const Facts known = random.facts();
    Facts fewer = known;
    for (const Forget forget : kForget)
      if (random.one_in(12)) forget(fewer);
    const Decision before = decide(policy, known), after = decide(policy, fewer);
    ASSERT_FALSE(!before.allowed() && after.allowed()) << "trial " << trial << ": " << after.rule;
    ASSERT_TRUE(as_strict(before.data_actions, after.data_actions)) << "trial " << trial;
    n_lost += before.allowed() && !after.allowed() ? 1 : 0;
  }
  EXPECT_GT(n_lost, 100);
}

TEST(DecideProperties, LosingOneFactNeverAllows) {
  Random random(3);
  for (int trial = 0; trial < kTrials / 10; ++trial) {
    const Policy policy = random.policy();
    const Facts known = random.facts();
    const bool allowed = decide(policy, known).allowed();
    for (const Forget forget : kForget) {
      Facts fewer = known;
      forget(fewer);
      ASSERT_TRUE(allowed || !decide(policy, fewer).allowed()) << "trial " << trial;
    }
  }
}

TEST(DecideProperties, AWorseAdvisoryNeverAllows) {
  Random random(8);
  int n_denied = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Policy policy = random.policy();
    Facts facts = random.facts();
    facts.advisories->insert("x_1");
    const Decision before = decide(policy, facts);
    facts.advisory_severity =
        std::max(*facts.advisory_severity, static_cast<Severity>(random.below(5)));
    const Decision after = decide(policy, facts);
    ASSERT_FALSE(!before.allowed() && after.allowed()) << "trial " << trial << ": " << after.rule;
    facts.advisory_severity = Severity::kCritical;  // as an unknown severity counts
    ASSERT_FALSE(!after.allowed() && decide(policy, facts).allowed()) << "trial " << trial;
    n_denied += before.allowed() && !decide(policy, facts).allowed() ? 1 : 0;
  }
  EXPECT_GT(n_denied, 20);
}

TEST(DecideProperties, OneMoreDenyRuleNeverAllows) {
  Random random(4);
  int n_lost = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    Policy policy = random.policy();
    const Facts facts = random.facts();
    const Decision before = decide(policy, facts);
    policy.rules.push_back(random.rule(Effect::kDeny, 99));
    const Decision after = decide(policy, facts);
    ASSERT_FALSE(!before.allowed() && after.allowed()) << "trial " << trial;
    ASSERT_EQ(before.data_actions, after.data_actions);
    n_lost += before.allowed() && !after.allowed() ? 1 : 0;
  }
  EXPECT_GT(n_lost, 100);
}

TEST(DecideProperties, OneAllowRuleFewerNeverAllows) {
  Random random(5);
  for (int trial = 0; trial < kTrials; ++trial) {
    Policy policy = random.policy();
    const Facts facts = random.facts();
    const bool allowed = decide(policy, facts).allowed();
    const auto rule = std::find_if(policy.rules.begin(), policy.rules.end(),
                                   [](const Rule& r) { return r.effect == Effect::kAllow; });
    if (rule == policy.rules.end()) continue;
    policy.rules.erase(rule);
    ASSERT_TRUE(allowed || !decide(policy, facts).allowed()) << "trial " << trial;
  }
}

TEST(DecideProperties, AllowedMeansThatAnAllowRuleHoldsAndNoDenyRuleMay) {
  Random random(6);
  for (int trial = 0; trial < kTrials; ++trial) {
    const Policy policy = random.policy();
    Facts facts = random.facts();
    for (const Forget forget : kForget)
      if (random.one_in(24)) forget(facts);
    const Explanation explanation = explain(policy, facts);
    bool allow_holds = false, deny_may = false;
    for (const RuleTrace& trace : explanation.rules) {
      if (trace.effect == Effect::kAllow) allow_holds |= trace.match == Truth::kYes;
      if (trace.effect == Effect::kDeny) deny_may |= trace.match != Truth::kNo;
    }
    ASSERT_EQ(explanation.decision.allowed(), allow_holds && !deny_may) << "trial " << trial;
    ASSERT_EQ(explanation.decision, decide(policy, facts));
  }
}

TEST(DecideProperties, NoFactsAtAllAreDenied) {
  Random random(7);
  for (int trial = 0; trial < kTrials; ++trial)
    ASSERT_FALSE(decide(random.policy(), Facts{}).allowed());
}

}  // namespace
}  // namespace lantern::policy
