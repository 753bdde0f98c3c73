#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace lantern::engine {
namespace {

using arch::ModelInfo;
constexpr int64_t kPage = kernels::kKvPagePositions;

uint64_t page_bytes(kernels::KvType type, int64_t heads, int64_t dim) {
  auto bytes = kernels::kv_page_bytes(type, heads, dim);
  EXPECT_TRUE(bytes.ok());
  return *bytes;
}

bool is_zero(const std::byte* page, uint64_t bytes) {
  return std::all_of(page, page + bytes, [](std::byte b) { return b == std::byte{0}; });
}

TEST(KvCache, GrowsByPagesAndGivesThemBackWhole) {
  const std::vector<ModelInfo::Layer> layers(2, {.n_kv_heads = 2, .head_dim = 32, .value_dim = 64});
  auto pool = KvPool::create(layers, {.type = kernels::KvType::kF16});
  ASSERT_TRUE(pool.ok());
  const uint64_t per_page =
      2 * (page_bytes(kernels::KvType::kF16, 2, 32) + page_bytes(kernels::KvType::kF16, 2, 64));
  EXPECT_EQ(pool->bytes_for(1), per_page);
  EXPECT_EQ(pool->bytes_for(kPage + 1), 2 * per_page);
  {
    KvSequence sequence(*pool);
    ASSERT_TRUE(sequence.reserve(1).ok());
    EXPECT_EQ(pool->bytes_in_use(), per_page);
    ASSERT_TRUE(sequence.reserve(kPage).ok());
    EXPECT_EQ(pool->bytes_in_use(), per_page);
    std::byte* first = sequence.views()[1].key_pages[0];
    ASSERT_TRUE(sequence.reserve(kPage + 1).ok());
    EXPECT_EQ(pool->bytes_in_use(), 2 * per_page);
    EXPECT_EQ(sequence.views()[1].key_pages.size(), 2u);
    EXPECT_EQ(sequence.views()[1].key_pages[0], first);
    EXPECT_EQ(sequence.views()[1].value_dim, 64);
    KvSequence moved(std::move(sequence));
    EXPECT_EQ(moved.positions(), 2 * kPage);
  }
  EXPECT_EQ(pool->bytes_in_use(), 0u);
  EXPECT_EQ(pool->bytes_held(), 2 * per_page);
}

TEST(KvCache, ReusedPagesAreZero) {
  const std::vector<ModelInfo::Layer> layers(1, {.n_kv_heads = 1, .head_dim = 32, .value_dim = 32});
  auto pool = KvPool::create(layers, {.type = kernels::KvType::kF32});
  ASSERT_TRUE(pool.ok());
  const uint64_t bytes = page_bytes(kernels::KvType::kF32, 1, 32);
  {
    KvSequence sequence(*pool);
    ASSERT_TRUE(sequence.reserve(1).ok());
    std::fill_n(sequence.views()[0].key_pages[0], bytes, std::byte{0xAB});
    std::fill_n(sequence.views()[0].value_pages[0], bytes, std::byte{0xAB});
  }
  const uint64_t held = pool->bytes_held();
  KvSequence next(*pool);
  ASSERT_TRUE(next.reserve(1).ok());
  EXPECT_EQ(pool->bytes_held(), held);  // the same memory again
  EXPECT_TRUE(is_zero(next.views()[0].key_pages[0], bytes));
  EXPECT_TRUE(is_zero(next.views()[0].value_pages[0], bytes));
}

TEST(KvCache, PastItsBudgetItSaysSoAndStaysAsItWas) {
  const std::vector<ModelInfo::Layer> layers(3, {.n_kv_heads = 1, .head_dim = 32, .value_dim = 32});
  const uint64_t page = page_bytes(kernels::KvType::kF16, 1, 32);
  auto pool = KvPool::create(layers, {.bytes_max = 6 * page + 3 * page});
  ASSERT_TRUE(pool.ok());
  KvSequence sequence(*pool);
  ASSERT_TRUE(sequence.reserve(kPage).ok());
  auto status = sequence.reserve(2 * kPage);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kExhausted);
  EXPECT_NE(status.error().message.find("KV cache: "), std::string::npos);
  EXPECT_EQ(sequence.positions(), kPage);
  EXPECT_EQ(sequence.views()[0].key_pages.size(), 1u);
  EXPECT_EQ(pool->bytes_in_use(), 6 * page);
  // Memory that an allocation cannot give is the same error, not an exception.
  auto vast = KvPool::create(
      std::vector<ModelInfo::Layer>(
          1, {.n_kv_heads = int64_t{1} << 30, .head_dim = 1 << 13, .value_dim = 1 << 13}),
      {});
  if (vast.ok()) {
    KvSequence impossible(*vast);
    EXPECT_EQ(impossible.reserve(1).error().code, ErrorCode::kExhausted);
  }
}

TEST(KvCache, LeavesTheMachineWhatOthersNeed) {
  const std::vector<ModelInfo::Layer> layers(2, {.n_kv_heads = 2, .head_dim = 32, .value_dim = 32});
  uint64_t left = 0;
  auto pool = KvPool::create(
      layers, {.type = kernels::KvType::kF16, .machine_left = [&left] { return left; }});
  ASSERT_TRUE(pool.ok());
  left = KvPool::kMachineLeast + pool->bytes_for(1);
  KvSequence sequence(*pool);
  ASSERT_TRUE(sequence.reserve(1).ok());
  left = KvPool::kMachineLeast;  // another model took the rest
  const Status more = sequence.reserve(kPage + 1);
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(sequence.positions(), kPage) << "as it was";
  sequence.clear();
  EXPECT_TRUE(sequence.reserve(kPage).ok()) << "kept pages need no new memory";
  EXPECT_TRUE(pool->may_hold(pool->bytes_for(1)));
  EXPECT_FALSE(pool->may_hold(pool->bytes_for(kPage + 1)));
  sequence.clear();
  EXPECT_EQ(pool->release_kept(), pool->bytes_for(1));
  EXPECT_EQ(pool->bytes_held(), 0u);
  EXPECT_FALSE(sequence.reserve(1).ok()) << "what was given back is asked for again";
  left = UINT64_MAX;
  EXPECT_TRUE(sequence.reserve(kPage + 1).ok());
}

TEST(KvCache, GivesBackWhatASlidingWindowHasPassed) {
  const std::vector<ModelInfo::Layer> layers = {
      {.n_kv_heads = 1, .head_dim = 32, .value_dim = 32, .window = 0},
      {.n_kv_heads = 1, .head_dim = 32, .value_dim = 32, .window = 100}};
  const uint64_t page = page_bytes(kernels::KvType::kF16, 1, 32);
  auto pool = KvPool::create(layers, {});
  ASSERT_TRUE(pool.ok());
  KvSequence sequence(*pool);
  ASSERT_TRUE(sequence.reserve(5 * kPage).ok());
  EXPECT_EQ(pool->bytes_in_use(), 20 * page);

  // The query at 4 * kPage sees keys from 4 * kPage - 99 on: page 3, and page 2 is the spare.
  sequence.release_passed(4 * kPage);
  const auto views = sequence.views();
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NE(views[0].key_pages[i], nullptr);
    EXPECT_EQ(views[1].key_pages[i] == nullptr, i < 2) << i;
    EXPECT_EQ(views[1].value_pages[i] == nullptr, i < 2) << i;
  }
  EXPECT_EQ(pool->bytes_in_use(), 16 * page);
  EXPECT_TRUE(sequence.can_resume_at(4 * kPage));
  EXPECT_TRUE(sequence.can_resume_at(2 * kPage + 99));
  EXPECT_FALSE(sequence.can_resume_at(2 * kPage + 98));
  ASSERT_TRUE(sequence.reserve(6 * kPage).ok());
  EXPECT_EQ(sequence.views()[1].key_pages[0], nullptr);
  sequence.clear();
  EXPECT_EQ(pool->bytes_in_use(), 0u);
  EXPECT_TRUE(sequence.can_resume_at(0));
}

}  // namespace
}  // namespace lantern::engine
