#include "audit/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <set>
#include <thread>

#include "audit/lock.h"
#include "audit/reader.h"
#include "audit/test_support.h"

namespace lantern::audit {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

TEST(Log, KeepsWhatItAnsweredForAndGoesOn) {
  const Fixture fixture;
  for (const uint64_t n : {1u, 63u, 1u, 300u, 257u}) fixture.fill(n);
  auto view = LogView::open(fixture.folder);
  ASSERT_TRUE(view.ok()) << view.error().message;
  ASSERT_EQ(view->size(), 622u);
  for (const uint64_t index : {0u, 63u, 64u, 255u, 256u, 621u}) {
    auto event = event_from_json(view->entry(index).value(), "entry");
    ASSERT_TRUE(event.ok()) << event.error().message;
    EXPECT_EQ(std::get<int64_t>(event->facts.at(0).value), static_cast<int64_t>(index));
  }
  const auto verdict = fixture.verify();
  ASSERT_TRUE(verdict.ok()) << verdict.error().message;
  EXPECT_EQ(faults_of(*verdict), "");
  EXPECT_EQ(verdict->n_entries, 622u);
}

TEST(Log, PublishesAtTheEdgesOfTiles) {
  for (const uint64_t n : {1u, 255u, 256u, 257u, 512u, 700u}) {
    const Fixture fixture;
    fixture.fill(n, 50);
    auto log = Log::open(fixture.options());
    ASSERT_TRUE(log.ok());
    auto published = (*log)->publish();
    ASSERT_TRUE(published.ok()) << published.error().message;
    EXPECT_EQ(published->checkpoint.size, n);
    TileSource tiles(fixture.folder, n);
    EXPECT_EQ(root_at(tiles, n).value(), published->checkpoint.root);
    EXPECT_EQ(faults_of(fixture.verify().value()), "");
    EXPECT_EQ(fixture.read(fixture.folder / "checkpoint"), published->note);
  }
}

TEST(Log, IsReadFromAnyEntryOnThroughTilesAndJournal) {
  const Fixture fixture;
  fixture.fill(380);  // 320 are sealed
  auto log = Log::open(fixture.options());
  ASSERT_TRUE(log.ok());
  for (const uint64_t begin : {0u, 255u, 319u, 320u, 379u, 380u}) {
    uint64_t next = begin;
    const auto reading = (*log)->read_from(begin, [&](uint64_t index, std::string_view entry) {
      EXPECT_EQ(index, next++);
      EXPECT_EQ(std::get<int64_t>(event_from_json(entry, "entry")->facts.at(0).value),
                static_cast<int64_t>(index));
    });
    ASSERT_TRUE(reading.ok()) << reading.error().message;
    EXPECT_EQ(next, 380u);
    EXPECT_EQ(reading->first, begin);
    EXPECT_EQ(reading->head.size, 380u);
  }
}

TEST(Log, IsRefusedWhereItIsNotWhatSomebodyRemembers) {
  const Fixture fixture;
  fixture.fill(70);
  LogOptions options = fixture.options();
  const auto remembering = [&](uint64_t size, const Hash& root) {
    options.kept = {{.size = size, .root = root, .at = "the state"}};
    auto log = Log::open(options);
    return log.ok() ? std::string() : log.error().message;
  };
  LogView view = LogView::open(fixture.folder).value();
  EXPECT_EQ(remembering(0, empty_root()), "");
  EXPECT_EQ(remembering(33, root_at(view, 33).value()), "");
  EXPECT_EQ(remembering(70, root_at(view, 70).value()), "");
  EXPECT_THAT(remembering(33, root_at(view, 34).value()), HasSubstr("two stories"));
  EXPECT_THAT(remembering(71, root_at(view, 70).value()), HasSubstr("ends at entry 70"));
  fs::remove_all(fixture.folder);
  fs::remove_all(fixture.anchor.parent_path());
  EXPECT_THAT(remembering(70, Hash{}), HasSubstr("is gone"));
}

TEST(Log, TimesNeverGoBack) {
  const Fixture fixture;
  auto log = Log::open(fixture.options());
  ASSERT_TRUE(log.ok());
  Event late = sample_event(0);
  late.time_ms = 4'000'000'000'000;  // 2096
  ASSERT_TRUE((*log)->append(late).ok());
  ASSERT_TRUE((*log)->append(sample_event(1)).ok());
  EXPECT_EQ((*log)->newest_time_ms(), late.time_ms);
  log->reset();
  log = Log::open(fixture.options());
  EXPECT_EQ((*log)->newest_time_ms(), late.time_ms);
}

TEST(Log, AnEventThatCannotBeRecordedIsAnErrorOfItsOwn) {
  const Fixture fixture;
  auto log = Log::open(fixture.options());
  ASSERT_TRUE(log.ok());
  Event bad = sample_event(0);
  bad.model->id = "not a digest";
  EXPECT_EQ((*log)->append(bad).error().code, ErrorCode::kInvalidArgument);
  bad = sample_event(0);
  bad.reason = std::string(9000, 'x');
  EXPECT_EQ((*log)->append(bad).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ((*log)->append(std::vector<Event>(5000, sample_event(0))).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ((*log)->append(sample_event(0)).value(), 0u);
}

TEST(Log, ManyThreadsShareItAndEachEntryHasItsPlace) {
  const Fixture fixture;
  constexpr int kThreads = 8, kEach = 150;
  {
    auto log = Log::open(fixture.options());
    ASSERT_TRUE(log.ok());
    std::vector<std::thread> threads;
    std::vector<std::vector<uint64_t>> indices(kThreads);
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) {
          auto index = (*log)->append(sample_event(1000 * t + i));
          if (index.ok()) indices[static_cast<size_t>(t)].push_back(*index);
        }
      });
    for (std::thread& thread : threads) thread.join();
    auto view = LogView::open(fixture.folder);
    ASSERT_TRUE(view.ok());
    std::set<uint64_t> all;
    for (int t = 0; t < kThreads; ++t) {
      const auto& own = indices[static_cast<size_t>(t)];
      ASSERT_EQ(own.size(), static_cast<size_t>(kEach));
      for (int i = 0; i < kEach; ++i) {
        all.insert(own[static_cast<size_t>(i)]);
        const auto event =
            event_from_json(view->entry(own[static_cast<size_t>(i)]).value(), "entry");
        EXPECT_EQ(std::get<int64_t>(event->facts.at(0).value), 1000 * t + i);
      }
    }
    EXPECT_EQ(all.size(), static_cast<size_t>(kThreads * kEach));
  }
  EXPECT_EQ(faults_of(fixture.verify().value()), "");
}

/// Runs `body` in a child process; the status it ends with.
int in_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(Log, TwoProcessesNeverForkIt) {
  const Fixture fixture;
  fixture.fill(1);
  constexpr int kProcesses = 3, kEach = 200;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto log = Log::open(fixture.options());
      if (!log.ok()) ::_exit(1);
      for (int i = 0; i < kEach; ++i)
        if (!(*log)->append(sample_event(1000 * p + i)).ok()) ::_exit(2);
      log->reset();
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  const Verdict verdict =
      fixture.verify({{.note = fixture.read(fixture.anchor), .source = "anchor"}}).value();
  EXPECT_EQ(faults_of(verdict), "");
  EXPECT_EQ(verdict.n_entries, 1u + kProcesses * kEach);
  EXPECT_EQ(verdict.anchored_size, verdict.n_entries);
  // Each process's entries are there, once and in its order.
  std::vector<int64_t> next(kProcesses);
  auto view = LogView::open(fixture.folder);
  ASSERT_TRUE(view->for_each(1, view->size(),
                             [&](uint64_t, std::string_view entry) {
                               const auto event = event_from_json(entry, "entry");
                               const int64_t number = std::get<int64_t>(event->facts.at(0).value);
                               EXPECT_EQ(number % 1000, next[static_cast<size_t>(number / 1000)]++);
                               return true;
                             })
                  .ok());
}

// The process dies at each step of a batch, of a seal and of the spool's way into the log: what it
// was answered for is there, the log reopens, verifies and goes on.
TEST(Log, ACrashAtAnyStepLosesNothingThatWasAnswered) {
  for (int step = 0; step < kLogSteps; ++step)
    for (const int nth : {1, 2, 5}) {
      SCOPED_TRACE(fmt::format("step {}, time {}", step, nth));
      const Fixture fixture;
      fixture.fill(250, 50);
      int pipe_ends[2];
      ASSERT_EQ(::pipe(pipe_ends), 0);
      const int status = in_child([&] {
        LogOptions options = fixture.options();
        options.journal_entries_max = 20;
        int seen = 0;
        options.at_step = [&](LogStep at) {
          if (static_cast<int>(at) == step && ++seen == nth) ::raise(SIGKILL);
        };
        auto log = Log::open(options);
        if (!log.ok()) ::_exit(1);
        for (int i = 250; i < 400; i += 5) {
          std::vector<Event> events;
          for (int j = 0; j < 5; ++j) events.push_back(sample_event(i + j));
          auto index = (*log)->append(events);
          if (!index.ok()) ::_exit(2);
          const uint64_t answered = *index + 5;
          if (::write(pipe_ends[1], &answered, sizeof answered) != sizeof answered) ::_exit(3);
        }
      });
      ::close(pipe_ends[1]);
      uint64_t answered = 250;
      while (::read(pipe_ends[0], &answered, sizeof answered) == sizeof answered) continue;
      ::close(pipe_ends[0]);
      if (step != static_cast<int>(LogStep::kSpooledAppended)) {
        ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
      }
      const Verdict before = fixture.verify().value();
      EXPECT_EQ(faults_of(before), "");
      EXPECT_GE(before.n_entries, answered);
      fixture.fill(3);
      const Verdict after =
          fixture.verify({{.note = fixture.read(fixture.anchor), .source = "anchor"}}).value();
      EXPECT_EQ(faults_of(after), "");
      EXPECT_EQ(after.n_entries, before.n_entries + 3);
      EXPECT_EQ(after.unfinished_bytes, 0u);
    }
}

TEST(Log, ARecordCutAnywhereIsAnUnfinishedWrite) {
  const Fixture fixture;
  fixture.fill(3, 1);
  const std::string whole = fixture.read(fixture.folder / "journal");
  const Journal journal = parse_journal(whole, "journal").value();
  ASSERT_EQ(journal.records.batches.size(), 3u);
  const size_t last = journal_record(journal.records.batches[2]).size();
  fs::remove(fixture.anchor);
  fs::remove(fixture.folder / "head");
  for (size_t cut = 1; cut <= last; ++cut) {
    const Journal rest = parse_journal(whole.substr(0, whole.size() - cut), "journal").value();
    EXPECT_EQ(rest.records.batches.size(), 2u);
    EXPECT_EQ(rest.records.unfinished_bytes, last - cut);
    // A filesystem may have made the file long and not filled it.
    std::string zeros = whole.substr(0, whole.size() - cut) + std::string(cut, '\0');
    // Where most of a digest is there, the record's or its header's, it counts as a change.
    if (cut < 8 || (last - cut > 24 && last - cut < 32)) continue;
    const auto zeroed = parse_journal(zeros, "journal");
    ASSERT_TRUE(zeroed.ok()) << cut << zeroed.error().message;
    EXPECT_EQ(zeroed->records.batches.size(), 2u);
  }
  fs::resize_file(fixture.folder / "journal", whole.size() - 10);
  EXPECT_EQ(faults_of(fixture.verify().value()), "");
  EXPECT_EQ(fixture.verify()->n_entries, 2u);
  fixture.fill(1);
  EXPECT_EQ(fixture.verify()->n_entries, 3u);
}

TEST(Log, RefusesToGoOnAfterACutTailAnOldCopyOrAFork) {
  const Fixture fixture;
  fixture.fill(40, 10);
  const fs::path copy = fixture.scratch.path() / "copy";
  fs::copy(fixture.folder, copy, fs::copy_options::recursive);
  fixture.fill(40, 10);

  const auto refused = [&](const std::string& fragment) {
    auto log = Log::open(fixture.options());
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(log.error().message, HasSubstr(fragment));
  };
  const fs::path real = fixture.scratch.path() / "real";
  fs::copy(fixture.folder, real, fs::copy_options::recursive);

  // An old copy, whole.
  fs::remove_all(fixture.folder);
  fs::copy(copy, fixture.folder, fs::copy_options::recursive);
  refused("ends at entry 40, the checkpoint kept in");

  // A fork: the old copy went on elsewhere.
  {
    LogOptions elsewhere = fixture.options();
    elsewhere.anchor = fixture.scratch.path() / "other-anchor";
    auto log = Log::open(elsewhere);
    ASSERT_TRUE(log.ok()) << log.error().message;
    for (int i = 0; i < 60; ++i) ASSERT_TRUE((*log)->append(sample_event(5000 + i)).ok());
  }
  refused("two stories of its first 80 entries");

  // No log at all where one was.
  fs::remove_all(fixture.folder);
  refused("the audit log is gone");

  fs::remove_all(fixture.folder);
  fs::copy(real, fixture.folder, fs::copy_options::recursive);
  fixture.fill(1);
  EXPECT_EQ(fixture.verify()->n_entries, 81u);
}

TEST(Log, NoticesACutWhileItIsOpen) {
  const Fixture fixture;
  auto log = Log::open(fixture.options());
  ASSERT_TRUE((*log)->append(sample_event(0)).ok());
  ASSERT_TRUE((*log)->append(sample_event(1)).ok());
  fs::resize_file(fixture.folder / "journal", kJournalHeaderBytes);
  EXPECT_THAT((*log)->append(sample_event(2)).error().message, HasSubstr("was cut"));
}

TEST(Log, WhatCannotBeWrittenIsRefusedAndARevocationWaits) {
  // Root writes anywhere, so a lock that somebody holds stands in for a disk that does not write.
  const Fixture fixture;
  LogOptions options = fixture.options();
  options.lock_timeout_ms = 50;
  auto log = Log::open(options);
  ASSERT_TRUE(log.ok());
  {
    const auto held = LogLock::exclusive(fixture.folder, 1000);
    ASSERT_TRUE(held.ok());
    auto refused = (*log)->append(sample_event(0));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kIo);
    Event revoke = sample_event(1);
    revoke.action = Action::kRevoke;
    const Recorded recorded = (*log)->append_or_spool(revoke);
    EXPECT_EQ(recorded.where, Recorded::Where::kSpool) << recorded.fault;
    EXPECT_THAT(recorded.fault, HasSubstr("another process has held the audit log"));
  }
  // It enters before the next entry.
  EXPECT_EQ((*log)->append(sample_event(2)).value(), 1u);
  auto view = LogView::open(fixture.folder);
  const auto event = event_from_json(view->entry(0).value(), "entry");
  EXPECT_EQ(event->action, Action::kRevoke);
  EXPECT_EQ(event->spool_id.size(), 32u);
  EXPECT_TRUE(fs::is_empty(fixture.scratch.path() / "spool"));
}

TEST(Log, ARotatedKeyGoesOnWithTheSameTree) {
  Fixture fixture;
  fixture.fill(5, 1);
  const base::PrivateKey old = fixture.key;
  fixture.key = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
  EXPECT_EQ(Log::open(fixture.options()).error().code, ErrorCode::kCorrupt);  // an unknown signer
  LogOptions options = fixture.options();
  // A process that was open before learns of the new key when it meets it.
  LogOptions stale = fixture.options();
  stale.keys = {.signer = old};
  stale.keys_now = [&]() -> Result<LogKeys> {
    return LogKeys{.signer = fixture.key, .known = {old.public_key()}};
  };
  auto before = Log::open(stale);
  ASSERT_TRUE(before.ok()) << before.error().message;
  options.keys.known = {old.public_key()};
  {
    auto log = Log::open(options);
    ASSERT_TRUE(log.ok()) << log.error().message;
    ASSERT_TRUE((*log)->append(sample_event(5)).ok());
  }
  ASSERT_TRUE((*before)->append(sample_event(6)).ok());
  before->reset();
  VerifyOptions verify{.folder = fixture.folder,
                       .keys = {fixture.key.public_key(), old.public_key()}};
  EXPECT_EQ(faults_of(verify_log(verify).value()), "");
  verify.keys = {old.public_key()};
  EXPECT_EQ(faults_of(verify_log(verify).value()), "bad_signature");
}

}  // namespace
}  // namespace lantern::audit
