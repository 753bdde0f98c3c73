// A process that is killed at any step leaves the old state or the new one: the program is run
// under ptrace and killed at its n-th change to the file system, for every n.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/json.h"
#include "kill.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;

base::Json list_of(const Ran& ran) {
  return base::parse_json(ran.out, "list").value().at("models");
}

std::string model_file() {
  return std::string(LANTERN_SOURCE_DIR) + "/tests/golden/models/llama-tied/model.gguf";
}

TEST(Crash, APullThatDiesLeavesTheOldStoreOrTheNew) {
  const ScopedHome home("crash-pull");
  const fs::path before = scratch_folder() / "before-pull";
  ASSERT_EQ(run_lantern({"list", "--json"}).exit_code, 0);
  fs::copy(home.path(), before, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  bool was_new = false;
  kill_at_every_step(
      {"pull", model_file(), "--name", "mine", "--approve", "test"}, before, home.path(), [&] {
        const Ran list = run_lantern({"list", "--json"});
        ASSERT_EQ(list.exit_code, 0) << list.err;
        const base::Json models = list_of(list);
        ASSERT_LE(models.size(), 1u);
        if (models.size() == 1) {
          was_new = true;
          EXPECT_EQ(run_lantern({"store", "verify"}).exit_code, 0);
          // Known, and approved or not: never anything else.
          const std::string state = models[0].at("state");
          EXPECT_TRUE(state == "quarantined" || state == "scanned" || state == "approved") << state;
          const std::string out = (scratch_folder() / "l.npy").string();
          const Ran use = run_lantern({"logits", "mine", "--tokens", "1", "--out", out});
          EXPECT_EQ(use.exit_code, state == "approved" ? 0 : 4) << use.err;
        } else {
          EXPECT_FALSE(was_new) << "the new state was there at an earlier step";
        }
        EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
      });
  // And the same command, once more, finishes what was left.
  EXPECT_EQ(run_lantern({"pull", model_file(), "--name", "mine", "--approve", "test"}).exit_code,
            0);
  EXPECT_EQ(list_of(run_lantern({"list", "--json"}))[0].at("state"), "approved");
}

TEST(Crash, ARevocationThatDiesIsThereOrNot) {
  const ScopedHome home("crash-revoke");
  const fs::path before = scratch_folder() / "before-revoke";
  ASSERT_EQ(run_lantern({"pull", model_file(), "--name", "mine", "--approve", "t"}).exit_code, 0);
  fs::copy(home.path(), before, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  bool was_revoked = false;
  kill_at_every_step({"revoke", "mine", "--reason", "test"}, before, home.path(), [&] {
    const Ran list = run_lantern({"list", "--json"});
    ASSERT_EQ(list.exit_code, 0) << list.err;
    const std::string state = list_of(list)[0].at("state");
    EXPECT_TRUE(state == "approved" || state == "revoked") << state;
    EXPECT_TRUE(state == "revoked" || !was_revoked);
    was_revoked = was_revoked || state == "revoked";
    const Ran log = run_lantern({"audit", "query", "--action", "revoke", "--json"});
    EXPECT_TRUE(state != "revoked" || log.out.find("\"reason\":\"test\"") != std::string::npos ||
                log.out.find("\"reason\": \"test\"") != std::string::npos)
        << "revoked without a record";
    EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
  });
  EXPECT_TRUE(was_revoked);
}

}  // namespace
}  // namespace lantern::tests
