#include "text/message/answer_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace lantern::text {
namespace {

using base::OrderedJson;
using Kind = MessageEvent::Kind;
using testing::HasSubstr;

constexpr ReasoningTags kThink{"<think>", "</think>"};
constexpr TokenId kEnd = 256;

/// Each byte is a token, and one ends the answer.
std::shared_ptr<const GrammarVocabulary> bytes() {
  std::vector<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
  tokens.emplace_back();
  return GrammarVocabulary::create(tokens, std::vector<TokenId>{kEnd});
}

OrderedJson tool(const char* name, const char* schema) {
  return {{"type", "function"},
          {"function", {{"name", name}, {"parameters", OrderedJson::parse(schema)}}}};
}

AnswerGrammarOptions two_tools(const ToolSyntax* syntax) {
  return {.calls = syntax,
          .tools = OrderedJson::array(
              {tool("weather", R"({"type":"object","properties":{"city":{"enum":["Rome","Oslo"]},
                 "sunny":{"type":"boolean"},"days":{"$ref":"#/$defs/few"}},"required":["city"],
                 "additionalProperties":false,"$defs":{"few":{"enum":[1,2,3]}}})"),
               tool("get_time", R"({"type":"object","properties":{"zone":{"const":"CET"},
                 "utc":{"type":"boolean"}},"additionalProperties":false})")})};
}

/// What a model without a mind would answer: any allowed byte, by turns of a seed.
std::string walk(const GrammarPtr& grammar, uint32_t seed, size_t bytes_max) {
  static const auto kBytes = bytes();
  GrammarMatcher matcher(grammar, kBytes);
  std::mt19937 random(seed);
  std::string out;
  while (out.size() < bytes_max) {
    const auto mask = matcher.mask();
    EXPECT_TRUE(mask.ok()) << out;
    if (!mask.ok()) return out;
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id <= kEnd; ++id)
      if ((*mask)->allows(id)) allowed.push_back(id);
    EXPECT_FALSE(allowed.empty()) << out;
    if (allowed.empty()) return out;
    const TokenId id = allowed[random() % allowed.size()];
    EXPECT_TRUE(matcher.accept(id).ok());
    if (id == kEnd) return out;
    out += static_cast<char>(id);
  }
  return out;
}

void check_arguments(const MessageEvent& call, const std::string& arguments) {
  const auto json = base::parse_json(arguments, "arguments");
  ASSERT_TRUE(json.ok() && json->is_object()) << arguments;
  if (call.text == "weather") {
    EXPECT_TRUE((*json)["city"] == "Rome" || (*json)["city"] == "Oslo") << arguments;
    if (json->contains("days")) {
      EXPECT_TRUE((*json)["days"] == 1 || (*json)["days"] == 2 || (*json)["days"] == 3);
    }
  } else if (json->contains("zone")) {
    EXPECT_EQ((*json)["zone"], "CET");
  }
}

TEST(AnswerGrammar, MakesCallsThatTheSyntaxReadsAndTheSchemaAllows) {
  for (const ToolSyntax* syntax : all_tool_syntaxes()) {
    AnswerGrammarOptions options = two_tools(syntax);
    options.required = true;
    const auto grammar = answer_grammar(options);
    ASSERT_TRUE(grammar.ok()) << syntax->name << ": " << grammar.error().message;
    size_t n_calls = 0;
    for (uint32_t seed = 0; seed < 40; ++seed) {
      const std::string text = walk(*grammar, seed, 4000);
      MessageParser parser({.calls = syntax, .tools = {"weather", "get_time"}});
      MessageParser::Events events;
      parser.push(text, events);
      parser.finish(events);
      ASSERT_GE(events.size(), 3u) << syntax->name << ": " << text;
      for (size_t i = 0; i < events.size(); i += 3) {
        ASSERT_EQ(events[i].kind, Kind::kCall) << syntax->name << ": " << text;
        ASSERT_EQ(events[i + 1].kind, Kind::kArguments) << syntax->name << ": " << text;
        check_arguments(events[i], events[i + 1].text);
        ASSERT_EQ(events[i + 2].kind, Kind::kCallEnd) << syntax->name << ": " << text;
        ++n_calls;
      }
    }
    EXPECT_GT(n_calls, 45u) << syntax->name;
  }
}

bool allows(const GrammarPtr& grammar, std::string_view text) {
  static const auto kBytes = bytes();
  GrammarMatcher matcher(grammar, kBytes);
  return matcher.accept_text(text).ok() && matcher.may_end();
}

const ToolSyntax* syntax(std::string_view name) {
  for (const ToolSyntax* one : all_tool_syntaxes())
    if (one->name == name) return one;
  return nullptr;
}

TEST(AnswerGrammar, LeavesTextFreeUntilACallBegins) {
  const auto hermes = answer_grammar(two_tools(syntax("hermes")));
  ASSERT_TRUE(hermes.ok()) << hermes.error().message;
  EXPECT_TRUE(allows(*hermes, ""));
  EXPECT_TRUE(allows(*hermes, "It is <b>sunny</b>, {\"name\": 1} <tool"));
  const std::string call = "<tool_call>\n{\"name\": \"get_time\", \"arguments\": {}}\n</tool_call>";
  EXPECT_TRUE(allows(*hermes, call));
  EXPECT_TRUE(allows(*hermes, "Let me see.\n" + call));
  EXPECT_TRUE(allows(*hermes, call + "\n" + call));
  EXPECT_FALSE(allows(*hermes, "<tool_call>\n{\"name\": \"rm\", \"arguments\": {}}\n</tool_call>"));
  EXPECT_FALSE(allows(*hermes, "<tool_call>"));
  const auto llama = answer_grammar(two_tools(syntax("llama")));
  ASSERT_TRUE(llama.ok());
  EXPECT_TRUE(allows(*llama, "It is {sunny}"));
  EXPECT_TRUE(allows(*llama, "{\"name\": \"get_time\", \"parameters\": {}}"));
  EXPECT_FALSE(allows(*llama, "{\"name\": \"weather\", \"parameters\": {}}"));
}

TEST(AnswerGrammar, TakesOneCallAndOneToolWhereThatIsAsked) {
  AnswerGrammarOptions options = two_tools(syntax("hermes"));
  options.only = "get_time";
  options.required = true;
  options.several = false;
  const auto grammar = answer_grammar(options);
  ASSERT_TRUE(grammar.ok());
  const std::string call = "<tool_call>\n{\"name\": \"get_time\", \"arguments\": {}}\n</tool_call>";
  EXPECT_TRUE(allows(*grammar, call));
  EXPECT_FALSE(allows(*grammar, call + "\n" + call));
  EXPECT_FALSE(allows(*grammar, "Well. " + call));
  EXPECT_FALSE(allows(*grammar,
                      "<tool_call>\n{\"name\": \"weather\", \"arguments\": "
                      "{\"city\":\"Rome\"}}\n</tool_call>"));
}

TEST(AnswerGrammar, LetsTheModelReasonFirst) {
  AnswerGrammarOptions options = two_tools(syntax("hermes"));
  options.reasoning = &kThink;
  options.required = true;
  const std::string call = "<tool_call>\n{\"name\": \"get_time\", \"arguments\": {}}\n</tool_call>";
  const auto closed = answer_grammar(options);
  ASSERT_TRUE(closed.ok());
  EXPECT_TRUE(allows(*closed, "<think>\nhm <tool_call>?\n</think>\n\n" + call));
  EXPECT_TRUE(allows(*closed, call));
  EXPECT_FALSE(allows(*closed, "hm\n</think>\n\n" + call));
  options.in_reasoning = true;
  const auto open = answer_grammar(options);
  ASSERT_TRUE(open.ok());
  EXPECT_TRUE(allows(*open, "hm\n</think>\n\n" + call));
  EXPECT_FALSE(allows(*open, call));
}

TEST(AnswerGrammar, RefusesASchemaByItsTool) {
  for (const char* name : {"hermes", "pythonic"}) {
    AnswerGrammarOptions options = two_tools(syntax(name));
    options.tools.push_back(tool("odd", R"({"type":"object","unevaluatedItems":false})"));
    const auto refused = answer_grammar(options);
    ASSERT_FALSE(refused.ok()) << name;
    EXPECT_THAT(refused.error().message, HasSubstr("tools[2].function.parameters (\"odd\")"));
    EXPECT_THAT(refused.error().message, HasSubstr("unevaluatedItems"));
  }
}

}  // namespace
}  // namespace lantern::text
