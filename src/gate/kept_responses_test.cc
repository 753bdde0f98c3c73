// Kept responses: found by their caller until they expire, by nobody else, and readable nowhere.
#include "gate/kept_responses.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "format/temporary_folder.h"

namespace lantern::gate {
namespace {

base::UtcTime now;
base::UtcTime test_clock() { return now; }

class KeptResponsesTest : public testing::Test {
 protected:
  void SetUp() override {
    now = base::UtcTime(std::chrono::seconds(1'700'000'000));
    kept_ = open();
  }
  std::unique_ptr<KeptResponses> open() {
    auto kept = KeptResponses::open(folder_.path() / "responses.db",
                                    audit::KeyRing(folder_.path() / "keys"), &test_clock);
    EXPECT_TRUE(kept.ok()) << kept.error().message;
    return std::move(kept).value();
  }

  format::TemporaryFolder folder_;
  std::unique_ptr<KeptResponses> kept_;
  const Caller alice_{.user = "alice"}, bob_{.user = "bob"}, nobody_;
};

TEST_F(KeptResponsesTest, ItsCallerFindsItAlsoAfterARestartAndNobodyElseDoes) {
  ASSERT_TRUE(kept_->keep("resp_1", alice_, "what was said").ok());
  kept_ = open();
  EXPECT_EQ(kept_->find("resp_1", alice_).value(), "what was said");
  for (const Caller& other : {bob_, nobody_}) {
    EXPECT_EQ(kept_->find("resp_1", other).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(kept_->remove("resp_1", other).error().code, ErrorCode::kNotFound);
  }
  EXPECT_EQ(kept_->find("resp_2", alice_).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(kept_->remove("resp_1", alice_).ok());
  EXPECT_EQ(kept_->find("resp_1", alice_).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(kept_->remove("resp_1", alice_).error().code, ErrorCode::kNotFound);
}

TEST_F(KeptResponsesTest, ItExpires) {
  ASSERT_TRUE(kept_->keep("resp_1", alice_, "old").ok());
  now += KeptResponses::kLifetime - std::chrono::seconds(1);
  EXPECT_TRUE(kept_->find("resp_1", alice_).ok());
  now += std::chrono::seconds(1);
  EXPECT_EQ(kept_->find("resp_1", alice_).error().code, ErrorCode::kNotFound);
}

TEST_F(KeptResponsesTest, NothingOfItIsReadableInTheFiles) {
  const std::string secret = "the needle in this haystack";
  ASSERT_TRUE(kept_->keep("resp_1", alice_, secret).ok());
  kept_.reset();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path())) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    EXPECT_EQ(bytes.find("needle"), std::string::npos) << entry.path();
  }
}

TEST_F(KeptResponsesTest, ARowThatWasGivenToAnotherDoesNotOpen) {
  ASSERT_TRUE(kept_->keep("resp_1", alice_, "hers").ok());
  auto database = base::Database::open(folder_.path() / "responses.db", {});
  // The schema is of a later version than none.
  EXPECT_EQ(database.error().code, ErrorCode::kUnsupported);
  const std::array<std::string_view, 1> same = {"SELECT 1"};
  auto open = base::Database::open(folder_.path() / "responses.db", same);
  ASSERT_TRUE(open.ok()) << open.error().message;
  ASSERT_TRUE(open->run("UPDATE response SET caller = 'bob'").ok());
  EXPECT_EQ(kept_->find("resp_1", bob_).error().code, ErrorCode::kCorrupt);
}

TEST_F(KeptResponsesTest, WhatCannotBeKeptIsRefused) {
  EXPECT_EQ(kept_->keep("resp_1", nobody_, "x").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(
      kept_->keep("resp_1", alice_, std::string(KeptResponses::kBytesMax + 1, 'x')).error().code,
      ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace lantern::gate
