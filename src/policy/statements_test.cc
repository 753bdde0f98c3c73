// Revocation lists, approvals and break-glass statements.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/dsse.h"
#include "policy/approvals.h"
#include "policy/break_glass.h"
#include "policy/clock.h"
#include "policy/facts_text.h"
#include "policy/revocations.h"
#include "policy/testing.h"

namespace lantern::policy {
namespace {

using testing::at;
using testing::digest;
using ::testing::HasSubstr;
using testing::kHead;
using ::testing::UnorderedElementsAre;

const base::UtcTime kNow = at("2026-11-22T12:00:00Z");
const base::UtcTime kLater = at("2026-12-22T12:00:00Z");

std::string envelope_of(std::string_view type, std::string_view payload,
                        const base::PrivateKey& key) {
  return base::dsse_to_json(base::dsse_sign(type, payload, key).value()).dump();
}

class Statements : public ::testing::Test {
 protected:
  base::PrivateKey key_ = testing::new_key();
  base::PrivateKey other_ = testing::new_key();
  std::vector<base::PublicKey> trusted_ = {key_.public_key()};
  VersionFloorInMemory floor_;
};

RevocationList list_of(int64_t version, std::vector<Revocation> entries = {}) {
  return RevocationList::create(version, kNow, kLater, std::move(entries)).value();
}

TEST_F(Statements, ARevocationListSurvivesItsEnvelope) {
  const RevocationList list =
      list_of(3, {{digest("b"), "stolen weights", kNow}, {digest("a"), "backdoor \"x\"", kNow}});
  const auto read =
      verify_revocations(sign_revocations(list, key_).value(), "list", trusted_, floor_);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->version(), 3);
  EXPECT_EQ(read->facts(), list.facts());
  ASSERT_NE(read->find(digest("a")), nullptr);
  EXPECT_EQ(read->find(digest("a"))->reason, "backdoor \"x\"");
  EXPECT_EQ(read->find(digest("c")), nullptr);
  const base::Digest files[] = {digest("c"), digest("b")};
  EXPECT_EQ(read->find_any(digest("composition"), files)->reason, "stolen weights");
  EXPECT_EQ(read->find_any(digest("composition"), {}), nullptr);
}

TEST_F(Statements, EveryEntryOfALongListIsFound) {
  std::vector<Revocation> entries;
  for (int i = 0; i < 2000; ++i) entries.push_back({digest(std::to_string(i)), "r", kNow});
  const RevocationList list = list_of(1, entries);
  for (int i = 0; i < 2000; ++i) ASSERT_NE(list.find(digest(std::to_string(i))), nullptr);
  for (int i = 2000; i < 4000; ++i) ASSERT_EQ(list.find(digest(std::to_string(i))), nullptr);
}

TEST_F(Statements, AnOlderOrForeignListIsDenied) {
  ASSERT_TRUE(
      verify_revocations(sign_revocations(list_of(3), key_).value(), "l", trusted_, floor_).ok());
  const auto older =
      verify_revocations(sign_revocations(list_of(2), key_).value(), "l", trusted_, floor_);
  EXPECT_EQ(older.error().code, ErrorCode::kDenied);
  const auto forked =
      verify_revocations(sign_revocations(list_of(3, {{digest("a"), "r", kNow}}), key_).value(),
                         "l", trusted_, floor_);
  EXPECT_EQ(forked.error().code, ErrorCode::kDenied);
  const auto foreign =
      verify_revocations(sign_revocations(list_of(4), other_).value(), "l", trusted_, floor_);
  EXPECT_EQ(foreign.error().code, ErrorCode::kDenied);
  EXPECT_EQ(
      verify_revocations(sign_revocations(list_of(4), key_).value(), "l", {}, floor_).error().code,
      ErrorCode::kDenied);
  EXPECT_EQ(floor_.highest().value()->version, 3) << "what is refused raises nothing";
}

TEST_F(Statements, CorruptListsAreNamed) {
  const std::string entry = "{\"sha256\":\"" + base::to_hex(digest("a")) +
                            "\",\"reason\":\"r\",\"when\":\"2026-11-21T10:00:00Z\"}";
  const std::string head =
      "\"version\":1,\"issued\":\"2026-11-22T00:00:00Z\",\"expires\":\"2026-12-22T00:00:00Z\"";
  ASSERT_TRUE(RevocationList::parse("{" + head + ",\"entries\":[" + entry + "]}", "l").ok());
  const std::pair<std::string, const char*> cases[] = {
      {"", "l: "},
      {"[]", "l: a JSON object is needed"},
      {"{}", "l: \"version\": is missing"},
      {"{" + head + "}", "\"entries\": is missing"},
      {"{" + head + ",\"entries\":{}}", "\"entries\": a list of at most"},
      {"{" + head + ",\"entries\":[],\"more\":1}", "\"more\": unknown member"},
      {"{\"version\":0" + head.substr(11) + ",\"entries\":[]}", "\"version\": a whole number"},
      {"{\"version\":1.5" + head.substr(11) + ",\"entries\":[]}", "\"version\": a whole number"},
      {"{\"version\":18446744073709551615" + head.substr(11) + ",\"entries\":[]}",
       "\"version\": a whole number"},
      {"{\"version\":\"1\"" + head.substr(11) + ",\"entries\":[]}", "\"version\": a whole number"},
      {"{" + head + ",\"version\":2,\"entries\":[]}", "stands twice in one object"},
      {"{" + head + ",\"entries\":[1]}", "l: entries: 1: a JSON object"},
      {"{" + head + ",\"entries\":[" + entry + "," + entry + "]}", "stands twice"},
      {"{" + head + ",\"entries\":[{\"sha256\":\"12\",\"reason\":\"r\",\"when\":\"x\"}]}",
       "\"sha256\": 64 hexadecimal"},
      {"{" + head + ",\"entries\":[" + entry.substr(0, entry.size() - 1) + ",\"x\":1}]}",
       "\"x\": unknown member"},
      {"{\"version\":1,\"issued\":\"2026-11-22T00:00:00Z\",\"expires\":\"2026-11-22T00:00:00Z\","
       "\"entries\":[]}",
       "is not after"},
      {"{\"version\":1,\"issued\":1,\"expires\":\"2026-11-22T00:00:00Z\",\"entries\":[]}",
       "\"issued\": a time is needed"},
      {std::string(100, '['), "nested deeper"},
  };
  for (const auto& [json, message] : cases) {
    const auto list = RevocationList::parse(json, "l");
    ASSERT_FALSE(list.ok()) << json;
    EXPECT_THAT(list.error().message, HasSubstr(message)) << json;
    // Signed or not, it is refused.
    EXPECT_FALSE(
        verify_revocations(envelope_of(kRevocationsPayloadType, json, key_), "l", trusted_, floor_)
            .ok());
  }
  EXPECT_FALSE(RevocationList::create(1, kNow, kLater, {{digest("a"), "two\nlines", kNow}}).ok());
  EXPECT_FALSE(verify_revocations(envelope_of("application/vnd.lantern.policy.v1+toml",
                                              list_of(1).to_json(), key_),
                                  "l", trusted_, floor_)
                   .ok());
}

TEST_F(Statements, AListMustBeFresh) {
  const RevocationRequirements wanted{.required = true, .version_min = 3, .age_days_max = 7};
  const RevocationListFacts list = list_of(3).facts();
  using std::chrono::days;
  using std::chrono::seconds;
  EXPECT_TRUE(check_fresh(&list, wanted, kNow).ok());
  EXPECT_TRUE(check_fresh(&list, wanted, kNow + days(7)).ok());
  EXPECT_FALSE(check_fresh(&list, wanted, kNow + days(7) + seconds(1)).ok());
  EXPECT_TRUE(check_fresh(&list, wanted, kNow - kClockBehindMax).ok());
  EXPECT_FALSE(check_fresh(&list, wanted, kNow - kClockBehindMax - seconds(1)).ok());
  EXPECT_EQ(check_fresh(nullptr, wanted, kNow).error().code, ErrorCode::kDenied);
  const RevocationRequirements later{.version_min = 4};
  EXPECT_FALSE(check_fresh(&list, later, kNow).ok());
  const RevocationRequirements ageless{.age_days_max = std::nullopt};
  EXPECT_TRUE(check_fresh(&list, ageless, kLater - seconds(1)).ok());
  EXPECT_FALSE(check_fresh(&list, ageless, kLater).ok());
  EXPECT_TRUE(check_fresh(nullptr, {.required = false}, kNow).ok());
}

Approval approval_of(const std::string& approver) {
  return {.model_id = digest("model"),
          .model_name = "smollm2",
          .approver = approver,
          .reason = "evaluated",
          .issued = kNow,
          .expires = kLater};
}

NamedKey named(const base::PrivateKey& key, const std::string& user) {
  return {
      .name = user + "-key", .key = key.public_key(), .uses = {KeyUse::kApprovals}, .user = user};
}

TEST_F(Statements, AnApprovalSurvivesItsEnvelope) {
  const ApprovalTrust trust{.service_keys = {key_.public_key()}};
  Approval approval = approval_of("alice");
  for (int i = 0; i < 2; ++i) {
    const auto read = verify_approval(sign_approval(approval, key_).value(), "a", trust);
    ASSERT_TRUE(read.ok()) << read.error().message;
    approval.key_id = base::to_hex(key_.public_key().id());
    EXPECT_EQ(*read, approval);
    approval.expires.reset();
    approval.actions = {Action::kLoad, Action::kTune};
    approval.users = {"bob"};
    approval.groups = {"ml", "ops"};
  }
}

TEST_F(Statements, AKeySpeaksForItsOwnerAlone) {
  const ApprovalTrust trust{.service_keys = {other_.public_key()},
                            .approver_keys = {named(key_, "bob")}};
  EXPECT_TRUE(verify_approval(sign_approval(approval_of("bob"), key_).value(), "a", trust).ok());
  const auto stolen =
      verify_approval(sign_approval(approval_of("alice"), key_).value(), "a", trust);
  EXPECT_EQ(stolen.error().code, ErrorCode::kDenied);
  EXPECT_THAT(stolen.error().message, HasSubstr("is not alice's"));
  EXPECT_TRUE(
      verify_approval(sign_approval(approval_of("alice"), other_).value(), "a", trust).ok());
  const auto unknown =
      verify_approval(sign_approval(approval_of("alice"), testing::new_key()).value(), "a", trust);
  EXPECT_EQ(unknown.error().code, ErrorCode::kDenied);
}

TEST_F(Statements, CorruptApprovalsAreNamed) {
  const ApprovalTrust trust{.service_keys = {key_.public_key()}};
  const std::string good =
      base::parse_dsse(sign_approval(approval_of("a"), key_).value(), "x").value().payload;
  const auto with = [&](auto change) {
    base::Json json = base::parse_json(good, "g").value();
    change(json);
    return json.dump();
  };
  using J = base::Json;
  const std::pair<std::string, const char*> cases[] = {
      {"", "a: "},
      {"{}", "\"_type\": is missing"},
      {with([](J& j) { j["_type"] = "x"; }), "no in-toto statement"},
      {with([](J& j) { j["predicateType"] = "https://model_signing/signature/v1.0"; }),
       "no approval"},
      {with([](J& j) { j["subject"] = J::array(); }), "exactly one"},
      {with([](J& j) { j["subject"].push_back(j["subject"][0]); }), "a list of at most 1"},
      {with([](J& j) { j["subject"][0]["digest"]["sha256"] = "12"; }), "64 hexadecimal"},
      {with([](J& j) { j["subject"][0]["digest"]["sha512"] = "12"; }), "unknown member"},
      {with([](J& j) { j["predicate"]["more"] = 1; }), "unknown member"},
      {with([](J& j) { j["predicate"].erase("approver"); }), "\"approver\": is missing"},
      {with([](J& j) { j["predicate"]["reason"] = ""; }), "\"reason\": empty"},
      {with([](J& j) { j["predicate"]["expires"] = j["predicate"]["issued"]; }), "is not after"},
      {with([](J& j) { j["predicate"]["expires"] = nullptr; }), "a time is needed"},
      {with([](J& j) { j["predicate"]["actions"] = {"fly"}; }), "no such action"},
      {with([](J& j) { j["predicate"]["actions"] = J::array(); }), "the list is empty"},
      {with([](J& j) {
         j["predicate"]["users"] = {"a", "a"};
       }),
       "stands twice"},
      {with([](J& j) { j["predicate"]["groups"] = "ml"; }), "a list of at most"},
      {with([](J& j) { j["predicate"] = 1; }), "a JSON object is needed"},
  };
  for (const auto& [json, message] : cases) {
    const auto read = verify_approval(envelope_of(kStatementPayloadType, json, key_), "a", trust);
    ASSERT_FALSE(read.ok()) << json;
    EXPECT_THAT(read.error().message, HasSubstr(message)) << json;
  }
  EXPECT_FALSE(verify_approval(envelope_of("text/plain", good, key_), "a", trust).ok());
  EXPECT_EQ(sign_approval(approval_of(""), key_).error().code, ErrorCode::kInvalidArgument);
}

ApprovalQuestion question() {
  return {.model_id = digest("model"),
          .action = Action::kLoad,
          .user = "carol",
          .groups = std::set<std::string>{"ml"},
          .now = kNow,
          .importer = "ian"};
}

TEST_F(Statements, ApproversAreCountedOnce) {
  const std::vector<Approval> approvals = {approval_of("alice"), approval_of("alice"),
                                           approval_of("bob"), approval_of("ian")};
  ApprovalRequirements requirements;
  EXPECT_THAT(count_approvers(approvals, question(), requirements),
              UnorderedElementsAre("alice", "bob"));
  requirements.importer_may_approve = true;
  EXPECT_THAT(count_approvers(approvals, question(), requirements),
              UnorderedElementsAre("alice", "bob", "ian"));
  ApprovalQuestion unknown_importer = question();
  unknown_importer.importer.reset();
  EXPECT_EQ(count_approvers(approvals, unknown_importer, requirements).size(), 3u);
  requirements.importer_may_approve = false;
  EXPECT_TRUE(count_approvers(approvals, unknown_importer, requirements).empty());
}

TEST_F(Statements, WhatAWrongClockHadEndedStaysEndedOnceItWasCorrected) {
  ApprovalRequirements requirements;
  const auto counts = [&](const Approval& approval, const ApprovalQuestion& asked) {
    return count_approvers(std::vector{approval}, asked, requirements).size() == 1;
  };
  ApprovalQuestion asked = question();
  asked.clock_corrections = 2;
  asked.clock_ahead_until = kLater;  // the approval's end
  Approval given = approval_of("alice");
  EXPECT_FALSE(counts(given, asked)) << "it had ended at the wrong time";
  asked.clock_ahead_until = kLater - std::chrono::seconds(1);
  EXPECT_TRUE(counts(given, asked));
  asked.clock_ahead_until = kLater;
  given.clock_corrections = 1;
  EXPECT_FALSE(counts(given, asked)) << "given before the last correction";
  given.clock_corrections = 2;
  EXPECT_TRUE(counts(given, asked)) << "given after it";
  given.clock_corrections = 3;
  EXPECT_FALSE(counts(given, asked)) << "by a state that is not this one";
  given.clock_corrections = 0;
  given.expires.reset();
  EXPECT_TRUE(counts(given, asked));
  requirements.days_max = 90;
  asked.clock_ahead_until = given.issued + std::chrono::days(90);
  EXPECT_FALSE(counts(given, asked)) << "too old at the wrong time";
  given.issued = kNow + std::chrono::minutes(6);
  EXPECT_FALSE(counts(given, asked)) << "given while the clock was ahead: its time is to come";

  const auto key = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
  Approval numbered = approval_of("alice");
  numbered.clock_corrections = 7;
  const auto envelope = sign_approval(numbered, key);
  ASSERT_TRUE(envelope.ok()) << envelope.error().message;
  const auto read = verify_approval(*envelope, "approval", {.service_keys = {key.public_key()}});
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->clock_corrections, 7);
  numbered.clock_corrections = -1;
  EXPECT_FALSE(sign_approval(numbered, key).ok());
}

TEST_F(Statements, AnApprovalCountsForItsModelScopeActionAndTimeAlone) {
  const ApprovalRequirements requirements;
  const auto counts = [&](const Approval& approval, const ApprovalQuestion& asked) {
    return count_approvers(std::vector{approval}, asked, requirements).size() == 1;
  };
  const Approval plain = approval_of("alice");
  EXPECT_TRUE(counts(plain, question()));
  ApprovalQuestion asked = question();
  asked.model_id = digest("other");
  EXPECT_FALSE(counts(plain, asked));
  asked = question();
  asked.now = kLater - std::chrono::seconds(1);
  EXPECT_TRUE(counts(plain, asked));
  asked.now = kLater;
  EXPECT_FALSE(counts(plain, asked));
  asked.now = kNow - kClockBehindMax - std::chrono::seconds(1);
  EXPECT_FALSE(counts(plain, asked)) << "issued in the future";
  Approval endless = plain;
  endless.expires.reset();
  asked.now = kNow + std::chrono::days(90);
  EXPECT_FALSE(counts(endless, asked)) << "the policy's 90 days";
  asked.now -= std::chrono::seconds(1);
  EXPECT_TRUE(counts(endless, asked));

  Approval tune = plain;
  tune.actions = {Action::kTune};
  EXPECT_FALSE(counts(tune, question()));
  tune.actions.insert(Action::kLoad);
  EXPECT_TRUE(counts(tune, question()));
  asked = question();
  asked.action.reset();
  EXPECT_FALSE(counts(tune, asked));
  EXPECT_TRUE(counts(plain, asked));

  Approval scoped = plain;
  scoped.users = {"dave"};
  scoped.groups = {"ml"};
  EXPECT_TRUE(counts(scoped, question()));
  asked = question();
  asked.groups = std::set<std::string>{"sales"};
  EXPECT_FALSE(counts(scoped, asked));
  asked.user = "dave";
  EXPECT_TRUE(counts(scoped, asked));
  asked.user.reset();
  asked.groups.reset();
  EXPECT_FALSE(counts(scoped, asked));
  EXPECT_TRUE(counts(plain, asked));
}

Policy glass_policy(const base::PublicKey& key) {
  Policy policy =
      testing::policy_of(kHead + "[break_glass]\npeople = [\"alice\"]\nhours_max = 2\n");
  policy.keys.push_back(
      {.name = "alice", .key = key, .uses = {KeyUse::kBreakGlass}, .user = "alice"});
  return policy;
}

BreakGlass glass() {
  return {.person = "alice",
          .reason = "outage 12",
          .issued = kNow,
          .expires = kNow + std::chrono::hours(1),
          .models = {digest("model")},
          .actions = {Action::kLoad}};
}

TEST_F(Statements, BreakingTheGlassNeedsTheRightPersonAndEnds) {
  const Policy policy = glass_policy(key_.public_key());
  const auto verify = [&](const BreakGlass& statement, const base::PrivateKey& key,
                          base::UtcTime now = kNow) {
    return verify_break_glass(sign_break_glass(statement, key).value(), "g", policy,
                              std::vector{other_.public_key()}, now);
  };
  ASSERT_TRUE(verify(glass(), key_).ok());
  EXPECT_EQ(*verify(glass(), key_), glass());
  EXPECT_TRUE(verify(glass(), other_).ok()) << "the service saw her log in";
  EXPECT_EQ(verify(glass(), testing::new_key()).error().code, ErrorCode::kDenied);
  BreakGlass bad = glass();
  bad.person = "mallory";
  EXPECT_FALSE(verify(bad, key_).ok()) << "the key is alice's";
  EXPECT_THAT(verify(bad, other_).error().message, HasSubstr("does not let mallory"));
  bad = glass();
  bad.expires = kNow + std::chrono::hours(3);
  EXPECT_THAT(verify(bad, key_).error().message, HasSubstr("the policy's 2 hours"));
  EXPECT_FALSE(verify(glass(), key_, glass().expires).ok());
  EXPECT_FALSE(verify(glass(), key_, kNow - kClockBehindMax - std::chrono::seconds(1)).ok());
  bad.expires = kNow + std::chrono::hours(13);
  EXPECT_EQ(sign_break_glass(bad, key_).error().code, ErrorCode::kInvalidArgument);
  Policy closed = policy;
  closed.break_glass.people.clear();
  EXPECT_FALSE(
      verify_break_glass(sign_break_glass(glass(), key_).value(), "g", closed, {}, kNow).ok());
}

TEST_F(Statements, BrokenGlassLiftsWhatIsNotFinal) {
  Facts facts = testing::good_facts();
  facts.n_approvers = 0;
  const Policy policy = glass_policy(key_.public_key());
  const Decision denied = decide(policy, facts);
  ASSERT_FALSE(denied.allowed());
  const Decision lifted = lift(denied, glass(), facts);
  EXPECT_TRUE(lifted.allowed());
  EXPECT_EQ(lifted.rule, "lantern.break-glass");
  EXPECT_THAT(lifted.reason, HasSubstr("alice broke the glass"));
  EXPECT_THAT(lifted.reason, HasSubstr(denied.rule));

  const std::function<void(Facts&)> spoilers[] = {
      [](Facts& f) { f.user = "bob"; },           [](Facts& f) { f.user.reset(); },
      [](Facts& f) { f.now = glass().expires; },  [](Facts& f) { f.now.reset(); },
      [](Facts& f) { f.model_id = digest("x"); }, [](Facts& f) { f.model_id.reset(); },
      [](Facts& f) { f.action = Action::kTune; }, [](Facts& f) { f.action.reset(); }};
  for (const auto& spoil : spoilers) {
    Facts other = facts;
    spoil(other);
    EXPECT_FALSE(lift(decide(policy, other), glass(), other).allowed());
  }
  Facts approves = facts;
  approves.action = Action::kApprove;
  EXPECT_FALSE(lift(denied, glass(), approves).allowed()) << "an approval would outlast it";
  facts.revoked = true;
  EXPECT_FALSE(lift(decide(policy, facts), glass(), facts).allowed()) << "revoked stays revoked";
  EXPECT_FALSE(
      lift(deny_without_policy(make_error(ErrorCode::kIo, "x")), glass(), facts).allowed());
}

TEST(FactsText, EveryFactIsSetForgottenAndShown) {
  const std::pair<std::string, base::Json> cases[] = {
      {"now=2026-11-22T12:00:00Z", "2026-11-22T12:00:00Z"},
      {"user=alice", "alice"},
      {"group=a,b", {"a", "b"}},
      {"group=", base::Json::array()},
      {"key=k", {"k"}},
      {"program=/bin/x", "/bin/x"},
      {"action=tune", "tune"},
      {"script=true", true},
      {"id=sha256:" + base::to_hex(digest("m")), base::to_hex(digest("m"))},
      {"files=" + base::to_hex(digest("m")), {base::to_hex(digest("m"))}},
      {"licence=MIT", "MIT"},
      {"architecture=llama", "llama"},
      {"publisher=p", "p"},
      {"signer=key:1", {"key:1"}},
      {"state=scanned", "scanned"},
      {"catalog=false", false},
      {"revoked=true", true},
      {"advisories=x_1", {"x_1"}},
      {"advisory_severity=high", "high"},
      {"approvers=2", 2},
      {"tier=A", "A"},
      {"in_place=/srv/m", "/srv/m"},
      {"label=public", {"public"}},
      {"tokens_today=5", 5},
      {"requests_this_minute=6", 6},
  };
  Facts facts;
  const base::OrderedJson nothing = facts_to_json(facts);
  for (const auto& [assignment, expected] : cases) {
    const std::string name = assignment.substr(0, assignment.find('='));
    EXPECT_TRUE(nothing.at(name).is_null());
    ASSERT_TRUE(set_fact(facts, assignment).ok()) << assignment;
    EXPECT_EQ(base::Json(facts_to_json(facts).at(name)), expected) << assignment;
    ASSERT_TRUE(set_fact(facts, name + "=?").ok());
    EXPECT_EQ(facts_to_json(facts), nothing);
  }
  ASSERT_TRUE(set_fact(facts, "revocation_list=4,2026-11-22T00:00:00Z,2026-12-22T00:00:00Z").ok());
  EXPECT_EQ(facts.revocation_list->version, 4);
  EXPECT_EQ(nothing.size(), 25u);
  for (const char* bad : {"", "user", "nobody=1", "state=good", "catalog=yes", "approvers=-1",
                          "approvers=1x", "approvers=", "now=today", "id=12", "tier=D",
                          "revocation_list=1,2", "group=a,,b", "action=run"})
    EXPECT_EQ(set_fact(facts, bad).error().code, ErrorCode::kInvalidArgument) << bad;
}

}  // namespace
}  // namespace lantern::policy
