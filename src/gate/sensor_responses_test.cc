#include "gate/sensor_responses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lantern::gate {
namespace {

using ::testing::HasSubstr;

TEST(DryRun, ReadsBackWhatItWrote) {
  const DryRun run{.table = base::sha256("table"),
                   .watched = std::chrono::hours(25),
                   .would_notify = 3,
                   .would_stop = 4};
  const auto read = parse_dry_run(dry_run_to_json(run), "count");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->table, run.table);
  EXPECT_EQ(read->watched, run.watched);
  EXPECT_EQ(read->would_notify, 3u);
  EXPECT_EQ(read->would_stop, 4u);
}

TEST(DryRun, WhatIsNoCountIsRefused) {
  const std::string table = base::to_hex(base::sha256("table"));
  const auto count = [&](const std::string& digest, const std::string& rest) {
    return R"({"table":")" + digest + R"(",)" + rest + "}";
  };
  const std::string good = R"("watched_s":1,"would_notify":2,"would_stop":3)";
  ASSERT_TRUE(parse_dry_run(count(table, good), "count").ok());
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{}"), count("12", good),
        count(table, R"("watched_s":1,"would_notify":2)"), count(table, good + R"(,"more":1)"),
        count(table, R"("watched_s":-1,"would_notify":2,"would_stop":3)"),
        count(table, R"("watched_s":1e9,"would_notify":2,"would_stop":3)"),
        count(table, R"("watched_s":18446744073709551615,"would_notify":2,"would_stop":3)")}) {
    const auto read = parse_dry_run(bad, "count");
    ASSERT_FALSE(read.ok()) << bad;
    EXPECT_THAT(read.error().message, HasSubstr("count"));
  }
}

TEST(DryRun, SaysWhatHolds) {
  ResponseStanding standing;
  EXPECT_THAT(standing.text(), HasSubstr("observed"));
  standing.policy = policy::SensorResponses{.enforce = true, .dry_run_hours = 24};
  standing.dry_run = {.watched = std::chrono::minutes(90), .would_notify = 1, .would_stop = 2};
  EXPECT_THAT(standing.text(), HasSubstr("enforced after 24 hours: 1.5 hours watched"));
  EXPECT_THAT(standing.text(), HasSubstr("2 stopped"));
  standing.enforced = true;
  EXPECT_THAT(standing.text(), HasSubstr("are enforced"));
}

}  // namespace
}  // namespace lantern::gate
