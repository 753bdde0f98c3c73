#include "text/grammar_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace lantern::text {
namespace {

Result<GrammarPtr> find(GrammarCache& cache, const std::string& text) {
  return cache.find_or_make(text, [&] { return Grammar::literal(text); });
}

TEST(GrammarCacheTest, EqualKeysHaveOneGrammar) {
  GrammarCache cache;
  const auto first = find(cache, "one"), again = find(cache, "one"), other = find(cache, "two");
  ASSERT_TRUE(first.ok() && again.ok() && other.ok());
  EXPECT_EQ(*first, *again);
  EXPECT_NE(*first, *other);
  EXPECT_EQ(cache.stats().made, 2u);
  EXPECT_EQ(cache.stats().found, 1u);
}

TEST(GrammarCacheTest, ErrorsAreNotKept) {
  GrammarCache cache;
  EXPECT_FALSE(cache.find_or_make("key", [] { return Grammar::from_regex("("); }).ok());
  EXPECT_EQ(cache.stats().entries, 0u);
  EXPECT_TRUE(cache.find_or_make("key", [] { return Grammar::from_regex("a"); }).ok());
}

TEST(GrammarCacheTest, TheOneThatWasUsedTheLongestAgoGoes) {
  GrammarCache cache({.entries_max = 2});
  for (const char* text : {"one", "two", "one", "three"}) ASSERT_TRUE(find(cache, text).ok());
  EXPECT_EQ(cache.stats().entries, 2u);
  const auto made = cache.stats().made;
  ASSERT_TRUE(find(cache, "one").ok());
  EXPECT_EQ(cache.stats().made, made);
  ASSERT_TRUE(find(cache, "two").ok());
  EXPECT_EQ(cache.stats().made, made + 1);
}

TEST(GrammarCacheTest, StatesAreBoundedAndWhatIsTooLargeIsNotKept) {
  GrammarCache cache({.states_max = 100});
  ASSERT_TRUE(find(cache, std::string(40, 'a')).ok());
  ASSERT_TRUE(find(cache, std::string(40, 'b')).ok());
  EXPECT_LE(cache.stats().states, 100u);
  EXPECT_EQ(cache.stats().entries, 2u);
  ASSERT_TRUE(find(cache, std::string(40, 'c')).ok());
  EXPECT_EQ(cache.stats().entries, 2u);
  ASSERT_TRUE(find(cache, std::string(400, 'd')).ok());
  EXPECT_EQ(cache.stats().entries, 2u);
  EXPECT_LE(cache.stats().states, 100u);
}

}  // namespace
}  // namespace lantern::text
