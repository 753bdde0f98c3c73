#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

namespace lantern::engine {
namespace {

constexpr int64_t kPage = kernels::kKvPagePositions;

class PrefixCacheTest : public ::testing::Test {
 protected:
  explicit PrefixCacheTest(int64_t window = 0)
      : pool_(*KvPool::create(
            std::vector<arch::ModelInfo::Layer>{
                {.n_kv_heads = 1, .head_dim = 32, .value_dim = 32, .window = 0},
                {.n_kv_heads = 1, .head_dim = 32, .value_dim = 32, .window = window}},
            {})) {}

  static std::vector<int32_t> ids(int64_t n, int32_t from = 0) {
    std::vector<int32_t> out(static_cast<size_t>(n));
    std::iota(out.begin(), out.end(), from);
    return out;
  }
  /// Runs `prompt` as a sequence would, from what the cache has of it; returns how much that was.
  int64_t run(const PrefixCache::Scope& scope, const std::vector<int32_t>& prompt) {
    Sequence sequence(pool_);
    auto position = cache_.enter(scope);
    const int64_t gained = cache_.advance(position, prompt, sequence);
    EXPECT_EQ(std::ssize(sequence.ids), gained);
    EXPECT_TRUE(sequence.kv.reserve(std::ssize(prompt)).ok());
    sequence.ids = prompt;
    cache_.leave(position, sequence);
    return gained;
  }
  /// How much the cache has of `prompt`.
  int64_t look(const PrefixCache::Scope& scope, const std::vector<int32_t>& prompt) {
    Sequence sequence(pool_);
    auto position = cache_.enter(scope);
    const int64_t gained = cache_.advance(position, prompt, sequence);
    sequence.ids.clear();
    sequence.kv.clear();
    cache_.leave(position, sequence);
    return gained;
  }

  KvPool pool_;
  PrefixCache cache_{UINT64_MAX};
};

const PrefixCache::Scope kAlice{.name = "alice"};

TEST_F(PrefixCacheTest, FindsTheLongestPrefixToTheId) {
  const auto whole = ids(300);
  EXPECT_EQ(run(kAlice, whole), 0);
  EXPECT_EQ(look(kAlice, whole), 299);
  for (int64_t n : {1, 2, 127, 128, 129, 255, 256, 257, 299}) {
    auto prompt = ids(n);
    EXPECT_EQ(look(kAlice, prompt), n - 1) << n;
    prompt.insert(prompt.end(), 200, 9999);
    EXPECT_EQ(look(kAlice, prompt), n) << n;
  }
  EXPECT_EQ(look(kAlice, ids(300, 1)), 0);
  auto longer = ids(500);
  EXPECT_EQ(run(kAlice, longer), 300);
  EXPECT_EQ(look(kAlice, longer), 499);
}

TEST_F(PrefixCacheTest, FindsWhatHasMostInCommonAmongMany) {
  for (int32_t i = 0; i < 40; ++i) {
    auto prompt = ids(20 + i);
    prompt.insert(prompt.end(), 30, 1000 * (i % 2) + i);
    run(kAlice, prompt);
  }
  for (int32_t i = 0; i < 40; ++i) {
    auto prompt = ids(20 + i);
    prompt.insert(prompt.end(), 25, 1000 * (i % 2) + i);
    prompt.push_back(-1);
    EXPECT_GE(look(kAlice, prompt), 45 + i) << i;
  }
}

TEST_F(PrefixCacheTest, ScopesAreApart) {
  run(kAlice, ids(300));
  EXPECT_EQ(look({.name = "bob"}, ids(300)), 0);
  EXPECT_EQ(look({.name = ""}, ids(300)), 0);
  EXPECT_EQ(look({.name = "alice", .long_rope = true}, ids(300)), 0);
  EXPECT_EQ(look(kAlice, ids(300)), 299);
}

TEST_F(PrefixCacheTest, SharesFullPagesAndCopiesTheRest) {
  run(kAlice, ids(200));
  const uint64_t per_page = pool_.bytes_for(1);
  EXPECT_EQ(pool_.bytes_in_use(), 2 * per_page);
  EXPECT_EQ(cache_.bytes(), 2 * per_page);

  Sequence sequence(pool_);
  auto position = cache_.enter(kAlice);
  ASSERT_EQ(cache_.advance(position, ids(201), sequence), 200);
  EXPECT_EQ(pool_.bytes_in_use(), 3 * per_page);
  // What is written past the shared page reaches nobody else.
  std::memset(sequence.kv.views()[0].key_pages[1], 7, 64);
  Sequence other(pool_);
  auto beside = cache_.enter(kAlice);
  ASSERT_EQ(cache_.advance(beside, ids(201), other), 200);
  EXPECT_EQ(other.kv.views()[0].key_pages[0], sequence.kv.views()[0].key_pages[0]);
  EXPECT_NE(other.kv.views()[0].key_pages[1], sequence.kv.views()[0].key_pages[1]);
  EXPECT_EQ(other.kv.views()[0].key_pages[1][0], std::byte{0});
  cache_.leave(beside, other);
  cache_.leave(position, sequence);
}

TEST_F(PrefixCacheTest, TwoThatRanTheSameKeepOneCopy) {
  Sequence a(pool_), b(pool_);
  auto at_a = cache_.enter(kAlice), at_b = cache_.enter(kAlice);
  for (Sequence* s : {&a, &b}) {
    ASSERT_TRUE(s->kv.reserve(kPage).ok());
    s->ids = ids(kPage);
  }
  cache_.extend(at_a, a);
  cache_.extend(at_b, b);
  EXPECT_EQ(a.kv.views()[0].key_pages[0], b.kv.views()[0].key_pages[0]);
  EXPECT_EQ(pool_.bytes_in_use(), pool_.bytes_for(1));
  cache_.leave(at_a, a);
  cache_.leave(at_b, b);
}

TEST_F(PrefixCacheTest, EvictsTheLeastRecentlyUsedAndNothingHeld) {
  run(kAlice, ids(kPage, 0));
  run(kAlice, ids(2 * kPage, 1000));
  run({.name = "bob"}, ids(kPage, 2000));
  run(kAlice, ids(kPage, 0));  // used again

  Sequence sequence(pool_);
  auto position = cache_.enter({.name = "bob"});
  ASSERT_EQ(cache_.advance(position, ids(kPage + 1, 2000), sequence), kPage);
  EXPECT_TRUE(cache_.evict());  // the second page of the middle one, then its first
  EXPECT_EQ(look(kAlice, ids(2 * kPage, 1000)), kPage);
  EXPECT_TRUE(cache_.evict());
  EXPECT_TRUE(cache_.evict());
  EXPECT_FALSE(cache_.evict());  // bob's is held
  EXPECT_EQ(cache_.bytes(), pool_.bytes_for(1));
  cache_.leave(position, sequence);
  sequence.kv.clear();
  EXPECT_TRUE(cache_.evict());
  EXPECT_FALSE(cache_.evict());
  EXPECT_EQ(cache_.bytes(), 0u);
  EXPECT_EQ(pool_.bytes_in_use(), 0u);
}

TEST_F(PrefixCacheTest, StaysWithinItsBytes) {
  PrefixCache small(3 * pool_.bytes_for(1));
  for (int32_t i = 0; i < 10; ++i) {
    Sequence sequence(pool_);
    auto position = small.enter(kAlice);
    ASSERT_TRUE(sequence.kv.reserve(2 * kPage).ok());
    sequence.ids = ids(2 * kPage, i * 1000);
    small.leave(position, sequence);
    EXPECT_LE(small.bytes(), 3 * pool_.bytes_for(1));
  }
}

class WindowedPrefixCacheTest : public PrefixCacheTest {
 protected:
  WindowedPrefixCacheTest() : PrefixCacheTest(50) {}
};

TEST_F(WindowedPrefixCacheTest, WhatLostItsWindowIsRunAgainAndFilledIn) {
  const auto prompt = ids(3 * kPage);
  run(kAlice, prompt);
  EXPECT_EQ(look(kAlice, ids(3 * kPage + 1)), 3 * kPage);
  const uint64_t before = pool_.bytes_in_use();
  EXPECT_TRUE(cache_.drop_windowed());
  EXPECT_EQ(pool_.bytes_in_use(), before / 2);
  EXPECT_FALSE(cache_.drop_windowed());
  EXPECT_EQ(run(kAlice, prompt), 0);
  EXPECT_EQ(look(kAlice, ids(3 * kPage + 1)), 3 * kPage);
}

}  // namespace
}  // namespace lantern::engine
