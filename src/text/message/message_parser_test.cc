#include "text/message/message_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace lantern::text {
namespace {

using base::OrderedJson;
using Kind = MessageEvent::Kind;
using Events = MessageParser::Events;

constexpr ReasoningTags kThink{"<think>", "</think>"};

const ToolSyntax* syntax(std::string_view name) {
  for (const ToolSyntax* one : all_tool_syntaxes())
    if (one->name == name) return one;
  ADD_FAILURE() << name;
  return nullptr;
}

MessageParserOptions with(std::string_view name) {
  return {
      .calls = syntax(name), .tools = {"weather", "get_time", "send-mail"}, .reasoning = &kThink};
}

/// Neighbours of one kind joined, as a reader of the stream would.
Events joined(const Events& events) {
  Events out;
  for (const MessageEvent& event : events) {
    const bool piece = event.kind != Kind::kCall && event.kind != Kind::kCallEnd;
    if (piece && !out.empty() && out.back().kind == event.kind)
      out.back().text += event.text;
    else
      out.push_back(event);
  }
  return out;
}

/// Words between ⟦ and ⟧ are given as special tokens; `step` bytes of text at a time.
Events parsed(const MessageParserOptions& options, std::string_view text, size_t step = 1u << 30) {
  MessageParser parser(options);
  Events all;
  const auto add = [&](auto&& call) {
    Events events;
    call(events);
    all.insert(all.end(), events.begin(), events.end());
  };
  constexpr std::string_view kOpen = "⟦", kClose = "⟧";
  while (!text.empty()) {
    const size_t at = text.find(kOpen);
    std::string_view plain = text.substr(0, at);
    text.remove_prefix(plain.size());
    for (; !plain.empty(); plain.remove_prefix(std::min(step, plain.size())))
      add([&](Events& events) { parser.push(plain.substr(0, step), events); });
    if (text.empty()) break;
    const size_t end = text.find(kClose);
    add([&](Events& events) {
      parser.push_token(text.substr(kOpen.size(), end - kOpen.size()), events);
    });
    text.remove_prefix(end + kClose.size());
  }
  add([&](Events& events) { parser.finish(events); });
  return joined(all);
}

std::string shown(const Events& events) {
  std::string out;
  for (const MessageEvent& event : events) {
    if (event.kind == Kind::kText) out += "text:" + event.text + "|";
    if (event.kind == Kind::kReasoning) out += "reasoning:" + event.text + "|";
    if (event.kind == Kind::kCall) out += "call:" + event.text + "|";
    if (event.kind == Kind::kArguments) out += event.text + "|";
    if (event.kind == Kind::kCallEnd) out += "end|";
  }
  return out;
}

struct Case {
  std::string_view syntax, text, events;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.syntax << ": " << c.text; }

class Parses : public ::testing::TestWithParam<Case> {};

TEST_P(Parses, TheEventsNamedHowEverItIsCut) {
  const auto& [name, text, events] = GetParam();
  const MessageParserOptions options = with(name);
  EXPECT_EQ(shown(parsed(options, text)), events);
  for (size_t step = 1; step <= 7; ++step)
    EXPECT_EQ(shown(parsed(options, text, step)), events) << step << " bytes at a time";
}

INSTANTIATE_TEST_SUITE_P(
    All, Parses,
    ::testing::Values(
        Case{"hermes", "Hello there", "text:Hello there|"},
        Case{"hermes", " \n spaced \n ", "text: \n spaced \n |"},
        Case{"hermes", "<think>\nhm\n\nso\n</think>\n\nYes", "reasoning:hm\n\nso|text:Yes|"},
        Case{"hermes", "Yes <think>no</think>", "text:Yes <think>no</think>|"},
        Case{"hermes", "<think></think>\n\n  Yes", "text:Yes|"},
        Case{"hermes", "<think>cut off\n", "reasoning:cut off|"},
        Case{"hermes", "a < b <thin and <tool_cal", "text:a < b <thin and <tool_cal|"},
        Case{"hermes",
             "Sure.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
             "\"Rome\"}}\n</tool_call>",
             "text:Sure.|call:weather|{\"city\": \"Rome\"}|end|"},
        Case{"hermes",
             "<tool_call>{\"arguments\": {\"a\": [1, {}]}, \"name\": \"get_time\"}</tool_call>\n "
             "tail",
             "call:get_time|{\"a\": [1, {}]}|end|text:tail|"},
        Case{"hermes",
             "<tool_call>{\"name\":\"weather\"}</tool_call><tool_call>{\"name\":\"get_time\"}</"
             "tool_call>",
             "call:weather|{}|end|call:get_time|{}|end|"},
        Case{"hermes", "<tool_call>{\"name\": \"rm_rf\", \"arguments\": {}}</tool_call>",
             "text:<tool_call>{\"name\": \"rm_rf\", \"arguments\": {}}</tool_call>|"},
        Case{"hermes", "x\n\n<tool_call><tool_call>{\"name\":\"weather\"}</tool_call>",
             "text:x\n\n<tool_call>|call:weather|{}|end|"},
        Case{"hermes", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\": \"Ro",
             "call:weather|{\"city\": \"Ro|end|"},
        Case{"hermes",
             "<tool_call>{\"name\": \"weather\", \"arguments\": {\"city\" 1}}</tool_call>",
             "call:weather|{\"city\" |end|text:1}}</tool_call>|"},
        Case{"hermes", "<tool_call>{\"name\": \"weather\", \"arguments\": {\"code\": \"a\nb\"}}",
             "call:weather|{\"code\": \"a\\nb\"}|end|"},
        Case{"hermes", "<tool_call>{\"name\": \"weather\", \"name\": \"get_time\"}",
             "call:weather|end|text:, \"name\": \"get_time\"}|"},
        Case{"hermes", "<tool_call>{\"answer\": {\"name\": \"weather\"}}",
             "text:<tool_call>{\"answer\": {\"name\": \"weather\"}}|"},
        Case{"hermes", "<tool_call>[]</tool_call>", "text:<tool_call>[]</tool_call>|"},
        Case{"hermes", "<tool_call>{\"name\":\"weather\"} and so on",
             "call:weather|{}|end|text:and so on|"},
        Case{"llama", "{\"name\": \"weather\", \"parameters\": {\"city\": \"Rome\"}}",
             "call:weather|{\"city\": \"Rome\"}|end|"},
        Case{"llama",
             "{\"name\": \"weather\", \"parameters\": {}}; {\"name\": \"get_time\", "
             "\"parameters\": {}}",
             "call:weather|{}|end|call:get_time|{}|end|"},
        Case{"llama", "{\"type\": \"function\", \"name\": \"weather\", \"parameters\": {}}",
             "call:weather|{}|end|"},
        Case{"llama", "Use {\"name\": \"weather\", \"parameters\": {}}",
             "text:Use {\"name\": \"weather\", \"parameters\": {}}|"},
        Case{"llama", "{\"answer\": 42}", "text:{\"answer\": 42}|"},
        Case{"llama", "<|python_tag|>weather.call(city=\"Rome\", days=3)",
             "call:weather|{\"city\": \"Rome\", \"days\": 3}|end|"},
        Case{"llama", "<|python_tag|>{\"name\": \"weather\", \"parameters\": {}}",
             "call:weather|{}|end|"},
        Case{"llama", "<|python_tag|>print(1)", "text:<|python_tag|>print(1)|"},
        Case{"mistral_list",
             "[TOOL_CALLS] [{\"name\": \"weather\", \"arguments\": {\"a\": 1}, \"id\": "
             "\"abcdefghi\"}, {\"name\": \"get_time\", \"arguments\": {}}]",
             "call:weather|{\"a\": 1}|end|call:get_time|{}|end|"},
        Case{"mistral_list", "[TOOL_CALLS]weather[ARGS]{}", "text:[TOOL_CALLS]weather[ARGS]{}|"},
        Case{"mistral_args",
             "[TOOL_CALLS]weather[ARGS]{\"a\": 1}[TOOL_CALLS]get_time[CALL_ID]x[ARGS]{}",
             "call:weather|{\"a\": 1}|end|call:get_time|{}|end|"},
        Case{"mistral_args", "[TOOL_CALLS]rm[ARGS]{}", "text:[TOOL_CALLS]rm[ARGS]{}|"},
        Case{"phi", "<|tool_call|>[{\"name\": \"weather\", \"arguments\": {}}]<|/tool_call|>",
             "call:weather|{}|end|"},
        Case{"pythonic", "[weather(city='Ro\"me', ok=True), get_time()]",
             "call:weather|{\"city\": \"Ro\\\"me\", \"ok\": true}|end|call:get_time|{}|end|"},
        Case{"pythonic", "[1, 2, 3]", "text:[1, 2, 3]|"},
        Case{"pythonic", "[weather(city=Rome)]", "call:weather|{\"city\": |end|text:Rome)]|"},
        Case{"pythonic", "[weather(a={'b': [None, -1.5, .5]}, b='\\x41\\u00fc\\'\\q')]",
             "call:weather|{\"a\": {\"b\": [null, -1.5, 0.5]}, \"b\": "
             "\"\\u0041\\u00fc'\\\\q\"}|end|"},
        Case{"pythonic", "[weather(a=1, a=2)]", "call:weather|{\"a\": 1|end|text:a=2)]|"},
        Case{"gemma_tool_code",
             "Let me look.\n```tool_code\nprint(weather(city=\"Rome\"))\nget_time()\n```\nDone.",
             "text:Let me look.|call:weather|{\"city\": "
             "\"Rome\"}|end|call:get_time|{}|end|text:Done.|"},
        Case{"gemma_tool_code", "```tool_code\nimport os\n```",
             "text:```tool_code\nimport os\n```|"},
        Case{"gemma_tool_code", "```python\nweather()\n```", "text:```python\nweather()\n```|"},
        Case{"lfm2", "<|tool_call_start|>[weather(city=\"Rome\")]<|tool_call_end|>Wait.",
             "call:weather|{\"city\": \"Rome\"}|end|text:Wait.|"}));

TEST(MessageParser, CallsWhatTransformersWrites) {
  const auto file =
      base::read_text_file(LANTERN_SOURCE_DIR "/src/text/testdata/tool_calls.json", 4u << 20);
  ASSERT_TRUE(file.ok());
  const auto cases = base::parse_ordered_json(*file, "tool_calls.json");
  ASSERT_TRUE(cases.ok());
  ASSERT_GE(cases->size(), 90u);
  for (const OrderedJson& c : *cases) {
    const MessageParserOptions options = with(c["syntax"].get<std::string>());
    const auto text = c["text"].get<std::string>();
    const Events events = parsed(options, text);
    EXPECT_EQ(parsed(options, text, 1), events) << text;
    std::string content, reasoning;
    OrderedJson calls = OrderedJson::array();
    for (const MessageEvent& event : events) {
      if (event.kind == Kind::kText) content += event.text;
      if (event.kind == Kind::kReasoning) reasoning += event.text;
      if (event.kind == Kind::kCall) calls.push_back({{"name", event.text}});
      if (event.kind != Kind::kArguments) continue;
      const auto arguments = base::parse_ordered_json(event.text, "arguments");
      ASSERT_TRUE(arguments.ok()) << event.text << "\n" << text;
      calls.back()["arguments"] = *arguments;
    }
    EXPECT_EQ(content, c["content"].get<std::string>()) << text;
    EXPECT_EQ(reasoning, c["reasoning"].get<std::string>()) << text;
    EXPECT_EQ(calls.dump(), c["calls"].dump()) << text;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      MessageParser parser(options);
      Events pieces;
      parser.push(std::string_view(text).substr(0, cut), pieces);
      parser.push(std::string_view(text).substr(cut), pieces);
      parser.finish(pieces);
      ASSERT_EQ(joined(pieces), events) << "cut at " << cut << ": " << text;
    }
  }
}

TEST(MessageParser, TakesATokenForWhatItIsAndItsSpellingForText) {
  MessageParserOptions options = with("mistral_args");
  options.is_token = [](std::string_view word) { return word.starts_with("["); };
  EXPECT_EQ(shown(parsed(options, "⟦[TOOL_CALLS]⟧weather⟦[ARGS]⟧{\"a\": \"[ARGS]\"}")),
            "call:weather|{\"a\": \"[ARGS]\"}|end|");
  EXPECT_EQ(shown(parsed(options, "[TOOL_CALLS]weather[ARGS]{}")),
            "text:[TOOL_CALLS]weather[ARGS]{}|");
  EXPECT_EQ(shown(parsed(options, "⟦[TOOL_CALLS]⟧weather[ARGS]{}")),
            "text:[TOOL_CALLS]weather[ARGS]{}|");
  EXPECT_EQ(shown(parsed(options, "⟦[TOOL_CALLS]⟧weather⟦[ARGS]⟧{\"a\": \"⟦[ARGS]⟧\"}")),
            "call:weather|{\"a\": \"[ARGS]\"}|end|");
}

TEST(MessageParser, BeginsInTheReasoningThatThePromptOpened) {
  MessageParserOptions options = with("hermes");
  options.in_reasoning = true;
  EXPECT_EQ(shown(parsed(options, "\nhm\n</think>\n\nYes", 1)), "reasoning:hm|text:Yes|");
  EXPECT_EQ(shown(parsed(options, "<think>\nhm</think>Yes", 1)), "reasoning:hm|text:Yes|");
  EXPECT_EQ(shown(parsed(options, "hm <tool_call>{\"name\":\"weather\"}")),
            "reasoning:hm <tool_call>{\"name\":\"weather\"}|");
}

TEST(MessageParser, LeavesTextAloneWhereNothingIsToldApart) {
  EXPECT_EQ(shown(parsed({}, " <think> <tool_call>{} \n", 1)), "text: <think> <tool_call>{} \n|");
}

TEST(MessageParser, TellsArgumentsAsTheyCome) {
  MessageParser parser(with("hermes"));
  Events events;
  parser.push("<tool_call>{\"name\": \"weather\", \"arguments\": {\"ci", events);
  EXPECT_EQ(shown(events), "call:weather|{\"ci|");
  events.clear();
  parser.push("ty\": 1", events);
  EXPECT_EQ(shown(events), "ty\": 1|");
}

TEST(MessageParser, HoldsBackNoMoreThanItsBound) {
  const std::string_view open = "<tool_call>{\"arguments\": {\"a\": \"";
  MessageParser parser(with("hermes"));
  Events events;
  parser.push(open, events);
  EXPECT_TRUE(events.empty());
  const std::string filler(MessageParser::kHeldBytesMax, 'x');
  parser.push(filler, events);
  parser.push("\"}, \"name\": \"weather\"}", events);
  parser.finish(events);
  EXPECT_EQ(shown(joined(events)),
            "text:" + std::string(open) + filler + "\"}, \"name\": \"weather\"}|");
  Events spaces;
  MessageParser other(with("hermes"));
  other.push("a" + std::string(10'000, ' '), spaces);
  ASSERT_FALSE(spaces.empty());
  EXPECT_GE(spaces.back().text.size(), 10'000 - MessageParser::kSpaceBytesMax);
}

TEST(MessageParser, RefusesDeepNesting) {
  const std::string deep(200, '[');
  const std::string text = "<tool_call>{\"name\": \"weather\", \"arguments\": {\"a\": " + deep;
  const Events events = parsed(with("hermes"), text);
  EXPECT_EQ(events.back().kind, Kind::kText);
}

}  // namespace
}  // namespace lantern::text
