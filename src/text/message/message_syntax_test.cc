#include "text/message/message_syntax.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"

namespace lantern::text {
namespace {

using base::OrderedJson;
using testing::HasSubstr;

ChatTemplate read_template(const std::string& name) {
  const auto source = base::read_text_file(
      LANTERN_SOURCE_DIR "/src/text/testdata/tool_templates/" + name + ".jinja", 1u << 20);
  EXPECT_TRUE(source.ok()) << name;
  auto parsed = ChatTemplate::parse(*source);
  EXPECT_TRUE(parsed.ok()) << name;
  return std::move(parsed).value();
}

RenderInput tokens() {
  RenderInput input;
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  return input;
}

bool no_token(std::string_view) { return false; }

MessageSyntax syntax_of(const std::string& name, const TokenTest& is_token = no_token) {
  return find_message_syntax(read_template(name), tokens(), is_token);
}

TEST(MessageSyntax, IsReadOffWhatTheTemplateWrites) {
  for (const char* name :
       {"hermes", "llama", "mistral_list", "mistral_args", "pythonic", "gemma_tool_code", "lfm2"}) {
    const MessageSyntax syntax = syntax_of(name);
    ASSERT_NE(syntax.calls, nullptr) << name << ": " << syntax.no_calls;
    EXPECT_EQ(syntax.calls->name, name);
    EXPECT_TRUE(syntax.writes_calls) << name;
    EXPECT_FALSE(syntax.tools_in_system) << name;
    EXPECT_EQ(syntax.several_calls, std::string_view(name) != "llama") << name;
    EXPECT_EQ(syntax.reasoning != nullptr, std::string_view(name) == "hermes") << name;
  }
}

TEST(MessageSyntax, IsToldByTokensWhereTheTemplateWritesNoCalls) {
  EXPECT_EQ(syntax_of("phi").calls, nullptr);
  const MessageSyntax syntax = syntax_of("phi", [](std::string_view word) {
    return word == "<|tool_call|>" || word == "<|/tool_call|>";
  });
  ASSERT_NE(syntax.calls, nullptr);
  EXPECT_EQ(syntax.calls->name, "phi");
  EXPECT_FALSE(syntax.writes_calls);
  EXPECT_TRUE(syntax.tools_in_system);
}

TEST(MessageSyntax, IsNotGuessed) {
  EXPECT_THAT(syntax_of("none").no_calls, HasSubstr("does not show tools"));
  EXPECT_THAT(syntax_of("unknown").no_calls, HasSubstr("not known here"));
  RenderInput input;
  const Status refused =
      prepare_tools(syntax_of("none"), OrderedJson::array({{{"type", "function"}}}), input);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("tools: this model cannot be given tools"));
  EXPECT_TRUE(prepare_tools(syntax_of("none"), nullptr, input).ok());
}

OrderedJson call(const char* id) {
  return {{"id", id},
          {"type", "function"},
          {"function", {{"name", "weather"}, {"arguments", {{"city", "Rome"}}}}}};
}

RenderInput conversation() {
  RenderInput input = tokens();
  input.messages = {{{"role", "user"}, {"content", "Hello"}},
                    {{"role", "assistant"},
                     {"content", ""},
                     {"tool_calls", OrderedJson::array({call("call_abcdefghijk")})}},
                    {{"role", "tool"}, {"tool_call_id", "call_abcdefghijk"}, {"content", "sunny"}}};
  return input;
}

const OrderedJson& weather_tools() {
  static const OrderedJson kTools = OrderedJson::array(
      {{{"type", "function"},
        {"function",
         {{"name", "weather"}, {"description", ""}, {"parameters", OrderedJson::object()}}}}});
  return kTools;
}

TEST(MessageSyntax, GivesATemplateTheConversationItWants) {
  RenderInput input = conversation();
  const ChatTemplate list = read_template("mistral_list");
  ASSERT_TRUE(prepare_tools(syntax_of("mistral_list"), weather_tools(), input).ok());
  const auto spans = list.render(input);
  ASSERT_TRUE(spans.ok()) << spans.error().message;
  const std::string id = input.messages[2]["tool_call_id"];
  EXPECT_EQ(id.size(), 9u);
  EXPECT_THAT(to_text(*spans), HasSubstr("\"id\": \"" + id + "\"}]</s>"));
  EXPECT_THAT(to_text(*spans), HasSubstr("\"call_id\": \"" + id + "\""));
  EXPECT_THAT(to_text(*spans), HasSubstr("[AVAILABLE_TOOLS][{\"type\": \"function\""));
}

TEST(MessageSyntax, SpellsCallsForATemplateThatDoesNot) {
  RenderInput input = conversation();
  const MessageSyntax syntax = syntax_of("phi", [](std::string_view) { return true; });
  ASSERT_TRUE(prepare_tools(syntax, weather_tools(), input).ok());
  const auto spans = read_template("phi").render(input);
  ASSERT_TRUE(spans.ok()) << spans.error().message;
  EXPECT_THAT(to_text(*spans), HasSubstr("<|tool|>[{\"type\":\"function\""));
  EXPECT_THAT(to_text(*spans),
              HasSubstr("<|assistant|><|tool_call|>[{\"name\": \"weather\", \"arguments\": "
                        "{\"city\":\"Rome\"}}]<|/tool_call|><|end|>"));
}

}  // namespace
}  // namespace lantern::text
