#include "supply/state.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;

base::UtcTime at(int seconds) { return base::UtcTime(std::chrono::seconds(seconds)); }
base::Digest id(std::string_view text) { return base::sha256(text); }

class StateTest : public testing::Test {
 protected:
  StateTest() : folder_(fs::temp_directory_path() / fmt::format("lantern-state-{}", getpid())) {
    fs::remove_all(folder_);
  }
  ~StateTest() override { fs::remove_all(folder_); }
  State open() {
    auto state = State::open(folder_);
    EXPECT_TRUE(state.ok()) << state.error().message;
    return std::move(state).value();
  }
  fs::path folder_;
};

TEST_F(StateTest, AModelWithoutRecordsIsQuarantined) {
  EXPECT_EQ(open().state_of(id("m"), {}, at(100)).value(), ModelState::kQuarantined);
  struct stat status {};
  ASSERT_EQ(stat((folder_ / "state.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(StateTest, StatesFollowTheirRecords) {
  State state = open();
  const base::Digest m = id("m");
  ASSERT_TRUE(state.record_scan({.id = m, .verdict = "clean", .report = "{}", .at = at(1)}).ok());
  EXPECT_EQ(state.state_of(m, {}, at(100)).value(), ModelState::kScanned);
  ASSERT_TRUE(state.approve({.id = m, .approver = "user:a", .at = at(2), .expires = at(90)}).ok());
  EXPECT_EQ(state.state_of(m, {}, at(89)).value(), ModelState::kApproved);
  EXPECT_EQ(state.state_of(m, {}, at(90)).value(), ModelState::kScanned) << "expired";
  ASSERT_TRUE(state.approve({.id = m, .approver = "user:b", .at = at(3)}).ok());
  EXPECT_EQ(state.state_of(m, {}, at(1 << 30)).value(), ModelState::kApproved);
  ASSERT_TRUE(state.revoke({.digest = m, .by = "user:a", .reason = "r", .source = "local"}).ok());
  EXPECT_EQ(state.state_of(m, {}, at(50)).value(), ModelState::kRevoked);
  // Also for who opens it anew.
  EXPECT_EQ(open().state_of(m, {}, at(50)).value(), ModelState::kRevoked);
  EXPECT_EQ(open().approvals_of(m).value().size(), 2u);
}

TEST_F(StateTest, ImportsAreListedOldestFirst) {
  State state = open();
  EXPECT_TRUE(state.imports()->empty());
  ASSERT_TRUE(state.record_import({.id = id("b"), .files = {id("f")}, .at = at(2)}).ok());
  ASSERT_TRUE(state.record_import({.id = id("a"), .files = {id("g"), id("h")}, .at = at(9)}).ok());
  const auto imports = state.imports();
  ASSERT_TRUE(imports.ok());
  ASSERT_EQ(imports->size(), 2u);
  EXPECT_EQ((*imports)[0].id, id("b"));
  EXPECT_EQ((*imports)[1].files.size(), 2u);
}

TEST_F(StateTest, OfTwoApprovalsWithinASecondTheLaterCounts) {
  State state = open();
  const base::Digest m = id("m");
  ASSERT_TRUE(state.approve({.id = m, .approver = "user:a", .at = at(2), .expires = at(9)}).ok());
  ASSERT_TRUE(state.approve({.id = m, .approver = "user:a", .at = at(2), .expires = at(90)}).ok());
  EXPECT_EQ(state.state_of(m, {}, at(50)).value(), ModelState::kApproved);
}

TEST_F(StateTest, AFilesRevocationFallsOnEveryCompositionThatHasIt) {
  State state = open();
  const std::vector<base::Digest> files = {id("f"), id("g")};
  ASSERT_TRUE(state.record_import({.id = id("m"), .files = files}).ok());
  ASSERT_TRUE(state.revoke({.digest = id("g"), .source = "local"}).ok());
  EXPECT_TRUE(state.revocation_of(id("m"), {}).value().has_value()) << "by its import's files";
  EXPECT_TRUE(state.revocation_of(id("new"), files).value().has_value()) << "by its own files";
  EXPECT_FALSE(state.revocation_of(id("new"), {}).value().has_value());
}

TEST_F(StateTest, WhatDescendsFromARevokedModelIsRevoked) {
  State state = open();
  const std::vector<base::Digest> base_files = {id("f")};
  ASSERT_TRUE(state.record_import({.id = id("base"), .files = base_files}).ok());
  ASSERT_TRUE(state.record_import({.id = id("child"), .parents = {id("base")}}).ok());
  // A ring of parents, which no tool makes, ends all the same.
  ASSERT_TRUE(
      state.record_import({.id = id("grandchild"), .parents = {id("child"), id("ring")}}).ok());
  ASSERT_TRUE(state.record_import({.id = id("ring"), .parents = {id("grandchild")}}).ok());
  EXPECT_FALSE(state.revocation_of(id("grandchild"), {}).value().has_value());
  ASSERT_TRUE(state.revoke({.digest = id("f"), .reason = "poisoned", .source = "local"}).ok());
  for (const char* name : {"base", "child", "grandchild", "ring"}) {
    const auto found = state.revocation_of(id(name), {}).value();
    ASSERT_TRUE(found.has_value()) << name;
    EXPECT_EQ(found->reason, "poisoned");
  }
}

TEST_F(StateTest, ANewListReplacesTheOneBefore) {
  State state = open();
  const std::vector<RevocationRecord> first = {{.digest = id("a")}}, second = {{.digest = id("b")}};
  ASSERT_TRUE(state.replace_revocations("list", first).ok());
  ASSERT_TRUE(state.revoke({.digest = id("c"), .source = "local"}).ok());
  EXPECT_TRUE(state.revocation_of(id("a"), {}).value().has_value());
  ASSERT_TRUE(state.replace_revocations("list", second).ok());
  EXPECT_FALSE(state.revocation_of(id("a"), {}).value().has_value());
  EXPECT_TRUE(state.revocation_of(id("b"), {}).value().has_value());
  EXPECT_TRUE(state.revocation_of(id("c"), {}).value().has_value()) << "local ones stay";
}

TEST_F(StateTest, TheHighestVersionNeverFalls) {
  State state = open();
  EXPECT_FALSE(state.highest("list").value().has_value());
  ASSERT_TRUE(state.raise("list", {.version = 5, .digest = id("five")}).ok());
  ASSERT_TRUE(state.raise("list", {.version = 4, .digest = id("four")}).ok());
  ASSERT_TRUE(state.raise("list", {.version = 5, .digest = id("another five")}).ok());
  const auto highest = open().highest("list").value();
  ASSERT_TRUE(highest.has_value());
  EXPECT_EQ(highest->version, 5);
  EXPECT_EQ(highest->digest, id("five"));
}

TEST_F(StateTest, AListAndItsVersionComeTogetherOrNotAtAll) {
  State state = open();
  const std::vector<RevocationRecord> first = {{.digest = id("a")}}, second = {{.digest = id("b")}};
  const auto floor = [&](int64_t version, const char* of) {
    return State::Floor{.what = "list", .version = {.version = version, .digest = id(of)}};
  };
  ASSERT_TRUE(state.replace_revocations("list", first, floor(3, "three")).ok());
  EXPECT_EQ(state.highest("list").value()->version, 3);
  // Meanwhile another process was faster with a later one.
  EXPECT_EQ(state.replace_revocations("list", second, floor(2, "two")).error().code,
            ErrorCode::kDenied);
  EXPECT_EQ(state.replace_revocations("list", second, floor(3, "another")).error().code,
            ErrorCode::kDenied);
  EXPECT_TRUE(state.revocation_of(id("a"), {}).value().has_value());
  EXPECT_FALSE(state.revocation_of(id("b"), {}).value().has_value());
  ASSERT_TRUE(state.replace_revocations("list", second, floor(4, "four")).ok());
  EXPECT_TRUE(state.revocation_of(id("b"), {}).value().has_value());
}

TEST_F(StateTest, WhoCannotWriteReads) {
  auto missing = State::open_read_only(folder_);
  ASSERT_TRUE(missing.ok()) << missing.error().message;
  EXPECT_FALSE(missing->import_of(id("m")).value().has_value());
  EXPECT_FALSE(fs::exists(folder_));
  {
    State state = open();
    ASSERT_TRUE(state.record_import({.id = id("m"), .by = "ada"}).ok());
    auto beside = State::open_read_only(folder_);
    ASSERT_TRUE(beside.ok()) << beside.error().message;
    EXPECT_EQ(beside->import_of(id("m")).value()->by, "ada") << "what its writer has not merged";
  }
  auto files = [&] { return std::distance(fs::directory_iterator(folder_), {}); };
  EXPECT_EQ(files(), 1);
  auto alone = State::open_read_only(folder_);
  ASSERT_TRUE(alone.ok()) << alone.error().message;
  EXPECT_EQ(alone->import_of(id("m")).value()->by, "ada");
  EXPECT_EQ(files(), 1) << "no journal is made";
  EXPECT_FALSE(alone->revoke({.digest = id("m"), .source = "local"}).ok());
}

TEST_F(StateTest, AnotherConnectionsWritesShow) {
  State one = open(), two = open();
  const int64_t before = one.data_version().value();
  EXPECT_EQ(one.data_version().value(), before);
  ASSERT_TRUE(two.revoke({.digest = id("m"), .source = "local"}).ok());
  EXPECT_NE(one.data_version().value(), before);
  EXPECT_TRUE(one.revocation_of(id("m"), {}).value().has_value());
}

TEST_F(StateTest, ManyProcessesWriteAtOnce) {
  open();
  constexpr int kProcesses = 4, kEach = 25;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = fork();
    if (child == 0) {
      auto state = State::open(folder_);
      bool ok = state.ok();
      for (int i = 0; ok && i < kEach; ++i)
        ok = state->approve({.id = id("m"), .approver = fmt::format("user:{}-{}", p, i)}).ok();
      _exit(ok ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(open().approvals_of(id("m")).value().size(), size_t{kProcesses} * size_t{kEach});
}

TEST_F(StateTest, AFileThatIsNoDatabaseIsRefused) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "state.db") << std::string(8192, 'x');
  EXPECT_EQ(State::open(folder_).error().code, ErrorCode::kCorrupt);
}

TEST_F(StateTest, AFileOfALaterVersionIsRefused) {
  open();
  const std::string_view later[] = {"", "", "", ""};
  auto database = base::Database::open(folder_ / "state.db", later);
  ASSERT_TRUE(database.ok()) << database.error().message;
  EXPECT_EQ(State::open(folder_).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace lantern::supply
