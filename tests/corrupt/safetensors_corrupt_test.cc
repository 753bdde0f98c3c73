// Every way in which a safetensors file may lie, by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builders.h"
#include "format/safetensors.h"

namespace lantern::corrupt {
namespace {

using format::MemorySource;
using format::parse_safetensors;
using format::SafetensorsLimits;
using testing::HasSubstr;
using testing::Not;

struct Case {
  const char* name;
  std::string bytes;
  ErrorCode code;
  const char* message;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

/// One tensor of these fields.
std::string one(std::string_view fields, size_t data_bytes = 8) {
  return safetensors("{\"t\":{" + std::string(fields) + "}}", data_bytes);
}

std::vector<Case> structure_cases() {
  using enum ErrorCode;
  return {
      {"empty_file", "", kCorrupt, "header length"},
      {"header_length_past_the_end", Bytes().u64(100).raw("{}").text(), kCorrupt,
       "needs 100 bytes"},
      {"header_length_past_the_limit", Bytes().u64(100'000'001).raw("{}").text(), kTooLarge,
       "header length: 100000001"},
      {"header_length_wraps", Bytes().u64(UINT64_MAX).raw("{}").text(), kTooLarge, "header length"},
      {"header_empty", safetensors("", 0), kCorrupt, "does not begin with {"},
      {"header_an_array", safetensors("[]", 0), kCorrupt, "does not begin with {"},
      {"header_begins_with_a_space", safetensors(" {}", 0), kCorrupt, "does not begin with {"},
      {"header_no_json", safetensors("{\"t\":", 0), kCorrupt, "not valid JSON"},
      {"header_with_something_after_it", safetensors("{}{}", 0), kCorrupt, "not valid JSON"},
      {"header_not_utf8", safetensors("{\"\xff\":{}}", 0), kCorrupt, "not valid JSON"},
      {"nested_by_the_thousand", safetensors("{\"t\":" + std::string(100'000, '['), 0), kCorrupt,
       "tensor t: is an array"},
      {"objects_by_the_thousand",
       [] {
         std::string header;
         for (int i = 0; i < 10'000; ++i) header += "{\"a\":";
         return safetensors(header, 0);
       }(),
       kUnsupported, "unknown key a"},
      {"data_without_tensors", safetensors("{}", 1), kCorrupt, "1 bytes after the last"},
      {"metadata_of_numbers", safetensors("{\"__metadata__\":{\"a\":1}}", 0), kCorrupt,
       "a string is needed"},
      {"metadata_key_twice", safetensors("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0), kCorrupt,
       "key a stands twice"},
      {"metadata_twice", safetensors("{\"__metadata__\":{},\"__metadata__\":{}}", 0), kCorrupt,
       "__metadata__ stands twice"},
      {"metadata_no_object", safetensors("{\"__metadata__\":\"a\"}", 0), kCorrupt,
       "an object is needed"},
  };
}

std::vector<Case> tensor_cases() {
  using enum ErrorCode;
  constexpr const char* kF32x2 = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  auto two = [](std::string_view a, std::string_view b, size_t data_bytes) {
    auto tensor = [](std::string_view name, std::string_view offsets) {
      return "\"" + std::string(name) + R"(":{"dtype":"F32","shape":[2],"data_offsets":)" +
             std::string(offsets) + "}";
    };
    return safetensors("{" + tensor("a", a) + "," + tensor("b", b) + "}", data_bytes);
  };
  return {
      {"tensor_no_object", safetensors("{\"t\":5}", 0), kCorrupt, "tensor t: is a number"},
      {"tensor_twice",
       safetensors("{\"t\":{" + std::string(kF32x2) +
                       R"(},"t":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
                   16),
       kCorrupt, "tensor t stands twice"},
      {"field_missing", one(R"("dtype":"F32","shape":[2])"), kCorrupt, "are needed"},
      {"field_twice", one(R"("dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8])"),
       kCorrupt, "key dtype stands twice"},
      {"field_unknown", one(std::string(kF32x2) + R"(,"scale":1)"), kUnsupported,
       "unknown key scale"},
      {"dtype_not_ours", one(R"("dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8])"), kUnsupported,
       "tensor t: dtype F8_E4M3"},
      {"dtype_a_number", one(R"("dtype":1,"shape":[2],"data_offsets":[0,8])"), kCorrupt,
       "key dtype: a number is out of place"},
      {"shape_negative", one(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), kCorrupt,
       "key shape: a negative number"},
      {"shape_fractional", one(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), kCorrupt,
       "key shape: a fraction"},
      {"shape_nested", one(R"("dtype":"F32","shape":[[2]],"data_offsets":[0,8])"), kCorrupt,
       "key shape: an array is out of place"},
      {"shape_product_wraps",
       one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8])"), kCorrupt,
       "overflows"},
      {"shape_product_wraps_before_a_zero",
       one(R"("dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0])", 0), kCorrupt,
       "overflows"},
      {"bytes_wrap", one(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8])"),
       kCorrupt, "overflows"},
      {"shape_of_too_many_dimensions",
       one(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8])"), kCorrupt,
       "too many dimensions"},
      {"shape_larger_than_its_data", one(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
       kCorrupt, "hold 8 bytes, its shape [3] needs 12"},
      {"offsets_reversed", one(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), kCorrupt,
       "two numbers in order"},
      {"offsets_of_three", one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])"), kCorrupt,
       "more than two numbers"},
      {"offsets_of_one", one(R"("dtype":"F32","shape":[2],"data_offsets":[8])"), kCorrupt,
       "two numbers in order"},
      {"data_past_the_end", one(kF32x2, 7), kCorrupt, "the file has 7 bytes of data"},
      {"data_at_the_far_end",
       one(R"("dtype":"F32","shape":[2],"data_offsets":[18446744073709551607,18446744073709551615])"),
       kCorrupt, "with a hole"},
      {"data_left_over", one(kF32x2, 9), kCorrupt, "1 bytes after the last"},
      {"hole_before_the_first", one(R"("dtype":"F32","shape":[2],"data_offsets":[1,9])", 9),
       kCorrupt, "with a hole"},
      {"hole_between", two("[0,8]", "[12,20]", 20), kCorrupt, "with a hole"},
      {"overlap", two("[0,8]", "[4,12]", 12), kCorrupt, "overlapping"},
      {"same_bytes", two("[0,8]", "[0,8]", 8), kCorrupt, "overlapping"},
  };
}

class CorruptSafetensors : public testing::TestWithParam<Case> {};

TEST_P(CorruptSafetensors, IsRefusedByName) {
  const Case& c = GetParam();
  auto result = parse_safetensors(MemorySource("file.safetensors", as_bytes(c.bytes)));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, c.code) << result.error().message;
  EXPECT_THAT(result.error().message, HasSubstr(c.message));
  EXPECT_THAT(result.error().message, HasSubstr("file.safetensors: "));
  EXPECT_THAT(result.error().message, Not(HasSubstr("\n")));
}

std::string case_name(const testing::TestParamInfo<Case>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Structure, CorruptSafetensors, testing::ValuesIn(structure_cases()),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Tensors, CorruptSafetensors, testing::ValuesIn(tensor_cases()), case_name);

std::string example() {
  return safetensors(
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"BF16","shape":[2,2],"data_offsets":[8,16]}}  )",
      16);
}

TEST(TruncatedSafetensors, IsCorruptAtEveryByte) {
  std::string whole = example();
  ASSERT_TRUE(parse_safetensors(MemorySource("file.safetensors", as_bytes(whole))).ok());
  for (size_t n = 0; n < whole.size(); ++n) {
    std::string cut = whole.substr(0, n);
    auto result = parse_safetensors(MemorySource("file.safetensors", as_bytes(cut)));
    ASSERT_FALSE(result.ok()) << n;
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt) << n << ": " << result.error().message;
  }
  // The header cut, its length honest.
  std::string header = whole.substr(8, whole.size() - 8 - 16);
  for (size_t n = 0; n + 2 < header.size(); ++n) {  // its two last bytes are padding
    std::string cut = safetensors(header.substr(0, n), 16);
    EXPECT_FALSE(parse_safetensors(MemorySource("file.safetensors", as_bytes(cut))).ok()) << n;
  }
}

TEST(SafetensorsPastALimit, IsTooLarge) {
  std::string whole = example();
  auto code = [&](SafetensorsLimits limits) {
    auto result = parse_safetensors(MemorySource("file.safetensors", as_bytes(whole)), limits);
    return result.ok() ? ErrorCode::kInternal : result.error().code;
  };
  EXPECT_EQ(code({.header_bytes = 10}), ErrorCode::kTooLarge);
  EXPECT_EQ(code({.tensors = 1}), ErrorCode::kTooLarge);
  EXPECT_EQ(code({.metadata_entries = 0}), ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace lantern::corrupt
