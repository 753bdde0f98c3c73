#include "delivery/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "delivery/test_support.h"

namespace lantern::delivery {
namespace {

namespace fs = std::filesystem;
using base::Json;
using ::testing::HasSubstr;
using testing::sample_event;
using testing::TestFolder;

class SpoolTest : public ::testing::Test {
 protected:
  [[nodiscard]] Result<std::unique_ptr<Spool>> open(uint64_t bytes_max = 64u << 20) const {
    return Spool::open({.folder = folder(), .bytes_max = bytes_max, .form = event_line});
  }
  [[nodiscard]] fs::path folder() const { return folder_.path() / "spool"; }

  static Spooled spooled(int i, size_t n_bytes = 40) {
    const Event event = sample_event(i, n_bytes);
    return {event.id, event.time_us, event_line(event)};
  }
  static Status append(Spool& spool, int i, size_t n_bytes = 40) {
    const Spooled one = spooled(i, n_bytes);
    return spool.append(std::span(&one, 1));
  }
  /// Takes and settles everything: numbers, and gaps as -n (a gap of unknown size: -1'000'000).
  static std::vector<int> drain(Spool& spool) {
    std::vector<int> numbers;
    for (;;) {
      const auto events = spool.take(7, 1u << 20).value();
      if (events.empty()) return numbers;
      for (const Spooled& event : events) numbers.push_back(number_of(event));
      EXPECT_TRUE(spool.settle(events.size(), Spool::Rest::kMayHaveArrived).ok());
    }
  }
  static int number_of(const Spooled& event) {
    const Json line = Json::parse(event.payload);
    EXPECT_EQ(line["id"], event.id);
    if (line["event"] != "delivery.gap") return line["number"].get<int>();
    return line["lost"].is_null() ? -1'000'000 : -line["lost"].get<int>();
  }
  static std::vector<int> range(int first, int last) {
    std::vector<int> numbers;
    for (int i = first; i <= last; ++i) numbers.push_back(i);
    return numbers;
  }
  /// Writes over the file's bytes.
  void damage(off_t at, const std::string& bytes) const {
    std::fstream file(folder() / "spool.db", std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(at);
    file << bytes;
  }

  TestFolder folder_;
};

TEST_F(SpoolTest, KeepsTheOrderAndOutlivesItsProcess) {
  {
    auto spool = open().value();
    for (int i = 1; i <= 20; ++i) ASSERT_TRUE(append(*spool, i).ok());
    const auto taken = spool->take(5, 1u << 20).value();
    ASSERT_EQ(taken.size(), 5u);
    ASSERT_TRUE(spool->settle(3, Spool::Rest::kMayHaveArrived).ok());
    EXPECT_EQ(spool->counts().waiting, 17u);
  }
  auto spool = open().value();
  EXPECT_EQ(spool->counts().waiting, 17u);
  EXPECT_EQ(drain(*spool), range(4, 20));
  EXPECT_EQ(spool->counts().waiting, 0u);
}

TEST_F(SpoolTest, IsForItsOwnerAlone) {
  auto spool = open().value();
  ASSERT_TRUE(append(*spool, 1).ok());
  struct stat info {};
  ASSERT_EQ(::stat(folder().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  int n_files = 0;
  for (const auto& entry : fs::directory_iterator(folder())) {
    ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << entry.path();
    ++n_files;
  }
  EXPECT_GE(n_files, 2);
}

TEST_F(SpoolTest, ASecondProcessIsRefused) {
  auto spool = open().value();
  const auto second = open();
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().message, HasSubstr("another process delivers from this spool"));
  spool.reset();
  EXPECT_TRUE(open().ok());
}

TEST_F(SpoolTest, WhenItOverflowsOneGapCountsTheOldest) {
  constexpr uint64_t kBytesMax = 256u << 10;
  constexpr int kEvents = 1000;
  auto spool = open(kBytesMax).value();
  for (int i = 1; i <= kEvents; ++i) ASSERT_TRUE(append(*spool, i, 2000).ok());
  const auto lost = static_cast<int>(spool->counts().lost);
  EXPECT_GT(lost, 800);
  EXPECT_LT(lost, 950);
  const auto first = spool->take(1, 1).value();
  ASSERT_EQ(first.size(), 1u);
  const Json gap = Json::parse(first[0].payload);
  EXPECT_EQ(gap["lost"], lost);
  EXPECT_EQ(gap["first"], "2027-01-15T08:00:00.000001Z");
  EXPECT_EQ(gap["last"], fmt::format("2027-01-15T08:00:00.{:06}Z", lost));
  ASSERT_TRUE(spool->settle(1, Spool::Rest::kMayHaveArrived).ok());
  EXPECT_EQ(drain(*spool), range(lost + 1, kEvents));
  EXPECT_LE(fs::file_size(folder() / "spool.db"), kBytesMax + (16u << 10));
}

TEST_F(SpoolTest, WhatIsOnItsWayIsNotLost) {
  auto spool = open(64u << 10).value();
  for (int i = 1; i <= 10; ++i) ASSERT_TRUE(append(*spool, i, 1000).ok());
  const auto taken = spool->take(4, 1u << 20).value();
  ASSERT_EQ(taken.size(), 4u);
  for (int i = 11; i <= 200; ++i) ASSERT_TRUE(append(*spool, i, 1000).ok());
  ASSERT_TRUE(spool->settle(2, Spool::Rest::kMayHaveArrived).ok());
  const auto lost = static_cast<int>(spool->counts().lost);
  std::vector<int> expected = {3, 4, -lost};
  for (const int i : range(4 + lost + 1, 200)) expected.push_back(i);
  EXPECT_EQ(drain(*spool), expected);
}

TEST_F(SpoolTest, AGapThatMayHaveArrivedStaysAsItWasTold) {
  auto spool = open(64u << 10).value();
  int next = 1;
  const auto overflow = [&] {
    for (int n = 0; n < 100; ++n, ++next) ASSERT_TRUE(append(*spool, next, 1000).ok());
  };
  overflow();
  const auto told = spool->take(1, 1).value();
  ASSERT_TRUE(spool->settle(0, Spool::Rest::kMayHaveArrived).ok());
  overflow();
  const auto again = spool->take(2, 1u << 20).value();
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].id, told[0].id);
  EXPECT_EQ(again[0].payload, told[0].payload);
  EXPECT_EQ(-number_of(again[0]) - number_of(again[1]), static_cast<int>(spool->counts().lost));
}

TEST_F(SpoolTest, AGapThatDidNotArriveCountsOn) {
  auto spool = open(64u << 10).value();
  for (int i = 1; i <= 100; ++i) ASSERT_TRUE(append(*spool, i, 1000).ok());
  const auto told = spool->take(1, 1).value();
  ASSERT_TRUE(spool->settle(0, Spool::Rest::kDidNotArrive).ok());
  for (int i = 101; i <= 200; ++i) ASSERT_TRUE(append(*spool, i, 1000).ok());
  const auto numbers = drain(*spool);
  const auto lost = static_cast<int>(spool->counts().lost);
  EXPECT_EQ(numbers[0], -lost);
  EXPECT_EQ(numbers[1], lost + 1);
}

TEST_F(SpoolTest, EventsThatAreTooLongAreRefusedAndTheRestOfThemToo) {
  auto spool = open().value();
  const Spooled two[] = {spooled(1), spooled(2, kEventBytesMax)};
  const Status appended = spool->append(two);
  ASSERT_FALSE(appended.ok());
  EXPECT_EQ(appended.error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(spool->counts().waiting, 0u);
}

TEST_F(SpoolTest, WhatWasAppendedIsThereAfterAKill) {
  int pipe_fds[2];
  ASSERT_EQ(::pipe(pipe_fds), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto spool = open(256u << 10);
    for (int i = 1;; ++i)
      if (!spool.ok() || !append(**spool, i, 2000).ok() ||
          ::write(pipe_fds[1], &i, sizeof i) != sizeof i)
        ::_exit(1);
  }
  ::close(pipe_fds[1]);
  int last = 0;
  while (last < 300) ASSERT_EQ(::read(pipe_fds[0], &last, sizeof last), ssize_t{sizeof last});
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  for (int more = 0; ::read(pipe_fds[0], &more, sizeof more) == sizeof more;) last = more;
  ::close(pipe_fds[0]);
  const auto numbers = drain(*open(256u << 10).value());
  ASSERT_GT(numbers.size(), 2u);
  ASSERT_LT(numbers[0], 0);
  // One more may be durable than it could say.
  EXPECT_GE(numbers.back(), last);
  EXPECT_LE(numbers.back(), last + 1);
  EXPECT_EQ(std::vector<int>(numbers.begin() + 1, numbers.end()),
            range(-numbers[0] + 1, numbers.back()));
}

class DamagedSpool : public SpoolTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(DamagedSpool, IsMovedAsideAndToldAsAGap) {
  const std::string kind = GetParam();
  {
    auto spool = open().value();
    for (int i = 1; i <= 100; ++i) ASSERT_TRUE(append(*spool, i, 2000).ok());
  }
  const auto size = static_cast<off_t>(fs::file_size(folder() / "spool.db"));
  if (kind == "header") damage(0, std::string(100, 'x'));
  if (kind == "page") damage(size / 2, std::string(8192, '\x5a'));
  if (kind == "cut") fs::resize_file(folder() / "spool.db", static_cast<uintmax_t>(size / 3));
  if (kind == "all")
    damage(0, std::string(static_cast<size_t>(size), '\0').replace(0, 9, "not a db!"));
  if (kind == "schema" || kind == "values" || kind == "trigger") {
    const std::string_view none[] = {"SELECT 1"};
    auto database = base::Database::open(folder() / "spool.db", none).value();
    ASSERT_TRUE(database
                    .run(kind == "schema"    ? "ALTER TABLE queue ADD COLUMN more TEXT"
                         : kind == "trigger" ? "CREATE TRIGGER t AFTER INSERT ON queue BEGIN "
                                               "DELETE FROM queue; END"
                                             : "SELECT 1")
                    .ok());
    if (kind == "values") {
      ASSERT_TRUE(database.run("PRAGMA ignore_check_constraints = 1").ok());
      ASSERT_TRUE(database.run("UPDATE queue SET lost = -5, time_us = -1").ok());
    }
  }
  auto spool = open();
  ASSERT_TRUE(spool.ok()) << spool.error().message;
  EXPECT_TRUE((*spool)->counts().lost_unknown);
  ASSERT_TRUE(append(**spool, 101).ok());
  EXPECT_EQ(drain(**spool), (std::vector<int>{-1'000'000, 101}));
  EXPECT_TRUE(fs::exists(folder() / "spool.db.kept"));
  spool->reset();
  EXPECT_FALSE(open().value()->counts().lost_unknown) << "told once";
}
INSTANTIATE_TEST_SUITE_P(Spool, DamagedSpool,
                         ::testing::Values("header", "page", "cut", "all", "schema", "values",
                                           "trigger"),
                         [](const auto& one) { return std::string(one.param); });

TEST_F(SpoolTest, DamageWhileItIsOpenIsAGapToo) {
  auto spool = open().value();
  std::vector<Spooled> events;  // more than SQLite's cache holds
  for (int i = 1; i <= 2000; ++i) events.push_back(spooled(i, 2000));
  ASSERT_TRUE(spool->append(events).ok());
  spool.reset();
  spool = open().value();
  const auto size = static_cast<off_t>(fs::file_size(folder() / "spool.db"));
  damage(4096, std::string(static_cast<size_t>(size - 4096), '\x5a'));
  const auto numbers = drain(*spool);
  ASSERT_FALSE(numbers.empty());
  EXPECT_EQ(numbers.back(), -1'000'000);
  ASSERT_TRUE(append(*spool, 2001).ok());
  EXPECT_EQ(drain(*spool), range(2001, 2001));
}

TEST_F(SpoolTest, ARowThatIsNoEventIsAGapOfOne) {
  {
    auto spool = open().value();
    for (int i = 1; i <= 5; ++i) ASSERT_TRUE(append(*spool, i).ok());
  }
  {
    const std::string_view none[] = {"SELECT 1"};
    auto database = base::Database::open(folder() / "spool.db", none).value();
    ASSERT_TRUE(database.run("UPDATE queue SET payload = x'7b0a7d' WHERE seq = 2").ok());
    ASSERT_TRUE(database.run("UPDATE queue SET id = 'x' WHERE seq = 4").ok());
  }
  EXPECT_EQ(drain(*open().value()), (std::vector<int>{1, -1, 3, -1, 5}));
}

TEST_F(SpoolTest, ALaterVersionsSpoolIsLeftAlone) {
  { auto spool = open().value(); }
  {
    const std::string_view later[] = {"", "CREATE TABLE more (a)"};
    ASSERT_TRUE(base::Database::open(folder() / "spool.db", later).ok());
  }
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kUnsupported);
  EXPECT_FALSE(fs::exists(folder() / "spool.db.kept"));
}

TEST_F(SpoolTest, AFullDiskIsSaidAndLosesNothing) {
  if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0 ||
      ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("none", folder_.path().c_str(), "tmpfs", 0, "size=1m") != 0)
    GTEST_SKIP() << "a mount of its own takes root";
  {
    const fs::path filler = folder_.write("filler", std::string(400u << 10, 'x'));
    auto spool = open().value();
    int n = 0;
    Status appended;
    while ((appended = append(*spool, n + 1, 2000)).ok()) ++n;
    EXPECT_EQ(appended.error().code, ErrorCode::kExhausted) << appended.error().message;
    EXPECT_THAT(appended.error().message, HasSubstr("spool.db"));
    EXPECT_GT(n, 20);
    EXPECT_EQ(spool->counts().waiting, static_cast<uint64_t>(n));
    // What is delivered now is not taken again, though there is no room to note it.
    ASSERT_EQ(spool->take(5, 1u << 20).value().size(), 5u);
    (void)spool->settle(5, Spool::Rest::kMayHaveArrived).ok();
    ASSERT_EQ(number_of(spool->take(1, 1).value().at(0)), 6);
    (void)spool->settle(0, Spool::Rest::kMayHaveArrived).ok();
    fs::remove(filler);
    EXPECT_EQ(drain(*spool), range(6, n));
    EXPECT_TRUE(append(*spool, n + 1, 2000).ok());
    EXPECT_EQ(drain(*spool), range(n + 1, n + 1));
  }
  ::umount2(folder_.path().c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace lantern::delivery
