#include "format/metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace lantern::format {
namespace {

using testing::HasSubstr;

Metadata example() {
  Metadata metadata("m.gguf");
  metadata.set("count", uint64_t{7});
  metadata.set("negative", int64_t{-7});
  metadata.set("huge", std::numeric_limits<uint64_t>::max());
  metadata.set("eps", 1e-5);
  metadata.set("nan", std::numeric_limits<double>::quiet_NaN());
  metadata.set("flag", true);
  metadata.set("name", std::string("x"));
  metadata.set("bytes", std::vector<uint64_t>{1, 2, 3}, MetadataType::kUint8);
  metadata.set("scores", std::vector<float>{0.5f});
  metadata.set("tokens", StringArray{"a", "", "ccc"});
  return metadata;
}

template <typename T>
void expect_error(const Result<T>& result, ErrorCode code, std::string_view part) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, code);
  EXPECT_THAT(result.error().message, HasSubstr(std::string(part)));
  EXPECT_THAT(result.error().message, HasSubstr("m.gguf"));
}

TEST(Metadata, GivesWhatWasAdded) {
  Metadata metadata = example();
  EXPECT_EQ(*metadata.get_int("count", 0, 10), 7);
  EXPECT_EQ(*metadata.get_int("negative", -10, 10), -7);
  EXPECT_EQ(*metadata.get_float("eps"), 1e-5);
  EXPECT_EQ(*metadata.get_float("count"), 7.0);
  EXPECT_EQ(*metadata.get_bool("flag"), true);
  EXPECT_EQ(*metadata.get_string("name"), "x");
  EXPECT_EQ((**metadata.get_strings("tokens"))[2], "ccc");
  EXPECT_EQ(*metadata.get_floats("scores"), std::vector<float>{0.5f});
  EXPECT_EQ(*metadata.get_ints("bytes", 0, 3), (std::vector<int64_t>{1, 2, 3}));
}

TEST(Metadata, SaysWhatIsWrong) {
  Metadata metadata = example();
  expect_error(metadata.get_int("no", 0, 1), ErrorCode::kNotFound, "no is missing");
  expect_error(metadata.get_int("count", 0, 6), ErrorCode::kCorrupt, "7, not within 0 to 6");
  expect_error(metadata.get_int("huge", 0, 6), ErrorCode::kCorrupt, "18446744073709551615");
  expect_error(metadata.get_int("name", 0, 6), ErrorCode::kCorrupt, "is a string");
  expect_error(metadata.get_float("nan"), ErrorCode::kCorrupt, "finite");
  expect_error(metadata.get_bool("count"), ErrorCode::kCorrupt, "a boolean is needed");
  expect_error(metadata.get_floats("bytes"), ErrorCode::kCorrupt, "an array of floats is needed");
  expect_error(metadata.get_strings("name"), ErrorCode::kCorrupt, "an array of strings is needed");
  expect_error(metadata.get_ints("bytes", 0, 2), ErrorCode::kCorrupt, "element 2 is 3");
  EXPECT_EQ(metadata.add("flag", false).error().code, ErrorCode::kCorrupt);
}

TEST(Metadata, DefaultsAreForMissingKeysOnly) {
  Metadata metadata = example();
  EXPECT_EQ(*metadata.get_int_or("no", 0, 1, 1), 1);
  EXPECT_EQ(*metadata.get_string_or("no", "d"), "d");
  expect_error(metadata.get_int_or("name", 0, 1, 1), ErrorCode::kCorrupt, "is a string");
}

TEST(Metadata, LayersTakeOneForAllOrOneEach) {
  Metadata metadata = example();
  EXPECT_EQ(*metadata.get_ints_per_layer("count", 2, 0, 9), (std::vector<int64_t>{7, 7}));
  EXPECT_EQ(*metadata.get_ints_per_layer("bytes", 3, 0, 9), (std::vector<int64_t>{1, 2, 3}));
  expect_error(metadata.get_ints_per_layer("bytes", 4, 0, 9), ErrorCode::kCorrupt,
               "3 elements for 4 layers");
}

TEST(Metadata, AnEmptyArrayHasEveryType) {
  Metadata metadata("m.gguf");
  metadata.set("empty", std::vector<uint64_t>{});
  EXPECT_TRUE((*metadata.get_strings("empty"))->empty());
  EXPECT_TRUE(metadata.get_floats("empty")->empty());
  EXPECT_TRUE(metadata.get_bools("empty")->empty());
}

TEST(Metadata, UsualTypesAreTheNarrowOnes) {
  EXPECT_EQ(usual_type(uint64_t{4294967295}), MetadataType::kUint32);
  EXPECT_EQ(usual_type(uint64_t{4294967296}), MetadataType::kUint64);
  EXPECT_EQ(usual_type(int64_t{-2147483648}), MetadataType::kInt32);
  EXPECT_EQ(usual_type(int64_t{2147483648}), MetadataType::kInt64);
  EXPECT_EQ(usual_type(std::vector<int64_t>{-1, 2147483648}), MetadataType::kInt64);
  EXPECT_EQ(usual_type(1.0), MetadataType::kFloat32);
  EXPECT_EQ(usual_type(StringArray{}), MetadataType::kString);
}

}  // namespace
}  // namespace lantern::format
