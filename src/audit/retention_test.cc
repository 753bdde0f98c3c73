#include "audit/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "audit/reader.h"
#include "audit/test_support.h"

namespace lantern::audit {
namespace {

namespace fs = std::filesystem;

TEST(Retention, DropsASealedPrefixAndTheRestStillProves) {
  const Fixture fixture;
  fixture.fill(700, 100);
  const auto drop = [&](Log& log, uint64_t first_kept) {
    return drop_before(log, fixture.folder, {.first_kept = first_kept, .actor = {.user = "ada"}})
        .value();
  };
  {
    auto log = Log::open(fixture.options());
    ASSERT_TRUE(log.ok());
    EXPECT_EQ(drop(**log, 100), 0u);  // no whole bundle
    EXPECT_EQ(drop(**log, 520), 512u);
    // A crash had left one that was to go.
    std::ofstream(fixture.folder / bundle_path(0, kTileWidth)) << "x";
    EXPECT_EQ(drop(**log, 300), 512u);  // never back
    EXPECT_FALSE(fs::exists(fixture.folder / bundle_path(0, kTileWidth)));
  }
  EXPECT_FALSE(fs::exists(fixture.folder / bundle_path(1, kTileWidth)));
  fixture.fill(10);
  const Verdict verdict =
      fixture.verify({{.note = fixture.read(fixture.anchor), .source = "kept"}}).value();
  EXPECT_EQ(faults_of(verdict), "");
  EXPECT_EQ(verdict.first_kept, 512u);
  EXPECT_EQ(verdict.drop_record, 700u);
  auto view = LogView::open(fixture.folder);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->entry(511).error().code, ErrorCode::kNotFound);
  const std::string entry = view->entry(600).value();
  const auto proof = inclusion_proof(*view, 600, view->size()).value();
  EXPECT_TRUE(
      inclusion_holds(600, view->size(), leaf_hash(entry), proof, view->head().checkpoint.root));
  // The record of the drop says who.
  const Event event = event_from_json(view->entry(700).value(), "entry").value();
  EXPECT_EQ(event.action, Action::kLogPrune);
  EXPECT_EQ(event.actor.user, "ada");
}

TEST(Retention, AFileThatSaysSoDoesNotExcuseMissingEntries) {
  const Fixture fixture;
  fixture.fill(700, 100);
  {
    auto log = Log::open(fixture.options());
    ASSERT_TRUE((*log)->publish().ok());
  }
  fs::remove(fixture.folder / bundle_path(0, kTileWidth));
  EXPECT_EQ(faults_of(fixture.verify().value()), "missing_file");
  for (const char* text : {"256\n", "256\n300\n", "256\n12\n", "256\n700\n", "256\n300", "x\n1\n",
                           "256\n300\n1\n", "", "\n\n"}) {
    std::ofstream(fixture.folder / "pruned") << text;
    EXPECT_EQ(faults_of(fixture.verify().value()), "changed_file") << text;
  }
}

TEST(Retention, APlanEndsBeforeTheFirstEntryThatIsYoungEnough) {
  const Fixture fixture;
  constexpr int64_t kDayMs = 86'400'000;
  const auto append = [&](Log& log, int64_t n, int64_t time_ms) {
    std::vector<Event> events;
    for (int64_t i = 0; i < n; ++i) {
      events.push_back(sample_event(i));
      events.back().time_ms = time_ms;
    }
    ASSERT_TRUE(log.append(events).ok());
  };
  {
    auto log = Log::open(fixture.options());
    ASSERT_TRUE(log.ok());
    append(**log, 300, 1 * kDayMs);
    append(**log, 300, 5 * kDayMs);
    // What waited in the spool is older than what stands before it, and protects nothing.
    append(**log, 300, 2 * kDayMs);
  }
  auto view = LogView::open(fixture.folder);
  ASSERT_TRUE(view.ok());
  const auto first_kept = [&](int64_t cutoff_ms) {
    return plan_drop(*view, cutoff_ms)->first_kept;
  };
  EXPECT_EQ(first_kept(1 * kDayMs), 0u);
  EXPECT_EQ(first_kept(1 * kDayMs + 1), 256u);
  EXPECT_EQ(first_kept(5 * kDayMs), 256u);
  EXPECT_EQ(first_kept(5 * kDayMs + 1), 768u);  // of 900
  const DropPlan plan = plan_drop(*view, 5 * kDayMs + 1).value();
  EXPECT_EQ(plan.oldest_ms, kDayMs);
  EXPECT_EQ(plan.newest_ms, 5 * kDayMs);
  uint64_t bytes = 0;
  for (uint64_t i = 0; i < 768; ++i) bytes += view->entry(i)->size() + 2;
  EXPECT_EQ(plan.bytes, bytes);
  EXPECT_TRUE(plan_drop(*view, 0)->empty());
}

}  // namespace
}  // namespace lantern::audit
