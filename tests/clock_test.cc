// A record that was written while the clock was ahead: what it refuses, and the way on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "audit/spool.h"
#include "base/json.h"
#include "base/time.h"
#include "json_schema.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string golden_model() {
  return std::string(LANTERN_SOURCE_DIR) + "/tests/golden/models/llama-tied";
}

Ran use() {
  return run_lantern({"logits", golden_model(), "--tokens", "1,2", "--out",
                      (scratch_folder() / "clock.npy").string()});
}
Ran approve(const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"approve", golden_model(), "--reason", "reviewed"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_lantern(arguments);
}
Ran correct_clock() {
  return run_lantern({"audit", "clock", "--reason", "the clock was ahead", "--json"});
}

/// As by a process whose clock is ahead by `hours`: it enters the log with the next record.
void record_from_ahead(const fs::path& home, int hours) {
  const auto time = base::utc_clock() + std::chrono::hours(hours);
  ASSERT_TRUE(audit::spool_event(home / "state/audit-spool",
                                 {.action = audit::Action::kScan,
                                  .time_ms = 1000 * time.time_since_epoch().count()})
                  .ok());
}

TEST(Clock, ARecordFromAheadIsNamedByEachRefusalAndThereIsAWayOn) {
  const ScopedHome home("clock-ahead");
  ASSERT_EQ(approve().exit_code, 0);
  EXPECT_EQ(use().exit_code, 0);
  const Ran early = correct_clock();
  EXPECT_EQ(early.exit_code, 2) << "nothing to correct";
  EXPECT_THAT(early.err, HasSubstr("does not lag"));

  record_from_ahead(home.path(), 10 * 365 * 24);
  for (const Ran& refused : {use(), approve(), run_lantern({"break-glass", "--reason", "r"})}) {
    EXPECT_EQ(refused.exit_code, 4) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr("the clock says"));
    EXPECT_THAT(refused.err, HasSubstr("lantern audit clock"));
  }
  const Ran corrected = correct_clock();
  ASSERT_EQ(corrected.exit_code, 0) << corrected.err;
  EXPECT_EQ(schema_violations(published_schema("audit-clock"), base::Json::parse(corrected.out)),
            "");
  EXPECT_EQ(use().exit_code, 0) << "an approval without end holds at the wrong time too";
  EXPECT_EQ(approve().exit_code, 0);
  const Ran log = run_lantern({"audit", "query", "--action", "clock_corrected"});
  EXPECT_THAT(log.out, HasSubstr("lantern.clock"));
  EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);

  record_from_ahead(home.path(), 2);
  EXPECT_EQ(use().exit_code, 4);
  EXPECT_EQ(correct_clock().exit_code, 0) << "as often as it happens";
  EXPECT_EQ(use().exit_code, 0);
}

TEST(Clock, AnApprovalThatHadEndedStaysEnded) {
  const ScopedHome home("clock-ended");
  ASSERT_EQ(approve({"--expires", "1h"}).exit_code, 0);
  EXPECT_EQ(use().exit_code, 0);
  record_from_ahead(home.path(), 2);
  EXPECT_EQ(use().exit_code, 4);
  const fs::path data = home.path() / "data", before = scratch_folder() / "state-before";
  const auto copy_state = [](const fs::path& from, const fs::path& to) {
    fs::create_directories(to);
    for (const char* name : {"state.db", "state.db-wal", "state.db-shm"}) {
      fs::remove(to / name);
      if (fs::exists(from / name)) fs::copy_file(from / name, to / name);
    }
  };
  copy_state(data, before);
  ASSERT_EQ(correct_clock().exit_code, 0);
  EXPECT_EQ(use().exit_code, 4) << "it had ended by the log's time";
  copy_state(before, data);
  EXPECT_EQ(use().exit_code, 4) << "a state that forgot the correction has it from the log";
  EXPECT_EQ(approve({"--expires", "1h"}).exit_code, 0);
  EXPECT_EQ(use().exit_code, 0) << "one that was given after the correction";
}

}  // namespace
}  // namespace lantern::tests
