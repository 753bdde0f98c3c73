// Tools and reasoning in the service, with each family's own template. Over real sockets, with the
// real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/tiny_model.h"
#include "json_schema.h"
#include "program.h"
#include "served_tiny.h"

namespace lantern::tests {
namespace {

using base::OrderedJson;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A tiny model whose template knows tools and reasoning.
engine::TinyModel tools_model(const std::string& syntax = "hermes") {
  std::ifstream in(std::string(LANTERN_SOURCE_DIR) + "/src/text/testdata/tool_templates/" + syntax +
                   ".jinja");
  engine::TinyModel tiny;
  tiny.chat_template = {std::istreambuf_iterator<char>(in), {}};
  tiny.context = 4096;
  return tiny;
}

constexpr const char* kTools =
    R"(,"tools":[{"type":"function","function":{"name":"weather","description":"of a day",
"parameters":{"type":"object","properties":{"city":{"enum":["Rome","Oslo"]},
"days":{"type":"integer","minimum":1,"maximum":9}},"required":["city","days"],
"additionalProperties":false}}}])";

TEST(ServeTools, TellsReasoningApartWholeAndStreamed) {
  const ScopedHome home("serve-reasoning");
  const Served served({}, tools_model());
  const std::string thinking = R"(,"chat_template_kwargs":{"enable_thinking":true})";
  const OrderedJson message = body_of(served.chat("Hi", thinking))["choices"][0]["message"];
  EXPECT_EQ(message["content"], "");
  EXPECT_NE(message["reasoning_content"], "");
  const std::string events = served.chat("Hi", thinking + R"(,"stream":true)");
  std::string streamed;
  for (size_t at = events.find("data: {"); at != std::string::npos;
       at = events.find("data: {", at + 1)) {
    const auto event = base::parse_ordered_json(
        std::string_view(events).substr(at + 6, events.find("\n\n", at) - at - 6), "event");
    ASSERT_TRUE(event.ok());
    streamed += (*event)["choices"][0]["delta"].value("reasoning_content", "");
  }
  EXPECT_EQ(streamed, message["reasoning_content"].get<std::string>());
  const OrderedJson none =
      body_of(served.chat("Hi", R"(,"reasoning_effort":"none")"))["choices"][0]["message"];
  EXPECT_FALSE(none.contains("reasoning_content"));
}

TEST(ServeTools, ShowsToolsAndEarlierCallsToTheModel) {
  const ScopedHome home("serve-tools");
  const Served served({}, tools_model());
  const auto tokens = [&](const std::string& more) {
    const OrderedJson counted = body_of(served.post(
        "/v1/messages/count_tokens", fmt::format(R"({{"model":"{}",{}}})", served.name_, more)));
    return counted.value("input_tokens", int64_t{-1});
  };
  const std::string question = R"("messages":[{"role":"user","content":"Rome?"})";
  const std::string tool =
      R"(,"tools":[{"name":"weather","description":"of a day","input_schema":{"type":"object"}}])";
  const int64_t plain = tokens(question + "]");
  const int64_t with_tool = tokens(question + "]" + tool);
  const int64_t with_call = tokens(
      question +
      R"(,{"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Rome"}}]},
{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"sunny"}]}])" +
      tool);
  EXPECT_GT(plain, 0);
  EXPECT_GT(with_tool, plain + 60);
  EXPECT_GT(with_call, with_tool + 60);
  EXPECT_EQ(tokens(question + "]" + tool + R"(,"tool_choice":{"type":"none"})"), plain);
}

TEST(ServeTools, AForcedCallIsValidAndTheSameAgain) {
  const ScopedHome home("serve-forced");
  const Served served({}, tools_model());
  const std::string more =
      std::string(kTools) +
      R"(,"tool_choice":"required","parallel_tool_calls":false,"max_tokens":400)"
      R"(,"reasoning_effort":"none")";
  const OrderedJson choice = body_of(served.post(
      "/v1/chat/completions",
      fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"Hi"}}],"seed":7{}}})",
                  served.name_, more)))["choices"][0];
  ASSERT_EQ(choice["finish_reason"], "tool_calls") << choice.dump();
  EXPECT_TRUE(choice["message"]["content"].is_null());
  const OrderedJson calls = choice["message"]["tool_calls"];
  ASSERT_GE(calls.size(), 1u);
  for (const OrderedJson& call : calls) {
    EXPECT_EQ(call["function"]["name"], "weather");
    const auto arguments =
        base::parse_json(call["function"]["arguments"].get<std::string>(), "arguments");
    ASSERT_TRUE(arguments.ok());
    EXPECT_EQ(schema_violations(
                  base::Json::parse(std::string(kTools).substr(9))[0]["function"]["parameters"],
                  *arguments),
              "");
  }
}

/// The calls of a stream, put together of their pieces, and why it ended.
OrderedJson calls_streamed(const std::string& events, std::string& reason) {
  OrderedJson calls = OrderedJson::array();
  for (size_t at = events.find("data: {"); at != std::string::npos;
       at = events.find("data: {", at + 1)) {
    const OrderedJson event =
        OrderedJson::parse(events.substr(at + 6, events.find("\n\n", at) - at - 6));
    const OrderedJson& choice = event["choices"][0];
    if (choice["finish_reason"].is_string()) reason = choice["finish_reason"];
    for (const OrderedJson& piece : choice["delta"].value("tool_calls", OrderedJson::array())) {
      const auto index = piece["index"].get<size_t>();
      if (index == calls.size()) {
        calls.push_back(piece);
        calls.back().erase("index");
      } else if (index + 1 == calls.size()) {
        OrderedJson& arguments = calls.back()["function"]["arguments"];
        arguments =
            arguments.get<std::string>() + piece["function"]["arguments"].get<std::string>();
      } else {
        ADD_FAILURE() << "a piece of call " << index << " among " << calls.size();
      }
    }
  }
  return calls;
}

struct Family {
  const char* syntax;
  std::vector<std::string> tokens;
  bool several;
};

class ServeToolsOf : public ::testing::TestWithParam<Family> {};

TEST_P(ServeToolsOf, CallsAreValidWholeAndStreamed) {
  const ScopedHome home("serve-family");
  engine::TinyModel tiny = tools_model(GetParam().syntax);
  tiny.more_tokens = GetParam().tokens;
  const Served served({}, tiny);
  const std::string schema =
      R"({"type":"object","properties":{"city":{"enum":["Rome","Oslo"]},"days":{"type":"integer",)"
      R"("minimum":1,"maximum":9}},"required":["city","days"],"additionalProperties":false})";
  size_t n_most = 0;
  for (int seed = 1; seed <= 8; ++seed) {
    const auto ask = [&](const char* more) {
      return served.post(
          "/v1/chat/completions",
          fmt::format(
              R"({{"model":"{}","messages":[{{"role":"user","content":"Hi"}}],"seed":{},)"
              R"("temperature":2,"max_tokens":300,"tool_choice":"required","reasoning_effort":"none",)"
              R"("tools":[{{"type":"function","function":{{"name":"weather",)"
              R"("parameters":{}}}}},{{"type":"function","function":)"
              R"({{"name":"forecast","parameters":{}}}}}]{}}})",
              served.name_, seed, schema, schema, more));
    };
    const std::string answer = ask("");
    ASSERT_THAT(answer, StartsWith("HTTP/1.1 200")) << answer;
    const OrderedJson choice = body_of(answer)["choices"][0];
    const OrderedJson calls = choice["message"].value("tool_calls", OrderedJson::array());
    std::string reason;
    EXPECT_EQ(calls_streamed(ask(R"(,"stream":true)"), reason), calls);
    EXPECT_EQ(reason, choice["finish_reason"]);
    const bool is_cut = reason == "length";
    ASSERT_GE(calls.size(), 1u) << choice;
    n_most = std::max(n_most, calls.size());
    for (size_t i = 0; i + (is_cut ? 1 : 0) < calls.size(); ++i) {
      const OrderedJson& function = calls[i]["function"];
      EXPECT_THAT(function["name"].get<std::string>(), ::testing::AnyOf("weather", "forecast"));
      const auto arguments =
          base::parse_json(function["arguments"].get<std::string>(), "arguments");
      ASSERT_TRUE(arguments.ok()) << function;
      EXPECT_EQ(schema_violations(base::Json::parse(schema), *arguments), "") << function;
    }
  }
  if (GetParam().several)
    EXPECT_GT(n_most, 1u);
  else
    EXPECT_EQ(n_most, 1u) << "its template takes one call a turn";
}

INSTANTIATE_TEST_SUITE_P(
    EachFamily, ServeToolsOf,
    ::testing::Values(Family{"hermes", {"<tool_call>", "</tool_call>"}, true},
                      Family{"llama", {"<|python_tag|>"}, false},
                      Family{"mistral_list", {"[TOOL_CALLS]"}, true},
                      Family{"mistral_args", {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"}, true},
                      Family{"phi", {"<|tool_call|>", "<|/tool_call|>"}, true},
                      Family{"pythonic", {}, true}, Family{"gemma_tool_code", {}, true},
                      Family{"lfm2", {"<|tool_call_start|>", "<|tool_call_end|>"}, true}),
    [](const auto& family) { return std::string(family.param.syntax); });

TEST(ServeTools, AToolWhoseSchemaIsNotSupportedIsRefusedByItsName) {
  const ScopedHome home("serve-schema");
  const Served served({}, tools_model());
  const std::string answer = served.chat(
      "Hi",
      R"(,"tools":[{"type":"function","function":{"name":"odd","parameters":{"type":"object","unevaluatedItems":false}}}])");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer, HasSubstr("odd"));
  EXPECT_THAT(answer, HasSubstr("unevaluatedItems"));
}

}  // namespace
}  // namespace lantern::tests
