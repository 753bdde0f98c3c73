#include "policy/sensor_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/testing.h"

namespace lantern::policy {
namespace {

using ::testing::HasSubstr;
using testing::kHead;

const SensorResponses kStrict = {.enforce = true,
                                 .revoked = SensorResponse::kStop,
                                 .unknown = SensorResponse::kNotify,
                                 .except_users = {"root"},
                                 .except_groups = {"ml"},
                                 .except_programs = {"/usr/bin/x"}};
const ForeignModel kRevoked = {
    .verdict = "revoked", .has_weights = true, .is_alert = true, .user = "bob"};

TEST(SensorResponses, AVerdictHasItsResponse) {
  ForeignModel model = kRevoked;
  EXPECT_EQ(respond(kStrict, model), SensorResponse::kStop);
  model.verdict = "unknown";
  EXPECT_EQ(respond(kStrict, model), SensorResponse::kNotify);
  for (const char* verdict : {"known", "approved", ""}) {
    model.verdict = verdict;
    EXPECT_EQ(respond(kStrict, model), SensorResponse::kObserve) << verdict;
  }
  EXPECT_EQ(respond({}, kRevoked), SensorResponse::kObserve);
}

TEST(SensorResponses, WhatIsNotSureIsNeverStopped) {
  ForeignModel model = kRevoked;
  model.is_alert = false;
  EXPECT_EQ(respond(kStrict, model), SensorResponse::kNotify);
  model = kRevoked;
  model.has_weights = false;
  EXPECT_EQ(respond(kStrict, model), SensorResponse::kNotify);
  model = kRevoked;
  model.is_own = true;
  EXPECT_EQ(respond(kStrict, model), SensorResponse::kObserve);
}

TEST(SensorResponses, ExceptionsAreObserved) {
  for (const auto& [user, group, program] :
       {std::tuple{"root", "x", "/y"}, {"bob", "ml", "/y"}, {"bob", "x", "/usr/bin/x"}}) {
    ForeignModel model = kRevoked;
    model.user = user;
    model.groups = {group};
    model.program = program;
    EXPECT_EQ(respond(kStrict, model), SensorResponse::kObserve) << user << group << program;
  }
}

TEST(SensorResponses, TheDigestIsOfWhatIsDoneToWhom) {
  SensorResponses dry = kStrict;
  dry.enforce = false;
  dry.dry_run_hours = 3;
  dry.grace_s = 1;
  EXPECT_EQ(dry.digest(), kStrict.digest());
  dry.except_users = {"root", "eve"};
  EXPECT_NE(dry.digest(), kStrict.digest());
  SensorResponses moved = kStrict;
  std::swap(moved.except_users, moved.except_groups);
  EXPECT_NE(moved.digest(), kStrict.digest());
  SensorResponses joined = kStrict;
  joined.except_users = {"a b"};
  SensorResponses apart = kStrict;
  apart.except_users = {"a", "b"};
  EXPECT_NE(joined.digest(), apart.digest());
}

TEST(SensorResponses, ABrokenTableIsRefusedWithItsLine) {
  for (const auto& [table, fault] : std::initializer_list<std::pair<const char*, const char*>>{
           {"revoked = \"stop\"", "mode"},
           {"mode = \"loud\"\nrevoked = \"stop\"", "dry-run, enforce"},
           {"mode = \"dry-run\"", "has no effect"},
           {"mode = \"dry-run\"\nrevoked = \"kill\"", "observe, notify or stop"},
           {"mode = \"dry-run\"\nrevoked = \"stop\"\napproved = \"stop\"", "approved"},
           {"mode = \"enforce\"\nrevoked = \"stop\"\ndry_run_hours = -1", "dry_run_hours"},
           {"mode = \"enforce\"\nrevoked = \"stop\"\nexcept_programs = [\"x\"]", "absolute"}}) {
    const auto policy = parse_policy(kHead + "[sensor]\n" + table + "\n", "policy");
    ASSERT_FALSE(policy.ok()) << table;
    EXPECT_EQ(policy.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(policy.error().message, HasSubstr(fault));
    EXPECT_THAT(policy.error().message, HasSubstr("line "));
  }
}

}  // namespace
}  // namespace lantern::policy
