#include "policy/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "policy/testing.h"

namespace lantern::policy {
namespace {

using ::testing::HasSubstr;
using testing::kHead;
using testing::policy_of;

TEST(PolicyText, ReadsEveryField) {
  const base::PublicKey release = testing::new_key().public_key();
  const base::PublicKey bob = testing::new_key().public_key();
  const std::string hex = base::to_hex(testing::digest("m"));
  const std::string root = base::to_hex(testing::digest("root"));
  const Policy policy = policy_of(
      kHead +
      "ask = \"mail security\"\n[models]\ncatalog = \"approved\"\nin_place = [\"/srv/m\"]\n" +
      "tiers = [\"C\", \"A\"]\nadvisories = \"allow\"\n" +
      "[signatures]\nrequired = true\nsigners = [\"release\", \"certificate:" + root +
      ":CN=Acme\"]\nrecheck_certificates = true\n" +
      "[approvals]\napprovers_min = 2\nimporter_may_approve = true\nin_scripts = true\n"
      "days_max = 0\n[revocations]\nrequired = false\nversion_min = 4\nage_days_max = 7\n" +
      "[break_glass]\npeople = [\"bob\"]\nhours_max = 4\n[audit]\nkeep_days_min = 365\n"
      "[prefix_cache]\ngroups = [\"support\", \"sales\"]\n"
      "[sensor]\nmode = \"enforce\"\nrevoked = \"stop\"\nunknown = \"notify\"\n"
      "except_users = [\"root\"]\nexcept_groups = [\"ml\"]\nexcept_programs = "
      "[\"/usr/bin/x\"]\ndry_run_hours = 0\ngrace_s = 5\n" +
      "[[keys]]\nname = \"release\"\nuses = [\"models\", \"revocations\"]\npem = \"\"\"\n" +
      release.to_pem() + "\"\"\"\n" +
      "[[keys]]\nname = \"bob\"\nuser = \"bob\"\nuses = [\"approvals\", \"break-glass\"]\npem = "
      "'''\n" +
      bob.to_pem() + "'''\n" + "[pins]\nsmollm2 = \"sha256:" + hex + "\"\n" +
      "[[rules]]\nid = \"a.b\"\neffect = \"allow\"\naction = [\"load\", \"chat\"]\n"
      "subject = { user = [\"alice\"], group = [\"ml\"], key = [\"k1\"], program = "
      "[\"/usr/bin/x\"] }\n"
      "label = [\"public\"]\nbudget = { tokens_a_day = 100, requests_a_minute = 5 }\n"
      "priority = \"high\"\nreason = \"r\"\nask = \"a\"\n"
      "data = { prompt = { secrets = \"block\", \"*\" = \"warn\" }, answer = { pii = \"mask\" } }\n"
      "[rules.model]\nid = [\"" +
      hex +
      "\"]\nalias = [\"smollm2\", \"other\"]\n"
      "signer = [\"release\"]\nstate = [\"approved\"]\ncatalog = false\napproved = true\n"
      "[[rules]]\nid = \"c\"\neffect = \"deny\"\naction = [\"any\"]\nfinal = true\n"
      "model.architecture = [\"mamba\"]\nmodel.publisher = [\"p\"]\n"
      "unless.model.licence = [\"MIT\"]\n");
  EXPECT_EQ(policy.version, 3);
  EXPECT_EQ(policy.issued, testing::at("2026-11-01T00:00:00Z"));
  EXPECT_EQ(policy.expires, testing::at("2027-01-01T00:00:00Z"));
  EXPECT_EQ(policy.ask, "mail security");
  ASSERT_TRUE(policy.sensor);
  EXPECT_TRUE(policy.sensor->enforce);
  EXPECT_EQ(policy.sensor->revoked, SensorResponse::kStop);
  EXPECT_EQ(policy.sensor->unknown, SensorResponse::kNotify);
  EXPECT_EQ(policy.sensor->known, SensorResponse::kObserve);
  EXPECT_EQ(policy.sensor->dry_run_hours, 0);
  EXPECT_EQ(policy.sensor->grace_s, 5);
  EXPECT_TRUE(policy.models.catalog_is_approved);
  EXPECT_THAT(policy.models.in_place, ::testing::ElementsAre("/srv/m"));
  EXPECT_EQ(policy.models.tiers, (std::set<Tier>{Tier::kA, Tier::kC}));
  EXPECT_FALSE(policy.models.advisories_deny);
  EXPECT_TRUE(policy.signatures.required);
  EXPECT_TRUE(policy.signatures.recheck_certificates);
  EXPECT_THAT(
      policy.signatures.signers,
      ::testing::ElementsAre(signer_of(release), signer_of(testing::digest("root"), "CN=Acme")));
  EXPECT_EQ(policy.approvals.approvers_min, 2);
  EXPECT_TRUE(policy.approvals.importer_may_approve);
  EXPECT_TRUE(policy.approvals.in_scripts);
  EXPECT_FALSE(policy.approvals.days_max);
  EXPECT_FALSE(policy.revocations.required);
  EXPECT_EQ(policy.revocations.version_min, 4);
  EXPECT_EQ(policy.revocations.age_days_max, 7);
  EXPECT_THAT(policy.break_glass.people, ::testing::ElementsAre("bob"));
  EXPECT_EQ(policy.break_glass.hours_max, 4);
  EXPECT_THAT(policy.prefix_cache.groups, ::testing::ElementsAre("support", "sales"));
  EXPECT_EQ(policy.audit.keep_days_min, 365);
  ASSERT_EQ(policy.keys_for(KeyUse::kApprovals).size(), 1u);
  EXPECT_EQ(policy.keys_for(KeyUse::kApprovals)[0].id(), bob.id());
  ASSERT_EQ(policy.keys_for(KeyUse::kRevocations).size(), 1u);
  EXPECT_EQ(policy.keys_for(KeyUse::kRevocations)[0].id(), release.id());
  EXPECT_THAT(policy.unpinned_aliases, ::testing::ElementsAre("other"));

  ASSERT_EQ(policy.rules.size(), 2u);
  const Rule& rule = policy.rules[0];
  EXPECT_EQ(rule.id, "a.b");
  EXPECT_EQ(rule.effect, Effect::kAllow);
  EXPECT_EQ(rule.actions, (std::set<Action>{Action::kLoad, Action::kChat}));
  EXPECT_THAT(*rule.match.users, ::testing::ElementsAre("alice"));
  EXPECT_THAT(*rule.match.groups, ::testing::ElementsAre("ml"));
  EXPECT_THAT(*rule.match.keys, ::testing::ElementsAre("k1"));
  EXPECT_THAT(*rule.match.programs, ::testing::ElementsAre("/usr/bin/x"));
  EXPECT_THAT(*rule.match.ids, ::testing::ElementsAre(testing::digest("m")));
  ASSERT_EQ(rule.match.aliases->size(), 2u);
  EXPECT_EQ((*rule.match.aliases)[0].id, testing::digest("m"));
  EXPECT_FALSE((*rule.match.aliases)[1].id);
  EXPECT_THAT(*rule.match.signers, ::testing::ElementsAre(signer_of(release)));
  EXPECT_THAT(*rule.match.states, ::testing::ElementsAre(ModelState::kApproved));
  EXPECT_EQ(rule.match.in_catalog, false);
  EXPECT_EQ(rule.match.approved, true);
  EXPECT_THAT(*rule.match.labels, ::testing::ElementsAre("public"));
  EXPECT_EQ(rule.match.tokens_a_day, 100);
  EXPECT_EQ(rule.match.requests_a_minute, 5);
  EXPECT_EQ(rule.priority, Priority::kHigh);
  EXPECT_EQ(rule.data_actions, (DataActions{{{DataPath::kPrompt, "secrets"}, DataAction::kBlock},
                                            {{DataPath::kPrompt, "*"}, DataAction::kWarn},
                                            {{DataPath::kAnswer, "pii"}, DataAction::kMask}}));
  EXPECT_EQ(rule.reason, "r");
  EXPECT_EQ(rule.ask, "a");
  const Rule& other = policy.rules[1];
  EXPECT_EQ(other.actions.size(), kActionCount);
  EXPECT_TRUE(other.is_final);
  EXPECT_THAT(*other.match.architectures, ::testing::ElementsAre("mamba"));
  EXPECT_THAT(*other.match.publishers, ::testing::ElementsAre("p"));
  EXPECT_THAT(*other.unless.licences, ::testing::ElementsAre("MIT"));
}

TEST(PolicyText, WhatIsLeftOutIsStrict) {
  const Policy policy = policy_of(kHead);
  EXPECT_FALSE(policy.models.catalog_is_approved);
  EXPECT_TRUE(policy.models.in_place.empty());
  EXPECT_TRUE(policy.models.advisories_deny);
  EXPECT_EQ(policy.approvals.approvers_min, 1);
  EXPECT_FALSE(policy.approvals.importer_may_approve);
  EXPECT_FALSE(policy.approvals.in_scripts);
  EXPECT_TRUE(policy.revocations.required);
  EXPECT_EQ(policy.revocations.age_days_max, 30);
  EXPECT_TRUE(policy.break_glass.people.empty());
  EXPECT_FALSE(policy.audit.keep_days_min);
}

TEST(PolicyText, LettersOfAnyScriptStandInQuotesAndComments) {
  const Policy policy = policy_of("\xef\xbb\xbf# \xc3\xa9 \"\n" + kHead +
                                  "ask = \"\xc3\xa9 \\\"\xe4\xb8\x96\" # '\xc3\xa9\n"
                                  "[break_glass]\npeople = ['Zo\xc3\xab', \"\"\"\xd1\x9e\"\"\", "
                                  "'''\xe7\x95\x8c''']\n");
  EXPECT_EQ(policy.ask, "\xc3\xa9 \"\xe4\xb8\x96");
  EXPECT_THAT(policy.break_glass.people,
              ::testing::ElementsAre("Zo\xc3\xab", "\xd1\x9e", "\xe7\x95\x8c"));
}

TEST(PolicyText, OffsetsOfTimesCount) {
  EXPECT_EQ(policy_of("format=1\nversion=1\nissued=2026-11-01T02:30:00+02:30\n").issued,
            testing::at("2026-11-01T00:00:00Z"));
}

struct BadCase {
  const char* name;
  std::string toml;
  const char* message;
};

std::string rule(const std::string& lines) {
  return kHead + "[[rules]]\nid = \"r\"\neffect = \"allow\"\naction = [\"load\"]\n" + lines;
}
std::string deny_rule(const std::string& lines) {
  return kHead + "[[rules]]\nid = \"r\"\neffect = \"deny\"\naction = [\"load\"]\n" + lines;
}

std::vector<BadCase> bad_cases() {
  const std::string key = "[[keys]]\nname = \"k\"\nuses = [\"models\"]\npem = \"\"\"\n" +
                          testing::new_key().public_key().to_pem() + "\"\"\"\n";
  return {
      {"empty", "", "p.toml: line 1, column 1: format: is missing"},
      {"not_toml", "format = \n", "p.toml: line 1, column "},
      {"not_utf8", "ask = \"\xff\"\n", "p.toml: line 1, column "},
      {"another_format", "format = 2\n", "line 1, column 1: format: 2 is not within 1 to 1"},
      {"no_version", "format = 1\n", "version: is missing"},
      {"version_zero", "format = 1\nversion = 0\n", "line 2, column 1: version: 0 is not within"},
      {"version_text", "format = 1\nversion = \"1\"\n", "a whole number is needed, not a text"},
      {"version_fraction", "format = 1\nversion = 1.5\n", "not a fraction"},
      {"version_too_big", "format = 1\nversion = 99999999999999999999\n", "line 2"},
      {"issued_text", "format = 1\nversion = 1\nissued = \"2026-11-01T00:00:00Z\"\n",
       "issued: a time such as"},
      {"issued_local", "format = 1\nversion = 1\nissued = 2026-11-01T00:00:00\n",
       "issued: a time such as"},
      {"issued_date", "format = 1\nversion = 1\nissued = 2026-11-01\n", "issued: a time such as"},
      {"ends_before_it_begins",
       "format = 1\nversion = 1\nissued = 2026-11-01T00:00:00Z\nexpires = 2026-11-01T00:00:00Z\n",
       "line 4, column 1: expires: is not after"},
      {"unknown_key", kHead + "defualt = \"allow\"\n", "line 5, column 1: defualt: unknown key"},
      {"key_twice", kHead + "ask = \"a\"\nask = \"b\"\n", "line 6"},
      {"table_twice", kHead + "[models]\n[models]\n", "line 6"},
      {"ask_of_two_lines", kHead + "ask = \"\"\"a\nb\"\"\"\n", "ask: a control character"},
      {"ask_reordered", kHead + "ask = \"a\\u202Eb\"\n", "ask: a control character"},
      {"models_text", kHead + "models = \"x\"\n", "models: a table is needed, not a text"},
      {"models_unknown", kHead + "[models]\ntier = [\"A\"]\n", "models.tier: unknown key"},
      {"catalog_word", kHead + "[models]\ncatalog = \"yes\"\n", "no such choice"},
      {"severity_word", kHead + "[models]\nadvisory_severity_at_least = \"bad\"\n",
       "no such severity"},
      {"severity_none", kHead + "[models]\nadvisory_severity_at_least = \"none\"\n", "low, medium"},
      {"severity_unused",
       kHead + "[models]\nadvisories = \"allow\"\nadvisory_severity_at_least = \"high\"\n",
       "no effect"},
      {"severity_grants",
       kHead + "[[rules]]\nid = \"a\"\neffect = \"allow\"\naction = [\"load\"]\n"
               "model.advisory_severity_at_least = \"high\"\n",
       "allows nothing"},
      {"severity_grants_by_unless",
       kHead + "[[rules]]\nid = \"a\"\neffect = \"deny\"\naction = [\"load\"]\n"
               "unless.model.advisory_severity_at_least = \"high\"\n",
       "allows nothing"},
      {"advisories_word", kHead + "[models]\nadvisories = \"warn\"\n", "no such choice"},
      {"in_place_relative", kHead + "[models]\nin_place = [\"srv\"]\n", "an absolute path"},
      {"in_place_dots", kHead + "[models]\nin_place = [\"/srv/../etc\"]\n", "an absolute path"},
      {"in_place_slash", kHead + "[models]\nin_place = [\"/srv/\"]\n", "an absolute path"},
      {"in_place_text", kHead + "[models]\nin_place = \"/srv\"\n", "a list of texts is needed"},
      {"tier_word", kHead + "[models]\ntiers = [\"D\"]\n", "D: no such tier"},
      {"tiers_empty", kHead + "[models]\ntiers = []\n", "the list is empty"},
      {"tiers_twice", kHead + "[models]\ntiers = [\"A\", \"A\"]\n", "\"A\": stands twice"},
      {"tiers_mixed", kHead + "[models]\ntiers = [\"A\", 1]\n", "not a whole number"},
      {"signers_without_effect", kHead + key + "[signatures]\nsigners = [\"k\"]\n",
       "has no effect without"},
      {"signer_unknown", kHead + "[signatures]\nrequired = true\nsigners = [\"k\"]\n",
       "\"k\": neither key:"},
      {"signer_key_short", kHead + "[signatures]\nrequired = true\nsigners = [\"key:12\"]\n",
       "key: and 64"},
      {"signer_certificate_bare",
       kHead + "[signatures]\nrequired = true\nsigners = [\"certificate:" + std::string(64, 'a') +
           "\"]\n",
       "certificate:<64"},
      {"approvers_negative", kHead + "[approvals]\napprovers_min = -1\n", "-1 is not within"},
      {"approvals_text", kHead + "[approvals]\nin_scripts = \"no\"\n", "true or false is needed"},
      {"days_too_many", kHead + "[approvals]\ndays_max = 5000\n", "5000 is not within"},
      {"revocations_unknown", kHead + "[revocations]\nage_max = 1\n", "unknown key"},
      {"audit_without_days", kHead + "[audit]\n", "keep_days_min: is missing"},
      {"audit_negative", kHead + "[audit]\nkeep_days_min = -1\n", "-1 is not within"},
      {"audit_unknown", kHead + "[audit]\nkeep_days_min = 1\nkeep = 1\n", "unknown key"},
      {"prefix_cache_empty", kHead + "[prefix_cache]\n", "groups: is missing"},
      {"prefix_cache_prefix", kHead + "[prefix_cache]\ngroups = [\"group:a\"]\n",
       "write the name alone, without \"group:\""},
      {"break_glass_prefix", kHead + "[break_glass]\npeople = [\"user:a\"]\n",
       "write the name alone, without \"user:\""},
      {"subject_prefix", rule("subject.group = [\"group:a\"]\n"),
       "write the name alone, without \"group:\""},
      {"break_glass_nobody", kHead + "[break_glass]\nhours_max = 1\n", "people: is missing"},
      {"break_glass_days", kHead + "[break_glass]\npeople = [\"a\"]\nhours_max = 48\n",
       "48 is not within"},
      {"key_no_pem", kHead + "[[keys]]\nname = \"k\"\nuses = [\"models\"]\n", "pem: is missing"},
      {"key_bad_pem", kHead + "[[keys]]\nname = \"k\"\nuses = [\"models\"]\npem = \"x\"\n",
       "keys.1.pem: "},
      {"key_bad_use", kHead + "[[keys]]\nname = \"k\"\nuses = [\"all\"]\npem = \"x\"\n",
       "no such use"},
      {"key_twice_named", kHead + key + key, "another key has this name"},
      {"key_without_owner", kHead + "[[keys]]\nname = \"k\"\nuses = [\"approvals\"]\npem = \"x\"\n",
       "user: is missing"},
      {"keys_table", kHead + "[keys]\nname = \"k\"\n", "tables are needed: [[keys]]"},
      {"pin_text", kHead + "[pins]\na = \"b\"\n", "pins.a: sha256: and 64"},
      {"pin_name", kHead + "[pins]\n\"A b\" = \"b\"\n", "are needed, a letter or digit first"},
      {"rules_table", kHead + "[rules]\nid = \"r\"\n", "tables are needed: [[rules]]"},
      {"rules_list", kHead + "rules = [1]\n", "a list of tables is needed"},
      {"rule_no_id", kHead + "[[rules]]\neffect = \"deny\"\naction = [\"any\"]\n",
       "rules.1.id: is missing"},
      {"rule_no_effect", kHead + "[[rules]]\nid = \"r\"\naction = [\"any\"]\n",
       "effect: is missing"},
      {"rule_no_action", kHead + "[[rules]]\nid = \"r\"\neffect = \"deny\"\n",
       "action: is missing"},
      {"rule_effect_word",
       kHead + "[[rules]]\nid = \"r\"\neffect = \"permit\"\naction = [\"any\"]\n",
       "\"allow\" or \"deny\" is needed"},
      {"rule_twice", rule("") + "[[rules]]\nid = \"r\"\neffect = \"deny\"\naction = [\"any\"]\n",
       "rules.2.id: another rule has this id"},
      {"rule_reserved",
       kHead + "[[rules]]\nid = \"lantern.x\"\neffect = \"deny\"\naction = [\"any\"]\n",
       "are built in"},
      {"rule_id_letters",
       kHead + "[[rules]]\nid = \"R 1\"\neffect = \"deny\"\naction = [\"any\"]\n",
       "are needed, a letter or digit first"},
      {"rule_action_word", kHead + "[[rules]]\nid = \"r\"\neffect = \"deny\"\naction = [\"run\"]\n",
       "run: no such action"},
      {"rule_any_and_more",
       kHead + "[[rules]]\nid = \"r\"\neffect = \"deny\"\naction = [\"any\", \"load\"]\n",
       "\"any\" stands alone"},
      {"rule_subject_empty", rule("subject = {}\n"), "subject: asks for nothing"},
      {"rule_subject_unknown", rule("subject = { users = [\"a\"] }\n"), "subject"},
      {"rule_model_empty", rule("model = {}\n"), "model: asks for nothing"},
      {"rule_model_unknown", rule("model = { digest = [\"a\"] }\n"), "digest: unknown key"},
      {"rule_unless_empty", deny_rule("unless = {}\n"), "unless: asks for nothing"},
      {"rule_id_hex", rule("model = { id = [\"12\"] }\n"), "sha256: and 64"},
      {"rule_state_word", rule("model = { state = [\"good\"] }\n"), "good: no such state"},
      {"allow_on_licence", rule("model = { licence = [\"MIT\"] }\n"), "the file's own claim"},
      {"allow_on_architecture", rule("model = { architecture = [\"x\"] }\n"),
       "the file's own claim"},
      {"allow_on_publisher", rule("model = { publisher = [\"x\"] }\n"), "the file's own claim"},
      {"allow_unless_licence", rule("unless = { model = { licence = [\"MIT\"] } }\n"),
       "the file's own claim"},
      {"allow_unless_budget", rule("unless = { budget = { tokens_a_day = 5 } }\n"),
       "a budget in an allow rule"},
      {"deny_budget", deny_rule("budget = { tokens_a_day = 5 }\n"), "a budget in a deny rule"},
      {"budget_empty", rule("budget = {}\n"), "budget: asks for nothing"},
      {"budget_zero", rule("budget = { tokens_a_day = 0 }\n"), "0 is not within"},
      {"deny_priority", deny_rule("priority = \"low\"\n"), "no effect in a deny rule"},
      {"deny_data", deny_rule("data = { prompt = { a = \"block\" } }\n"),
       "no effect in a deny rule"},
      {"allow_final", rule("final = true\n"), "no effect in an allow rule"},
      {"data_path", rule("data = { input = { a = \"block\" } }\n"), "no such path of data"},
      {"data_action", rule("data = { prompt = { a = \"drop\" } }\n"), "no such data-loss action"},
      {"data_empty", rule("data = { prompt = {} }\n"), "data: asks for nothing"},
      {"data_class", rule("data = { prompt = { \"A\" = \"block\" } }\n"), "are needed"},
      {"priority_word", rule("priority = \"urgent\"\n"), "no such priority"},
      {"program_relative", rule("subject = { program = [\"editor\"] }\n"), "an absolute path"},
      {"user_empty", rule("subject = { user = [\"\"] }\n"), "empty"},
      {"user_blank", rule("subject = { user = [\" \"] }\n"), "empty"},
      {"rule_unknown_key", rule("when = 1\n"), "rules.1.when: unknown key"},
      {"letter_outside_quotes", kHead + "\xc3\xa9 = 1\n",
       "line 5, column 1: a letter beyond ASCII needs quotes"},
      {"letter_as_value", kHead + "ask = \xd1\x9e\n", "line 5, column 7: a letter beyond ASCII"},
      {"letter_after_string", kHead + "ask = \"a\"\xe3\x80\x80\n", "line 5, column 10: a letter"},
      {"letter_after_lines", kHead + "ask = \"\"\"a\"\"\"\"\xc3\xa9\n",
       "line 5, column 15: a letter"},
      {"letter_escaped", kHead + "ask = \"\\\xc3\xa9\"\n", "line 5, column 9: a letter"},
      {"letter_after_backslash_and_blank", kHead + "ask = \"\"\"\\ \xc3\xa9\"\"\"\n",
       "line 5, column 12: a letter"},
      {"header_without_name", kHead + "[,odels]\n", "line 5, column 2: a name is needed after ["},
      {"header_of_nothing", kHead + " [[ ]]\n", "line 5, column 5: a name is needed after ["},
      {"header_cut_short", kHead + "[", "line 5, column 2: a name is needed after ["},
      {"quote_within_a_word", kHead + "ask = 3.\"\xc3\xa9\"\n", "line 5, column 10: a letter"},
      {"quote_behind_a_words_bracket", kHead + "ask = -p{\"\xc3\xa9\"}\n",
       "line 5, column 11: a letter"},
      {"control_character", kHead + "ask = 3\x01\n", "line 5, column 8: a control character"},
      {"time_cut_short", kHead + "ask = 2026-11-01Tx\n", "line 5"},
      {"string_without_end", kHead + "ask = \"a\n\xc3\xa9", "line "},
      {"dots", kHead + "a" + std::string(40, '.') + "\n", "line 5: more than 32 dots"},
  };
}

TEST(PolicyText, BadOnesAreNamedByLineAndField) {
  for (const BadCase& bad : bad_cases()) {
    SCOPED_TRACE(bad.name);
    const auto policy = parse_policy(bad.toml, "p.toml");
    ASSERT_FALSE(policy.ok());
    EXPECT_EQ(policy.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(policy.error().message, HasSubstr(bad.message));
    EXPECT_THAT(policy.error().message, ::testing::StartsWith("p.toml: line "));
    EXPECT_THAT(policy.error().message, ::testing::Not(HasSubstr("\n")));
  }
}

TEST(PolicyText, IsBounded) {
  const auto too_long = parse_policy(std::string(kPolicyBytesMax + 1, '\n'), "p.toml");
  EXPECT_EQ(too_long.error().code, ErrorCode::kTooLarge);
  std::string many = kHead + "rules = [";
  for (size_t i = 0; i <= kRulesMax; ++i) many += "{},";
  EXPECT_THAT(parse_policy(many + "]\n", "p").error().message, HasSubstr("at most 4096 are read"));
}

// The library destroys nested tables by recursion: what the bounds leave must fit a thread's stack.
TEST(PolicyText, DeepNestingIsRefusedWithoutHarm) {
  std::string dots = "a";
  for (int i = 0; i < 32; ++i) dots += ".a";
  std::string nested = dots + " = [\n";
  for (int i = 0; i < 127; ++i) nested += "{" + dots + " = [\n";
  EXPECT_FALSE(parse_policy(nested, "p").ok());
  for (int i = 0; i < 127; ++i) nested += "]}";
  nested += "]\n";
  EXPECT_FALSE(parse_policy(nested, "p").ok());
  EXPECT_FALSE(parse_policy("a = " + std::string(100000, '['), "p").ok());
  EXPECT_FALSE(parse_policy("a = " + std::string(100000, '{'), "p").ok());
}

TEST(PolicyText, CutShortAnywhereItNeverCrashes) {
  const std::string text(personal_policy_text());
  for (size_t n = 0; n < text.size(); ++n) {
    const auto policy = parse_policy(std::string_view(text).substr(0, n), "p");
    if (policy.ok()) continue;
    EXPECT_THAT(policy.error().message, ::testing::StartsWith("p: line "));
  }
}

TEST(PolicyText, TheExampleOfTheManualIsValid) {
  std::ifstream file(std::string(LANTERN_SOURCE_DIR) + "/docs/examples/policy.toml");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto policy = parse_policy(text, "docs/examples/policy.toml");
  ASSERT_TRUE(policy.ok()) << policy.error().message;
  EXPECT_TRUE(policy->expires);
  EXPECT_GE(policy->rules.size(), 6u);
}

}  // namespace
}  // namespace lantern::policy
