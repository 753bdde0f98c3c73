// Every way in which a GGUF file may lie, by name; each has an error of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builders.h"
#include "format/gguf.h"

namespace lantern::corrupt {
namespace {

using format::GgufLimits;
using format::MemorySource;
using format::parse_gguf;
using testing::HasSubstr;
using testing::Not;

struct Case {
  const char* name;
  std::string bytes;
  ErrorCode code;
  const char* message;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

Gguf with_keys(std::vector<Bytes> keys) {
  Gguf file;
  file.keys = std::move(keys);
  return file;
}

Gguf with_tensors(std::vector<GgufTensor> tensors, size_t data_bytes = 4096) {
  Gguf file;
  file.tensors = std::move(tensors);
  file.data_bytes = data_bytes;
  return file;
}

Gguf with_alignment(uint32_t alignment) {
  return with_keys({u32_key("general.alignment", alignment)});
}

Gguf with_counts(uint64_t tensors, uint64_t keys) {
  Gguf file;
  file.claimed_tensors = tensors;
  file.claimed_keys = keys;
  return file;
}

Gguf with_start(std::string magic, uint32_t version) {
  Gguf file;
  file.magic = std::move(magic);
  file.version = version;
  return file;
}

Bytes key_head(std::string_view key, uint32_t type) { return Bytes().string(key).u32(type); }
Bytes array_head(std::string_view key, uint32_t type, uint64_t n) {
  return key_head(key, kArray).u32(type).u64(n);
}

std::vector<Case> preamble_cases() {
  using enum ErrorCode;
  return {
      {"not_gguf", with_start("ABCD", 3).build(), kCorrupt, "magic: \"ABCD\""},
      {"terminal_escape_in_magic", with_start("\x1b[2J", 3).build(), kCorrupt, "\\x1b[2J"},
      {"ggml_of_old", with_start("tjgg", 3).build(), kUnsupported, "from before GGUF"},
      {"magic_swapped", with_start("FUGG", 3).build(), kUnsupported, "big-endian"},
      {"big_endian", with_start("GGUF", 0x03000000).build(), kUnsupported, "big-endian"},
      {"version_0", with_start("GGUF", 0).build(), kUnsupported, "version 0"},
      {"version_1", with_start("GGUF", 1).build(), kUnsupported, "version 1"},
      {"version_4", with_start("GGUF", 4).build(), kUnsupported, "version 4"},
      {"key_count_overflows_an_allocation", with_counts(0, UINT64_MAX - 1).build() + "x", kCorrupt,
       "metadata key count: 18446744073709551614"},
      {"key_count_past_the_file", with_counts(0, 1000).build(), kCorrupt, "metadata key count"},
      {"tensor_count_overflows_an_allocation", with_counts(UINT64_MAX / 2, 0).build(), kCorrupt,
       "tensor count: 9223372036854775807"},
      {"tensor_count_past_the_file", with_counts(1000, 0).build(), kCorrupt, "tensor count"},
  };
}

std::vector<Case> metadata_cases() {
  using enum ErrorCode;
  return {
      {"key_empty", with_keys({u32_key("", 1)}).build(), kCorrupt, "key: is empty"},
      {"key_with_nul", with_keys({u32_key(std::string_view("a\0b", 3), 1)}).build(), kCorrupt,
       "is no text"},
      {"key_not_utf8", with_keys({u32_key("\xff\xfe", 1)}).build(), kCorrupt, "\\xff\\xfe"},
      {"key_past_the_end", with_keys({Bytes().u64(1000).raw("abcdefghij")}).build(), kCorrupt,
       "needs 1000 bytes"},
      {"key_length_wraps", with_keys({Bytes().u64(UINT64_MAX - 8).raw("abcdefghij")}).build(),
       kCorrupt, "needs 18446744073709551607 bytes"},
      {"key_longer_than_the_specification",
       with_keys({u32_key(std::string(65536, 'k'), 1)}).build(), kCorrupt, "65536 bytes"},
      {"key_twice", with_keys({u32_key("same", 1), string_key("same", "x")}).build(), kCorrupt,
       "key same stands twice"},
      {"value_type_unknown", with_keys({key_head("k", 13).u32(0)}).build(), kCorrupt,
       "key k: value type 13"},
      {"value_type_huge", with_keys({key_head("k", UINT32_MAX).u32(0)}).build(), kCorrupt,
       "value type 4294967295"},
      {"string_past_the_end", with_keys({key_head("k", kString).u64(UINT64_MAX).raw("x")}).build(),
       kCorrupt, "key k: needs 18446744073709551615 bytes"},
      {"boolean_of_2", with_keys({key_head("k", kBool).u8(2)}).build(), kCorrupt,
       "boolean of value 2"},
      {"boolean_array_of_2", with_keys({array_head("k", kBool, 2).u8(1).u8(2)}).build(), kCorrupt,
       "element 1 is a boolean of value 2"},
      {"array_of_arrays", with_keys({array_head("k", kArray, 1).u32(kU32).u64(1).u32(0)}).build(),
       kUnsupported, "key k: an array of arrays"},
      {"array_type_unknown", with_keys({array_head("k", 99, 1).u32(0)}).build(), kCorrupt,
       "value type 99"},
      {"array_past_the_end", with_keys({array_head("k", kU32, 3).u32(0)}).build(), kCorrupt,
       "array of 3 elements"},
      {"array_count_wraps", with_keys({array_head("k", kU32, uint64_t{1} << 62).u32(0)}).build(),
       kCorrupt, "array of 4611686018427387904 elements"},
      {"string_array_count_overflows_an_allocation",
       with_keys({array_head("k", kString, UINT64_MAX).u64(0)}).build(), kCorrupt, "array of"},
      {"string_in_array_past_the_end",
       with_keys({array_head("k", kString, 2).string("a").u64(5).raw("b")}).build(), kCorrupt,
       "key k: needs 5 bytes"},
      {"alignment_0", with_alignment(0).build(), kCorrupt, "0 is no power of two"},
      {"alignment_no_power_of_two", with_alignment(48).build(), kCorrupt, "48 is no power of two"},
      {"alignment_huge", with_alignment(1u << 31).build(), kCorrupt, "2147483648, at most"},
      {"alignment_a_string", with_keys({string_key("general.alignment", "32")}).build(), kCorrupt,
       "general.alignment: is no unsigned integer"},
  };
}

std::vector<Case> tensor_cases() {
  using enum ErrorCode;
  constexpr uint64_t k2To32 = uint64_t{1} << 32;
  auto one = [](GgufTensor tensor, size_t data_bytes = 4096) {
    return with_tensors({std::move(tensor)}, data_bytes).build();
  };
  return {
      {"tensor_name_empty", one({.name = ""}), kCorrupt, "name: is empty"},
      {"tensor_name_with_nul", one({.name = std::string("a\0b", 3)}), kCorrupt, "is no text"},
      {"tensor_name_too_long", one({.name = std::string(300, 'n')}), kCorrupt, "300 bytes"},
      {"tensor_name_twice", with_tensors({{}, {.offset = 32}}).build(), kCorrupt,
       "tensor t stands twice"},
      {"five_dimensions", one({.dimensions = {1, 1, 1, 1, 1}}), kCorrupt, "5 dimensions"},
      {"dimension_0", one({.dimensions = {4, 0}}), kCorrupt, "dimension 1 is 0"},
      {"dimension_negative", one({.dimensions = {UINT64_MAX}}), kCorrupt, "overflows"},
      {"product_wraps_to_0", one({.dimensions = {k2To32, k2To32}}), kCorrupt,
       "product of its dimensions overflows"},
      {"product_wraps_to_a_small_number", one({.dimensions = {4, k2To32, k2To32 / 4 + 1}}),
       kCorrupt, "overflows"},
      {"elements_fit_but_bytes_wrap", one({.dimensions = {uint64_t{1} << 62}}), kCorrupt,
       "size of [4611686018427387904] in F32 overflows"},
      {"offset_wraps_with_the_datas_begin", one({.offset = UINT64_MAX - 31}), kCorrupt,
       "overflows"},
      {"offset_outside_of_the_file", one({.offset = 8192}), kCorrupt, "past the end of the file"},
      {"tensor_larger_than_the_file", one({.dimensions = {2048}}), kCorrupt,
       "past the end of the file"},
      {"tensor_without_any_data", one({}, 0), kCorrupt, "past the end of the file"},
      {"offset_misaligned", one({.offset = 16}), kCorrupt, "offset 16 is no multiple"},
      {"tensors_overlap", with_tensors({{.dimensions = {16}}, {.name = "u", .offset = 32}}).build(),
       kCorrupt, "tensors t and u overlap"},
      {"tensors_on_the_same_bytes", with_tensors({{}, {.name = "u"}}).build(), kCorrupt, "overlap"},
      {"one_tensor_inside_another",
       with_tensors({{.dimensions = {256}}, {.name = "u", .offset = 96}}).build(), kCorrupt,
       "tensors t and u overlap"},
      {"type_unknown", one({.type = 12345}), kUnsupported, "tensor t: type 12345 (unknown)"},
      {"type_of_gguf_but_not_ours", one({.type = 16}), kUnsupported, "type 16 (IQ2_XXS)"},
      {"type_removed_from_gguf", one({.type = 4}), kUnsupported, "type 4"},
      {"columns_no_multiple_of_the_block", one({.dimensions = {33}, .type = 2}), kCorrupt,
       "33 values are no multiple of Q4_0's block"},
  };
}

class CorruptGguf : public testing::TestWithParam<Case> {};

TEST_P(CorruptGguf, IsRefusedByName) {
  const Case& c = GetParam();
  auto result = parse_gguf(MemorySource("file.gguf", as_bytes(c.bytes)));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, c.code) << result.error().message;
  EXPECT_THAT(result.error().message, HasSubstr(c.message));
  EXPECT_THAT(result.error().message, HasSubstr("file.gguf: "));
  EXPECT_THAT(result.error().message, Not(HasSubstr("\n")));
}

std::string case_name(const testing::TestParamInfo<Case>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Preamble, CorruptGguf, testing::ValuesIn(preamble_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Metadata, CorruptGguf, testing::ValuesIn(metadata_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Tensors, CorruptGguf, testing::ValuesIn(tensor_cases()), case_name);

Gguf example() {
  Gguf file;
  file.keys = {u32_key("general.alignment", 64), string_key("general.architecture", "llama"),
               array_head("tokens", kString, 2).string("a").string("bc"),
               array_head("types", kU8, 3).u8(1).u8(2).u8(3)};
  file.tensors = {{.name = "a", .dimensions = {8, 2}}, {.name = "b", .offset = 64}};
  file.alignment = 64;
  file.data_bytes = 64 + 16;
  return file;
}

TEST(TruncatedGguf, IsCorruptAtEveryByte) {
  std::string whole = example().build();
  ASSERT_TRUE(parse_gguf(MemorySource("file.gguf", as_bytes(whole))).ok());
  for (size_t n = 0; n < whole.size(); ++n) {
    std::string cut = whole.substr(0, n);
    auto result = parse_gguf(MemorySource("file.gguf", as_bytes(cut)));
    ASSERT_FALSE(result.ok()) << n;
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt) << n << ": " << result.error().message;
    EXPECT_THAT(result.error().message, HasSubstr("file.gguf: ")) << n;
  }
}

TEST(DamagedGguf, EveryBitFlippedEndsInAResult) {
  std::string whole = example().build();
  for (size_t i = 0; i < whole.size() * 8; ++i) {
    std::string flipped = whole;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << (i % 8)));
    auto result = parse_gguf(MemorySource("file.gguf", as_bytes(flipped)));
    if (result.ok()) continue;  // a bit of a name or of the data
    EXPECT_THAT(result.error().message, HasSubstr("file.gguf: "));
  }
}

TEST(GgufPastALimit, IsTooLarge) {
  std::string whole = example().build();
  auto code = [&](GgufLimits limits) {
    auto result = parse_gguf(MemorySource("file.gguf", as_bytes(whole)), limits);
    return result.ok() ? ErrorCode::kInternal : result.error().code;
  };
  EXPECT_EQ(code({.keys = 3}), ErrorCode::kTooLarge);
  EXPECT_EQ(code({.tensors = 1}), ErrorCode::kTooLarge);
  EXPECT_EQ(code({.elements = 4}), ErrorCode::kTooLarge);
  EXPECT_EQ(code({.string_bytes = 4}), ErrorCode::kTooLarge);
  EXPECT_EQ(code({.header_bytes = 200}), ErrorCode::kTooLarge);
}

TEST(TypedGetters, DoNotCastAnArrayOfBytesToScores) {
  std::string bytes = with_keys({array_head("tokenizer.ggml.scores", kU8, 4).u32(0)}).build();
  auto header = parse_gguf(MemorySource("file.gguf", as_bytes(bytes)));
  ASSERT_TRUE(header.ok());
  auto scores = header->metadata.get_floats("tokenizer.ggml.scores");
  ASSERT_FALSE(scores.ok());
  EXPECT_EQ(scores.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(scores.error().message,
              HasSubstr("file.gguf: key tokenizer.ggml.scores is an array"));
}

TEST(TypedGetters, BoundWhatAModelsShapeIsMadeOf) {
  for (uint32_t n : {0u, UINT32_MAX}) {
    std::string bytes = with_keys({u32_key("llama.block_count", n)}).build();
    auto header = parse_gguf(MemorySource("file.gguf", as_bytes(bytes)));
    ASSERT_TRUE(header.ok());
    auto count = header->metadata.get_int("llama.block_count", 1, 4096);
    EXPECT_EQ(count.error().code, ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace lantern::corrupt
