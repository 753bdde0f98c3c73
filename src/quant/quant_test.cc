#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/byte_reader.h"
#include "base/file.h"
#include "quant/dtype.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

TEST(Formats, AreSixteenFoundByIdAndByName) {
  ASSERT_EQ(all_formats().size(), 16u);
  for (const Format* format : all_formats()) {
    EXPECT_EQ(find_format(format->type), format);
    EXPECT_EQ(find_format(format->name), format);
  }
  EXPECT_EQ(find_format(static_cast<DType>(4)), nullptr);
  EXPECT_EQ(find_format("Q4_2"), nullptr);
}

TEST(Formats, RowBytesRefusesWhatTheBlockDoesNotDivide) {
  EXPECT_EQ(*row_bytes(DType::kQ4_K, 512), 288u);
  EXPECT_EQ(*row_bytes(DType::kQ8_0, 0), 0u);
  auto odd = row_bytes(DType::kQ6_K, 288);
  ASSERT_FALSE(odd.ok());
  EXPECT_EQ(odd.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(odd.error().message, "a row of 288 values is no multiple of Q6_K's block of 256");
  EXPECT_FALSE(row_bytes(DType::kF32, std::numeric_limits<uint64_t>::max()).ok());
  EXPECT_EQ(row_bytes(static_cast<DType>(77), 32).error().code, ErrorCode::kUnsupported);
}

// The reference: the compiler's own conversions.
TEST(Half, WidensEveryBinary16) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const auto expected = static_cast<float>(std::bit_cast<_Float16>(half));
    const float got = f16_to_f32(half);
    if (expected != expected) {
      EXPECT_TRUE(got != got) << bits;
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(expected)) << bits;
    }
  }
}

TEST(Half, NarrowsToNearestEven) {
  auto check = [](uint32_t bits) {
    const float value = std::bit_cast<float>(bits);
    if (value != value) return;
    const auto expected = std::bit_cast<uint16_t>(static_cast<_Float16>(value));
    ASSERT_EQ(f32_to_f16(value), expected) << bits;
  };
  for (uint32_t i = 0; i < 1u << 18; ++i) check(i * 16381u);
  // Every binary16, the points half-way to the next, and the neighbours of both.
  for (uint32_t half = 0; half < 0x7c00; ++half) {
    const auto low = std::bit_cast<uint32_t>(f16_to_f32(static_cast<uint16_t>(half)));
    const auto high = half == 0x7bff
                          ? std::bit_cast<uint32_t>(65536.0f)
                          : std::bit_cast<uint32_t>(f16_to_f32(static_cast<uint16_t>(half + 1)));
    const float middle =
        0.5f * (std::bit_cast<float>(low) + std::bit_cast<float>(high));  // exact in binary32
    const auto tie = std::bit_cast<uint32_t>(middle);
    for (uint32_t bits : {low, tie - 1, tie, tie + 1}) {
      check(bits);
      check(bits | 0x80000000u);
    }
  }
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::infinity()), 0x7c00);
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0x7f800001u)) & 0x7fff, 0x7c01);
}

TEST(Half, Bf16KeepsNaNs) {
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x7f800001u)), 0x7fc0);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // a tie, to even
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
}

TEST(Encode, TakesWhatIsNotFinite) {
  std::vector<float> values(32, 1.0f);
  values[3] = std::numeric_limits<float>::quiet_NaN();
  values[7] = std::numeric_limits<float>::infinity();
  values[9] = std::numeric_limits<float>::denorm_min();
  for (DType type : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1}) {
    const Format* format = find_format(type);
    std::vector<std::byte> block(static_cast<size_t>(format->block_bytes));
    format->encode(values.data(), 1, block.data());  // sanitizers watch the conversions
    std::vector<float> tiny(32, std::numeric_limits<float>::denorm_min());
    format->encode(tiny.data(), 1, block.data());
    std::vector<float> back(32);
    format->decode(block.data(), 1, back.data());
    for (float value : back) EXPECT_EQ(value, 0.0f);
  }
}

// quants.bin is written by tools/golden/quants.py with the gguf package.
TEST(Formats, EqualTheGgufPackageBitForBit) {
  auto file = base::read_text_file(LANTERN_SOURCE_DIR "/src/quant/testdata/quants.bin", 1 << 20);
  ASSERT_TRUE(file.ok()) << file.error().message;
  base::ByteReader reader(std::as_bytes(std::span(*file)));
  std::map<uint32_t, int> n_records;
  while (reader.remaining() > 0) {
    const uint32_t kind = *reader.read<uint32_t>("kind");
    const uint32_t type = *reader.read<uint32_t>("type");
    const int64_t n_blocks = *reader.read<uint32_t>("blocks");
    const Format* format = find_format(static_cast<DType>(type));
    ASSERT_NE(format, nullptr) << type;
    const auto n_values = static_cast<size_t>(n_blocks * format->block_size);
    auto blocks = *reader.read_bytes(static_cast<uint64_t>(n_blocks * format->block_bytes), "b");
    auto expected = *reader.read_bytes(n_values * sizeof(float), "values");
    std::vector<float> values(n_values);
    std::memcpy(values.data(), expected.data(), expected.size());
    ++n_records[kind];
    if (kind == 0) {
      std::vector<float> got(n_values);
      format->decode(blocks.data(), n_blocks, got.data());
      for (size_t i = 0; i < n_values; ++i) {
        if (values[i] != values[i] && got[i] != got[i]) continue;  // any NaN is one
        ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(values[i]))
            << format->name << " value " << i;
      }
    } else {
      std::vector<std::byte> got(blocks.size());
      format->encode(values.data(), n_blocks, got.data());
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(got[i], blocks[i]) << format->name << " byte " << i;
    }
  }
  EXPECT_EQ(n_records[0], 16);
  EXPECT_EQ(n_records[1], 5);
}

}  // namespace
}  // namespace lantern::quant
