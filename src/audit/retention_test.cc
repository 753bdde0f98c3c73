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
  {
    auto log = Log::open(fixture.options());
    ASSERT_TRUE(log.ok());
    EXPECT_EQ(drop_before(**log, fixture.folder, 100, {}).value(), 0u);  // no whole bundle
    EXPECT_EQ(drop_before(**log, fixture.folder, 520, {.user = "ada"}).value(), 512u);
    EXPECT_EQ(drop_before(**log, fixture.folder, 300, {}).value(), 512u);  // never back
  }
  EXPECT_FALSE(fs::exists(fixture.folder / bundle_path(1, kTileWidth)));
  fixture.fill(10);
  const Verdict verdict =
      fixture.verify({{.note = fixture.read(fixture.anchor), .source = "kept"}}).value();
  EXPECT_EQ(faults_of(verdict), "");
  EXPECT_EQ(verdict.first_kept, 512u);
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
  std::ofstream(fixture.folder / "pruned") << "256\n";
  EXPECT_EQ(faults_of(fixture.verify().value()), "changed_file");
}

}  // namespace
}  // namespace lantern::audit
