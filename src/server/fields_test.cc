#include "server/fields.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lantern::server {
namespace {

using base::OrderedJson;

/// What is said of a body where `read` reads it.
template <typename Read>
std::string fault(const std::string& body, Read read) {
  const auto json = parse_body(body);
  EXPECT_TRUE(json.ok()) << body;
  if (!json.ok()) return {};
  Fields fields(*json);
  read(fields);
  return fields.ok() ? "" : fields.status().error().message;
}

TEST(ParseBody, TakesObjectsAlone) {
  EXPECT_TRUE(parse_body("{}").ok());
  for (const char* body : {"", "[]", "\"text\"", "7", "null", "{", "{}{}", "{\"a\":1,}"}) {
    const auto json = parse_body(body);
    ASSERT_FALSE(json.ok()) << body;
    EXPECT_EQ(json.error().code, ErrorCode::kInvalidArgument) << body;
  }
}

TEST(ParseBody, DepthIsBounded) {
  const auto nested = [](size_t depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_TRUE(parse_body(nested(63)).ok());
  EXPECT_FALSE(parse_body(nested(64)).ok());
  EXPECT_FALSE(parse_body(nested(1'000'000)).ok());
}

TEST(FieldsTest, WhatIsAbsentOrNullLeavesWhatIsThere) {
  const OrderedJson json = {{"n", nullptr}};
  Fields fields(json);
  int64_t n = 7;
  bool flag = true;
  std::string text = "kept";
  fields.read("n", n, 0, 10);
  fields.read("flag", flag);
  fields.read("text", text);
  EXPECT_TRUE(fields.ok());
  EXPECT_EQ(n, 7);
  EXPECT_TRUE(flag);
  EXPECT_EQ(text, "kept");
}

TEST(FieldsTest, WholeNumbersHaveBoundsHoweverTheyAreSpelled) {
  const auto read = [](const std::string& value) {
    int64_t n = -7;
    const std::string said =
        fault("{\"n\":" + value + "}", [&](Fields& fields) { fields.read("n", n, 1, 100); });
    return said.empty() ? std::to_string(n) : said;
  };
  EXPECT_EQ(read("1"), "1");
  EXPECT_EQ(read("100"), "100");
  EXPECT_EQ(read("5.0"), "5");
  EXPECT_EQ(read("1e2"), "100");
  for (const char* value :
       {"0", "101", "-1", "1.5", "1e300", "-1e300", "18446744073709551615", "9223372036854775808"})
    EXPECT_EQ(read(value).find("n: a whole number from 1 to 100 is needed, not "), 0u) << value;
  EXPECT_EQ(read("\"5\""), "n: a whole number from 1 to 100 is needed, not a string");
  EXPECT_EQ(read("true"), "n: a whole number from 1 to 100 is needed, not a boolean");
  EXPECT_EQ(read("[5]"), "n: a whole number from 1 to 100 is needed, not an array");
}

TEST(FieldsTest, NumbersTextsAndFlagsAreWhatTheySay) {
  float x = 0;
  bool flag = false;
  std::string text;
  const auto number = [&](Fields& fields) { fields.read("x", x, 0.0f, 2.0f); };
  EXPECT_EQ(fault("{\"x\":1.5}", number), "");
  EXPECT_EQ(x, 1.5f);
  EXPECT_NE(fault("{\"x\":2.01}", number), "");
  EXPECT_NE(fault("{\"x\":-0.01}", number), "");
  EXPECT_NE(fault("{\"x\":\"1\"}", number), "");
  EXPECT_EQ(fault("{\"f\":1}", [&](Fields& fields) { fields.read("f", flag); }),
            "f: true or false is needed, not 1");
  const auto short_text = [&](Fields& fields) { fields.read("t", text, 3); };
  EXPECT_EQ(fault("{\"t\":\"abc\"}", short_text), "");
  EXPECT_EQ(fault("{\"t\":\"abcd\"}", short_text), "t: longer than 3 bytes");
  EXPECT_EQ(fault("{\"t\":{}}", short_text), "t: a string is needed, not an object");
}

TEST(FieldsTest, SeedsAreAll64Bits) {
  const auto seed = [](const std::string& value) {
    std::optional<uint64_t> out;
    EXPECT_EQ(fault("{\"s\":" + value + "}", [&](Fields& fields) { fields.read_seed("s", out); }),
              "");
    return out;
  };
  EXPECT_EQ(seed("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(seed("-1"), UINT64_MAX);
  EXPECT_EQ(seed("null"), std::nullopt);
  std::optional<uint64_t> out;
  EXPECT_NE(fault("{\"s\":1.5}", [&](Fields& fields) { fields.read_seed("s", out); }), "");
}

TEST(FieldsTest, OneStringOrSeveral) {
  std::vector<std::string> out;
  const auto read = [&](Fields& fields) { fields.read_strings("s", out, 2); };
  EXPECT_EQ(fault(R"({"s":"a"})", read), "");
  EXPECT_EQ(out, std::vector<std::string>{"a"});
  EXPECT_EQ(fault(R"({"s":["a","b"]})", read), "");
  EXPECT_EQ(out, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(fault(R"({"s":["a","b","c"]})", read), "s: at most 2 are taken");
  EXPECT_NE(fault(R"({"s":["a",1]})", read), "");
  EXPECT_NE(fault(R"({"s":7})", read), "");
}

TEST(FieldsTest, TheFirstFaultSaysEverythingAndWhereItIs) {
  const OrderedJson json = {{"a", 1}, {"b", 2}};
  Fields fields(json, "messages[3]");
  std::string text;
  fields.read("a", text);
  fields.read("b", text);
  ASSERT_FALSE(fields.ok());
  EXPECT_EQ(fields.status().error().message, "messages[3].a: a string is needed, not 1");
  EXPECT_EQ(field_of(fields.status().error().message), "messages[3].a");
  EXPECT_EQ(field_of("no field here"), "");

  const OrderedJson none = 7;
  Fields of_none(none, "tool_choice");
  EXPECT_EQ(of_none.find("a"), nullptr);
  EXPECT_EQ(of_none.status().error().message, "tool_choice: an object is needed, not a number");
}

TEST(FieldsTest, WhatNobodyAskedForIsUnknown) {
  const OrderedJson json = {{"known", 1}, {"ignored", 2}, {"other", 3}};
  Fields fields(json);
  EXPECT_NE(fields.find("known"), nullptr);
  fields.ignore({"ignored", "not even there"});
  EXPECT_EQ(fields.unknown(), "other");
  EXPECT_EQ(fields.object("other"), nullptr);
  EXPECT_EQ(fields.unknown(), std::nullopt);
  EXPECT_FALSE(fields.ok()) << "it was no object";
}

}  // namespace
}  // namespace lantern::server
