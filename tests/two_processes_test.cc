// Several processes and one state: what one writes the others see, however often a third opens and
// closes the state between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <thread>

#include "audit/event.h"
#include "base/json.h"
#include "base/sqlite.h"
#include "engine/tiny_model.h"
#include "program.h"
#include "served_program.h"
#include "supply/state.h"

namespace lantern::tests {
namespace {

using Clock = std::chrono::steady_clock;
using ::testing::HasSubstr;

std::string tiny_model() {
  static const format::TemporaryFolder folder;
  static const std::string path = engine::TinyModel{}.write(folder).string();
  return path;
}

std::vector<int64_t> times_of(const std::string& action) {
  std::vector<int64_t> times;
  const Ran log = run_lantern({"audit", "query", "--action", action, "--json"});
  const auto json = base::parse_json(log.out, "audit query");
  EXPECT_TRUE(json.ok()) << log.out << log.err;
  if (!json.ok()) return times;
  for (const auto& record : (*json)["records"])
    times.push_back(audit::parse_time(record["event"]["time"].get<std::string>()).value());
  return times;
}

// What went wrong once: a descriptor of state.db that was opened and closed beside SQLite's gave up
// the process's locks on it. The next process to close the state took itself for the last one and
// removed the write-ahead log; those still running wrote into a file without a name, and saw no
// revocation ever again.
TEST(TwoProcesses, ARevocationStopsEachWhileAThirdOpensAndClosesTheState) {
  const ScopedHome home("two-processes");
  ASSERT_EQ(run_lantern({"approve", tiny_model(), "--reason", "a test"}).exit_code, 0);
  const ServedProgram first({tiny_model()}), second({tiny_model()});
  const auto began = Clock::now();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(run_lantern({"list"}).exit_code, 0);
  // How slow this machine is just now: a command takes some 50 ms where nobody else computes.
  const auto command = (Clock::now() - began) / 3;
  ASSERT_EQ(run_lantern({"revoke", tiny_model(), "--reason", "a test"}).exit_code, 0);
  std::vector<int64_t> stops;
  const auto end = Clock::now() + std::chrono::seconds(60);
  while (stops.size() < 2 && Clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stops = times_of("stop");
  }
  ASSERT_EQ(stops.size(), 2u) << "a process that goes on with a revoked model";
  const int64_t revoked = times_of("revoke").front();
  const auto slow = std::chrono::duration_cast<std::chrono::milliseconds>(10 * command).count();
  // Each decides anew every ten seconds whatever it sees: later than that proves nothing.
  EXPECT_LT(stops.back() - revoked, std::min<int64_t>(std::max<int64_t>(1000, slow), 9000));
  const Ran refused = run_lantern(
      {"logits", tiny_model(), "--tokens", "1", "--out", (scratch_folder() / "two.npy").string()});
  EXPECT_EQ(refused.exit_code, 4);
  EXPECT_THAT(refused.err, HasSubstr("lantern.revoked"));
}

TEST(TwoProcesses, NothingThatOneWritesIsLostWhileAnotherHoldsTheState) {
  const ScopedHome home("two-writers");
  ASSERT_EQ(run_lantern({"approve", tiny_model(), "--reason", "a test"}).exit_code, 0);
  const ServedProgram holds({tiny_model()});
  const auto digest = [](int i) { return "sha256:" + std::string(63, 'a') + "0123456789"[i]; };
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(run_lantern({"list"}).exit_code, 0);
    EXPECT_EQ(run_lantern({"revoke", digest(i), "--reason", "a test"}).exit_code, 0);
  }
  auto state = supply::State::open_read_only(home.path() / "data");
  ASSERT_TRUE(state.ok()) << state.error().message;
  EXPECT_EQ(state->revocations_from("local")->size(), 4u);
  constexpr std::array<std::string_view, 2> kSchema = {"", ""};  // as it is
  auto database = base::Database::open_read_only(home.path() / "data/state.db", kSchema);
  ASSERT_TRUE(database.ok()) << database.error().message;
  std::string sound;
  ASSERT_TRUE(database
                  ->run("PRAGMA integrity_check", {},
                        [&](const base::Row& row) -> Status {
                          sound = row.text(0);
                          return {};
                        })
                  .ok());
  EXPECT_EQ(sound, "ok");
}

}  // namespace
}  // namespace lantern::tests
