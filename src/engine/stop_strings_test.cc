#include "engine/stop_strings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace lantern::engine {
namespace {

TEST(StopStrings, HoldsBackWhatMayBecomeOne) {
  auto stop = StopStrings::create({"</end>", "\n\n"});
  ASSERT_TRUE(stop.ok());
  EXPECT_EQ(stop->push("Hello"), "Hello");
  EXPECT_EQ(stop->push(" <"), " ");
  EXPECT_EQ(stop->push("/en"), "");
  EXPECT_EQ(stop->push("t>\n"), "</ent>");  // it was none; the line break may be
  EXPECT_EQ(stop->push("x</"), "\nx");
  EXPECT_FALSE(stop->stopped());
  EXPECT_EQ(stop->found(), "");
  EXPECT_EQ(stop->push("end> never"), "");
  EXPECT_TRUE(stop->stopped());
  EXPECT_EQ(stop->found(), "</end>");
  EXPECT_EQ(stop->push("more"), "");
  EXPECT_EQ(stop->flush(), "");
}

TEST(StopStrings, TheFirstToBeCompleteCountsAndOfThoseTheLongest) {
  auto first = StopStrings::create({"cd", "bcde"});
  EXPECT_EQ(first->push("abcdef"), "ab");
  auto longest = StopStrings::create({"cd", "bcd"});
  EXPECT_EQ(longest->push("abcdef"), "a");
  auto end = StopStrings::create({"abc"});
  EXPECT_EQ(end->push("xab"), "x");
  EXPECT_EQ(end->flush(), "ab");
}

// Cut anywhere, the shown text is what comes before the stop string that the shortest beginning of
// the whole ends with, and nothing that was shown is ever a part of it.
TEST(StopStrings, DoesNotDependOnWhereTheTextIsCut) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    auto word = [&](size_t n) {
      std::string s;
      for (size_t i = 0; i < n; ++i) s += static_cast<char>('a' + random() % 2);
      return s;
    };
    const std::vector<std::string> strings = {word(1 + random() % 5), word(3 + random() % 5)};
    const std::string text = word(random() % 24);
    size_t first = std::string::npos;
    for (size_t n = 1; n <= text.size() && first == std::string::npos; ++n)
      for (const std::string& s : strings)
        if (std::string_view(text).substr(0, n).ends_with(s)) first = std::min(first, n - s.size());
    const std::string expected = text.substr(0, first);

    auto stop = StopStrings::create(strings);
    ASSERT_TRUE(stop.ok());
    std::string shown;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + random() % 4;
      shown += stop->push(std::string_view(text).substr(at, n));
      ASSERT_TRUE(expected.starts_with(shown));
      at += n;
    }
    EXPECT_EQ(stop->stopped(), first != std::string::npos);
    EXPECT_EQ(shown + stop->flush(), expected);
  }
}

TEST(StopStrings, RefusesWhatCannotBeMeant) {
  EXPECT_EQ(StopStrings::create({""}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(StopStrings::create({std::string(1025, 'x')}).ok());
  EXPECT_FALSE(StopStrings::create(std::vector<std::string>(65, "x")).ok());
  EXPECT_EQ(StopStrings::create({"\xE2\x82"}).error().message, "stop: \\xe2\\x82 is not UTF-8");
  EXPECT_TRUE(StopStrings::create({}).ok());
}

}  // namespace
}  // namespace lantern::engine
