#include "sensor/watcher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "sensor/process_handle.h"

namespace lantern::sensor {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kMiB = 1u << 20;

/// Processes that are as a test says; files of weights are real, if damaged.
class FakeHost final : public Host {
 public:
  struct Fake {
    Process process = {};
    Pulse pulse = {};
    std::vector<MappedFile> mapped = {};
  };

  void add(int pid, uint64_t start_ticks, const std::string& name, bool has_model = false) {
    Fake& fake = processes_[pid];
    fake = {.process = {.pid = pid, .start_ticks = start_ticks, .name = name},
            .pulse = {.pid = pid, .start_ticks = start_ticks, .resident_bytes = kMiB}};
    if (has_model) map_model(pid);
  }
  void map_model(int pid) {
    processes_[pid].mapped = {{.id = {.device = 1, .inode = 7},
                               .path = "/data/model.bin",
                               .bytes = 16 * kMiB,
                               .end = 16 * kMiB}};
  }
  void remove(int pid) { processes_.erase(pid); }
  Fake& of(int pid) { return processes_.at(pid); }

  [[nodiscard]] std::vector<std::string> blind_spots() const override { return {}; }
  [[nodiscard]] int64_t now_s() const override { return 1'700'000'000; }
  Result<std::vector<Process>> processes() override {
    std::vector<Process> all;
    for (const auto& [pid, fake] : processes_) all.push_back(fake.process);
    return all;
  }
  Result<Surroundings> surroundings(int) override { return Surroundings(); }
  Result<Process> process(int pid) override {
    const auto at = processes_.find(pid);
    if (at == processes_.end()) return gone();
    return at->second.process;
  }
  Result<std::vector<Pulse>> pulses() override {
    std::vector<Pulse> all;
    for (const auto& [pid, fake] : processes_) all.push_back(fake.pulse);
    return all;
  }
  Result<Pulse> pulse(int pid) override {
    const auto at = processes_.find(pid);
    if (at == processes_.end()) return gone();
    return at->second.pulse;
  }
  Result<std::string> executable(int) override { return gone(); }
  Result<std::vector<MappedFile>> mapped_files(int pid) override {
    ++looks;
    if (during_look) during_look();
    const auto at = processes_.find(pid);
    if (at == processes_.end()) return gone();
    return at->second.mapped;
  }
  Result<std::vector<OpenDescriptor>> descriptors(int) override { return gone(); }
  Result<IoCounters> io(int) override { return gone(); }
  Result<std::vector<Listener>> listeners() override { return std::vector<Listener>(); }
  Result<OpenedFile> ask(uint16_t, std::string_view) override { return gone(); }
  Result<OpenedFile> open_mapped(int, const MappedFile& file) override {
    base::UniqueFd fd(::memfd_create("model", MFD_CLOEXEC));
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(file.bytes)), 0);
    EXPECT_EQ(::pwrite(fd.get(), head.data(), head.size(), 0), 8);
    return OpenedFile{.fd = std::move(fd),
                      .stamp = {.device = 1, .inode = file.id.inode, .size = file.bytes},
                      .size = file.bytes,
                      .have = file.bytes,
                      .how = "/proc/fake"};
  }
  Result<OpenedFile> open_descriptor(int, const OpenDescriptor&) override { return gone(); }
  Result<std::vector<Home>> homes() override { return std::vector<Home>(); }
  Result<std::vector<DirectoryEntry>> list(const std::string&) override { return gone(); }
  Result<OpenedFile> open_file(const std::string&) override { return gone(); }

  size_t looks = 0;
  std::string head = std::string("GGUF\x03\0\0\0", 8);
  std::function<void()> during_look;

 private:
  static Error gone() { return make_error(ErrorCode::kNotFound, "not here"); }
  std::map<int, Fake> processes_;
};

class FakeEvents final : public ProcessEvents {
 public:
  [[nodiscard]] std::string_view name() const override { return "fake"; }
  [[nodiscard]] int fd() const override { return -1; }
  StartedPrograms take() override { return std::exchange(next, {}); }
  StartedPrograms next;
};

/// "appeared 10", "ended 10": what was told, in order.
std::vector<std::string> told(const Result<std::vector<Observation>>& observations) {
  EXPECT_TRUE(observations.ok());
  std::vector<std::string> all;
  for (const Observation& one : *observations)
    all.push_back(fmt::format("{}{} {}",
                              one.change == Change::kAppeared  ? "appeared"
                              : one.change == Change::kChanged ? "changed"
                              : one.exited                     ? "exited"
                                                               : "ended",
                              one.at_start ? " at start" : "", one.finding->process.pid));
  return all;
}

class WatcherTest : public testing::Test {
 protected:
  void start(ProcessEvents* events = nullptr) {
    watcher_ = Watcher::start(host_, events, {}).value();
  }
  auto step(milliseconds later = seconds(4)) {
    now_ += later;
    return told(watcher_->step(now_));
  }

  FakeHost host_;
  WatchClock::time_point now_ = WatchClock::now();
  std::unique_ptr<Watcher> watcher_;
};

TEST_F(WatcherTest, TellsWhatAppearsAndEnds) {
  host_.add(10, 1, "llama-server", true);
  host_.add(11, 1, "bash");
  start();
  EXPECT_THAT(step(), ElementsAre("appeared at start 10"));
  EXPECT_THAT(step(), IsEmpty());
  host_.add(12, 5, "ollama", true);
  EXPECT_THAT(step(), ElementsAre("appeared 12"));
  EXPECT_THAT(watcher_->findings(), SizeIs(2));
  host_.remove(10);
  EXPECT_THAT(step(), ElementsAre("exited 10"));
  EXPECT_THAT(watcher_->findings(), SizeIs(1));
}

TEST_F(WatcherTest, AProcessThatMapsAModelLaterIsSeenByItsGrowth) {
  host_.add(10, 1, "notes");
  start();
  EXPECT_THAT(step(), IsEmpty());
  const size_t looks = host_.looks;
  EXPECT_THAT(step(), IsEmpty());
  EXPECT_EQ(host_.looks, looks) << "nothing changed, so nothing is looked at";
  host_.map_model(10);
  host_.of(10).pulse.mapped_bytes += 16 * kMiB;  // not one page of it is touched yet
  EXPECT_THAT(step(), ElementsAre("appeared 10"));
  host_.of(10).mapped.clear();
  host_.of(10).pulse.mapped_bytes = 0;
  EXPECT_THAT(step(), IsEmpty());
  host_.of(10).pulse.resident_bytes += 8 * kMiB;
  EXPECT_THAT(step(), ElementsAre("ended 10")) << "what it had mapped is gone";
}

TEST_F(WatcherTest, AnotherProgramInTheSameProcessIsLookedAt) {
  host_.add(10, 1, "sh");
  start();
  EXPECT_THAT(step(), IsEmpty());
  host_.map_model(10);
  host_.of(10).pulse.image = 99;
  EXPECT_THAT(step(), ElementsAre("appeared 10"));
}

TEST_F(WatcherTest, OtherWeightsAreAChange) {
  host_.add(10, 1, "llama-server", true);
  start();
  step();
  host_.of(10).mapped[0].path = "/data/other.bin";
  host_.of(10).mapped[0].id.inode = 8;
  host_.of(10).pulse.image = 1;
  EXPECT_THAT(step(), ElementsAre("changed 10"));
}

TEST_F(WatcherTest, WeightsThatWereReadAndClosedAreRememberedAsLongAsTheMemoryIsHeld) {
  host_.add(10, 1, "llama-server", true);
  start();
  step();
  host_.of(10).mapped.clear();
  host_.of(10).process.anonymous_bytes = 16 * kMiB;
  host_.of(10).pulse.resident_bytes += 16 * kMiB;
  EXPECT_THAT(step(), ElementsAre("changed 10"));
  ASSERT_THAT(watcher_->findings()[0]->weights, SizeIs(1));
  EXPECT_EQ(watcher_->findings()[0]->weights[0].use, Basis::kInferred);
  host_.of(10).process.anonymous_bytes = 0;
  host_.of(10).pulse.resident_bytes += 16 * kMiB;
  EXPECT_THAT(step(), ElementsAre("changed 10"));
  EXPECT_THAT(watcher_->findings()[0]->weights, IsEmpty());
}

TEST_F(WatcherTest, ANumberThatIsAnothersIsAnotherProcess) {
  host_.add(10, 1, "llama-server", true);
  start();
  step();
  host_.add(10, 2, "llama-server", true);
  EXPECT_THAT(step(), ElementsAre("exited 10", "appeared 10"));
}

TEST_F(WatcherTest, ANumberThatChangesHandsDuringALookIsNotBlamed) {
  host_.add(10, 1, "bash");
  start();
  host_.during_look = [&] { host_.add(10, 2, "llama-server", true); };
  EXPECT_THAT(step(), IsEmpty());
  host_.during_look = nullptr;
  EXPECT_THAT(step(), ElementsAre("appeared 10"));
  EXPECT_EQ(watcher_->findings()[0]->process.start_ticks, 2u);
}

TEST_F(WatcherTest, AllAreLookedAtAgainInAFullIntervalAndNeverAtOnce) {
  for (int pid = 1000; pid < 1400; ++pid) host_.add(pid, 1, "sleep");
  start();
  step();
  EXPECT_EQ(host_.looks, 400u);
  size_t before = host_.looks, most = 0;
  for (int i = 0; i < 15; ++i) {
    step();
    most = std::max(most, host_.looks - before);
    before = host_.looks;
  }
  EXPECT_LE(most, 32u);
  EXPECT_GE(host_.looks, 800u - 32u);
  // One that is seen without having grown, within the interval.
  host_.map_model(1234);
  std::vector<std::string> all;
  for (int i = 0; i < 17; ++i)
    for (std::string& one : step()) all.push_back(std::move(one));
  EXPECT_THAT(all, ElementsAre("appeared 1234"));
}

TEST_F(WatcherTest, ManyNewProcessesAreSpreadTheLargestFirst) {
  start();
  step();
  for (int pid = 1000; pid < 1400; ++pid) host_.add(pid, 1, "cc");
  host_.add(1399, 1, "notes", true);
  host_.of(1399).pulse.resident_bytes = 64 * kMiB;
  EXPECT_THAT(step(), ElementsAre("appeared 1399"));
  EXPECT_LE(host_.looks, 64u);
  for (int i = 0; i < 8; ++i) step();
  EXPECT_GE(host_.looks, 400u);
}

TEST_F(WatcherTest, AFileIsReadOnce) {
  host_.add(10, 1, "llama-server", true);
  host_.add(11, 1, "ollama", true);
  start();
  EXPECT_THAT(step(), SizeIs(2));
  EXPECT_EQ(watcher_->findings()[0]->weights[0].facts.fault, "");
  host_.head = std::string("GGUF\x63\0\0\0", 8);  // a version that there is not, if it is read
  host_.of(10).pulse.image = 1;
  EXPECT_THAT(step(), IsEmpty());
  EXPECT_EQ(watcher_->findings()[0]->weights[0].facts.fault, "");
}

TEST_F(WatcherTest, AProgramIsSeenSoonAfterItWasStarted) {
  FakeEvents events;
  start(&events);
  step();
  host_.add(10, 5, "notes", true);
  events.next.pids = {10};
  EXPECT_THAT(step(milliseconds(1)), IsEmpty()) << "it has mapped nothing yet";
  EXPECT_LE(watcher_->due() - now_, milliseconds(200));
  host_.of(10).pulse.resident_bytes = 16 * kMiB;
  EXPECT_THAT(step(milliseconds(150)), ElementsAre("appeared 10"));
  host_.remove(10);
  EXPECT_THAT(step(milliseconds(700)), ElementsAre("exited 10"));
}

TEST_F(WatcherTest, ManySmallShortLivedProgramsCostNoLook) {
  FakeEvents events;
  start(&events);
  step();
  for (int pid = 100; pid < 200; ++pid) {
    host_.add(pid, 5, "true");
    events.next.pids = {pid};
    EXPECT_THAT(step(milliseconds(1)), IsEmpty());
    host_.remove(pid);
  }
  EXPECT_THAT(step(milliseconds(150)), IsEmpty());
  EXPECT_EQ(host_.looks, 0u);
}

TEST_F(WatcherTest, WhereTheKernelLostEventsAllAreLookedAtAtOnce) {
  FakeEvents events;
  start(&events);
  step();
  host_.add(10, 5, "notes", true);
  events.next.lost = true;
  EXPECT_THAT(step(milliseconds(1)), ElementsAre("appeared 10"));
}

TEST_F(WatcherTest, WeightsAtRestAppearAndGo) {
  start();
  step();
  const FoundWeights a{.path = "/a", .stamp = {.inode = 1}}, b{.path = "/b", .stamp = {.inode = 2}},
      other{.path = "/b", .stamp = {.inode = 3}};
  EXPECT_THAT(watcher_->at_rest({a, b}), SizeIs(2));
  EXPECT_THAT(watcher_->at_rest({a, b}), IsEmpty());
  const auto told = watcher_->at_rest({a, other});
  ASSERT_THAT(told, SizeIs(2)) << "it was replaced";
  EXPECT_TRUE(told[0].gone);
  EXPECT_FALSE(told[1].gone);
}

TEST(LookCache, ForgetsWhatWasAskedForLongestAgo) {
  LookCache cache(100);
  OpenedFile often{.stamp = {.device = 1, .inode = 1}};
  cache.keep({.file = &often}, {.fault = "often"});
  for (uint64_t inode = 2; inode < 1000; ++inode) {
    const OpenedFile file{.fd = {}, .stamp = {.device = 1, .inode = inode}};
    cache.keep({.file = &file}, {});
    ASSERT_NE(cache.find({.file = &often}), nullptr) << inode;
  }
  EXPECT_LE(cache.size(), 104u);
  EXPECT_EQ(cache.find({.file = &often})->fault, "often");
  EXPECT_EQ(cache.find({.task = ParseTask::kCode, .file = &often}), nullptr);
  often.stamp.mtime_ns = 5;
  EXPECT_EQ(cache.find({.file = &often}), nullptr) << "it was written to";
  const OpenedFile no_file;
  cache.keep({.file = &no_file}, {});
  EXPECT_EQ(cache.find({.file = &no_file}), nullptr);
}

/// As the kernel writes it: nlmsghdr, cn_msg, proc_event.
std::vector<std::byte> event_bytes(uint32_t what, int tgid) {
  std::vector<std::byte> bytes(NLMSG_HDRLEN + sizeof(cn_msg) + sizeof(proc_event));
  const nlmsghdr header{.nlmsg_len = static_cast<uint32_t>(bytes.size()),
                        .nlmsg_type = NLMSG_DONE,
                        .nlmsg_flags = 0,
                        .nlmsg_seq = 0,
                        .nlmsg_pid = 0};
  cn_msg message{};
  message.id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC};
  message.len = sizeof(proc_event);
  const int ids[] = {tgid, tgid};
  std::byte* const event = bytes.data() + NLMSG_HDRLEN + sizeof message;
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + NLMSG_HDRLEN, &message, sizeof message);
  std::memcpy(event, &what, sizeof what);
  std::memcpy(event + offsetof(proc_event, event_data), ids, sizeof ids);
  return bytes;
}

TEST(ProcessEvents, OfADatagramExecutionsAreTaken) {
  constexpr uint32_t kFork = 1, kExec = 2, kExit = 0x80000000;
  EXPECT_THAT(parse_proc_events(event_bytes(kExec, 4711)), ElementsAre(4711));
  EXPECT_THAT(parse_proc_events(event_bytes(kFork, 4711)), IsEmpty());
  EXPECT_THAT(parse_proc_events(event_bytes(kExit, 4711)), IsEmpty());
  auto two = event_bytes(kExec, 1), other = event_bytes(kExec, 2);
  two.insert(two.end(), other.begin(), other.end());
  EXPECT_THAT(parse_proc_events(two), ElementsAre(1, 2));
}

TEST(ProcessEvents, WhatEndsEarlyOrLiesAboutItsLengthIsLeftOut) {
  const auto whole = event_bytes(2, 4711);
  const size_t needed = NLMSG_HDRLEN + sizeof(cn_msg) + offsetof(proc_event, event_data) + 8;
  for (size_t n = 0; n < whole.size(); ++n) {
    auto cut = std::vector(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    EXPECT_THAT(parse_proc_events(cut), IsEmpty()) << n;
    if (n < sizeof(nlmsghdr)) continue;
    const auto length = static_cast<uint32_t>(n);
    std::memcpy(cut.data(), &length, sizeof length);
    EXPECT_EQ(parse_proc_events(cut).size(), n >= needed ? 1u : 0u) << n;
  }
  auto lies = whole;
  for (const uint32_t length : {0u, 15u, 0xffffffffu}) {
    std::memcpy(lies.data(), &length, sizeof length);
    EXPECT_THAT(parse_proc_events(lies), IsEmpty());
  }
}

TEST(ProcessEvents, TheKernelTellsOfAProgramThatIsStarted) {
  auto events = open_proc_connector();
  if (!events.ok()) GTEST_SKIP() << events.error().message;
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/bin/true", "true", nullptr);
    ::_exit(127);
  }
  bool seen = false;
  for (int i = 0; i < 100 && !seen; ++i) {
    pollfd waiting{.fd = (*events)->fd(), .events = POLLIN, .revents = 0};
    ::poll(&waiting, 1, 100);
    for (const int pid : (*events)->take().pids) seen = seen || pid == child;
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(seen);
}

class StopTest : public testing::Test {
 protected:
  StopTest() : child_(::fork()) {
    if (child_ == 0) {
      ::pause();
      ::_exit(0);
    }
    host_.add(child_, 77, "child");
  }
  ~StopTest() override {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  FakeHost host_;
  pid_t child_;
};

TEST_F(StopTest, AProcessIsHeldAndEnded) {
  const auto process = ProcessHandle::open(host_, child_, 77);
  ASSERT_TRUE(process.ok()) << process.error().message;
  EXPECT_FALSE(process->ended());
  ASSERT_TRUE(process->send(SIGTERM).ok());
  for (int i = 0; i < 1000 && !process->ended(); ++i) ::usleep(10'000);
  EXPECT_TRUE(process->ended());
}

TEST_F(StopTest, AnotherProcessUnderTheSameNumberIsRefused) {
  const auto process = ProcessHandle::open(host_, child_, 76);
  ASSERT_FALSE(process.ok());
  EXPECT_EQ(process.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(::kill(child_, 0), 0) << "it still runs";
}

TEST_F(StopTest, WhatThisProcessLivesByIsNeverStopped) {
  host_.add(1, 1, "init");
  host_.add(::getppid(), 5, "parent");
  host_.add(::getpid(), 6, "self");
  host_.of(::getpid()).process.parent = ::getppid();
  for (const int pid : {0, 1, -1, ::getppid(), ::getpid()}) {
    const auto process = ProcessHandle::open(host_, pid, 6);
    ASSERT_FALSE(process.ok()) << pid;
    EXPECT_EQ(process.error().code, ErrorCode::kDenied) << pid;
  }
}

}  // namespace
}  // namespace lantern::sensor
