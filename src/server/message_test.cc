// Answers from a script instead of a model, through to each API's bytes.
#include "server/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/anthropic/messages.h"
#include "server/anthropic/request.h"
#include "server/ollama/answer.h"
#include "server/ollama/request.h"
#include "server/openai/answer.h"
#include "server/openai/request.h"

namespace lantern::server {
namespace {

using base::OrderedJson;
using ::testing::HasSubstr;

constexpr text::ReasoningTags kThink{"<think>", "</think>"};

class Kept final : public Reply {
 public:
  void send(Response response) override { body = std::move(response.body); }
  void start(Response response) override { body = std::move(response.body); }
  void write(std::string piece) override { body += piece; }
  void end() override { ended = true; }
  [[nodiscard]] std::stop_token gone() const override { return {}; }
  std::string body;
  bool ended = false;
};

const text::ToolSyntax* hermes() {
  for (const text::ToolSyntax* syntax : text::all_tool_syntaxes())
    if (syntax->name == "hermes") return syntax;
  return nullptr;
}

MessageReading reading() {
  return {.parser = {.calls = hermes(), .tools = {"weather", "get_time"}, .reasoning = &kThink},
          .id_seed = "7 abc"};
}

constexpr std::string_view kAnswer =
    "<think>\nRome, then.\n</think>\n\nLet me look.\n<tool_call>\n{\"name\": \"weather\", "
    "\"arguments\": {\"city\": \"Rome\"}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_time\", "
    "\"arguments\": {}}\n</tool_call>";

/// Plays `text` to a sink, `step` bytes at a time.
void play(gate::AnswerSink& sink, std::string_view text, size_t step,
          engine::FinishReason finish = engine::FinishReason::kStop) {
  sink.on_prompt("<|im_start|>assistant\n");
  sink.on_accepted(12);
  gate::Answer answer;
  engine::GenerateResult& result = answer.choices.emplace_back();
  result.text = text;
  result.ids = {1, 2, 3};
  result.finish = finish;
  for (; !text.empty(); text.remove_prefix(std::min(step, text.size())))
    sink.on_text(0, text.substr(0, step));
  sink.on_done(std::move(answer));
}

std::vector<OrderedJson> events_of(std::string_view body, std::string_view prefix) {
  std::vector<OrderedJson> out;
  while (!body.empty()) {
    const size_t end = body.find('\n');
    std::string_view line = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (!line.starts_with(prefix) || !line.ends_with('}')) continue;
    line.remove_prefix(prefix.size());
    const auto json = base::parse_ordered_json(line, "event");
    EXPECT_TRUE(json.ok()) << line;
    if (json.ok()) out.push_back(*json);
  }
  return out;
}

std::string openai_body(bool stream, std::string_view text, size_t step,
                        MessageReading how = reading()) {
  auto reply = std::make_shared<Kept>();
  const auto sink = read_messages(
      std::move(how), openai::answer_sink({.stream = stream, .id = "x", .model = "m"}, reply));
  play(*sink, text, step);
  return reply->body;
}

OrderedJson whole_message(std::string_view text, MessageReading how = reading()) {
  const auto json =
      base::parse_ordered_json(openai_body(false, text, 1000, std::move(how)), "body");
  return json.ok() ? (*json)["choices"][0] : OrderedJson();
}

TEST(OpenAiMessage, HasReasoningTextAndCalls) {
  const OrderedJson choice = whole_message(kAnswer);
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  const OrderedJson& message = choice["message"];
  EXPECT_EQ(message["reasoning_content"], "Rome, then.");
  EXPECT_EQ(message["content"], "Let me look.");
  ASSERT_EQ(message["tool_calls"].size(), 2u);
  const OrderedJson& call = message["tool_calls"][0];
  EXPECT_EQ(call["type"], "function");
  EXPECT_EQ(call["function"]["name"], "weather");
  EXPECT_EQ(call["function"]["arguments"], "{\"city\": \"Rome\"}");
  EXPECT_EQ(call["id"].get<std::string>().size(), 29u);
  EXPECT_NE(call["id"], message["tool_calls"][1]["id"]);
  EXPECT_EQ(whole_message(kAnswer), choice) << "equal requests have equal bytes";
  MessageReading other = reading();
  other.id_seed = "8 abc";
  EXPECT_NE(whole_message(kAnswer, other)["message"]["tool_calls"][0]["id"], call["id"]);
}

TEST(OpenAiMessage, StreamsWhatItAlsoGivesWhole) {
  const OrderedJson whole = whole_message(kAnswer);
  for (size_t step : {1u, 3u, 17u, 1000u}) {
    std::string content, reasoning, finish;
    std::vector<OrderedJson> calls;
    for (const OrderedJson& event : events_of(openai_body(true, kAnswer, step), "data: ")) {
      const OrderedJson& choice = event["choices"][0];
      const OrderedJson& delta = choice["delta"];
      content += delta.value("content", "");
      reasoning += delta.value("reasoning_content", "");
      if (!choice["finish_reason"].is_null()) finish = choice["finish_reason"];
      if (!delta.contains("tool_calls")) continue;
      const OrderedJson& piece = delta["tool_calls"][0];
      const size_t index = piece["index"];
      if (piece.contains("id")) {
        ASSERT_EQ(index, calls.size());
        calls.push_back({{"id", piece["id"]},
                         {"type", piece["type"]},
                         {"function", {{"name", piece["function"]["name"]}, {"arguments", ""}}}});
      }
      ASSERT_LT(index, calls.size());
      auto& arguments = calls[index]["function"]["arguments"].get_ref<std::string&>();
      arguments += piece["function"]["arguments"].get<std::string>();
    }
    EXPECT_EQ(content, whole["message"]["content"].get<std::string>()) << step;
    EXPECT_EQ(reasoning, whole["message"]["reasoning_content"].get<std::string>()) << step;
    EXPECT_EQ(finish, whole["finish_reason"].get<std::string>()) << step;
    EXPECT_EQ(OrderedJson(calls), whole["message"]["tool_calls"]) << step;
  }
}

TEST(OpenAiMessage, KeepsTheFirstCallWhereOneWasAskedFor) {
  MessageReading one = reading();
  one.several_calls = false;
  EXPECT_EQ(whole_message(kAnswer, one)["message"]["tool_calls"].size(), 1u);
}

TEST(OpenAiMessage, IsAsItWasWithoutToolsAndReasoning) {
  const OrderedJson choice = whole_message(" plain\n", {});
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["message"]["content"], " plain\n");
  EXPECT_FALSE(choice["message"].contains("tool_calls"));
  EXPECT_EQ(whole_message("", {})["message"]["content"], "");
}

TEST(AnthropicMessage, HasItsBlocks) {
  auto reply = std::make_shared<Kept>();
  const auto sink = read_messages(
      reading(), anthropic::answer_sink({.stream = false, .id = "x", .model = "m"}, reply));
  play(*sink, kAnswer, 5);
  const auto message = base::parse_ordered_json(reply->body, "body");
  ASSERT_TRUE(message.ok());
  EXPECT_EQ((*message)["stop_reason"], "tool_use");
  const OrderedJson& content = (*message)["content"];
  ASSERT_EQ(content.size(), 4u);
  EXPECT_EQ(content[0]["type"], "thinking");
  EXPECT_EQ(content[0]["thinking"], "Rome, then.");
  EXPECT_EQ(content[1], (OrderedJson{{"type", "text"}, {"text", "Let me look."}}));
  EXPECT_EQ(content[2]["type"], "tool_use");
  EXPECT_EQ(content[2]["input"], (OrderedJson{{"city", "Rome"}}));
  EXPECT_EQ(content[3]["input"], OrderedJson::object());
}

TEST(AnthropicMessage, StreamsBlocksOneAfterAnother) {
  auto reply = std::make_shared<Kept>();
  const auto sink = read_messages(
      reading(), anthropic::answer_sink({.stream = true, .id = "x", .model = "m"}, reply));
  play(*sink, kAnswer, 1);
  EXPECT_TRUE(reply->ended);
  int open = -1, last = -1;
  std::vector<std::string> said;
  for (const OrderedJson& event : events_of(reply->body, "data: ")) {
    if (event["type"] == "content_block_start") {
      EXPECT_EQ(open, -1);
      open = event["index"];
      EXPECT_EQ(open, last + 1);
      said.emplace_back();
    } else if (event["type"] == "content_block_delta") {
      EXPECT_EQ(event["index"], open);
      const OrderedJson& delta = event["delta"];
      for (const char* field : {"text", "thinking", "partial_json"})
        said.back() += delta.value(field, "");
    } else if (event["type"] == "content_block_stop") {
      EXPECT_EQ(event["index"], open);
      last = std::exchange(open, -1);
    } else if (event["type"] == "message_delta") {
      EXPECT_EQ(event["delta"]["stop_reason"], "tool_use");
    }
  }
  EXPECT_EQ(open, -1);
  EXPECT_THAT(said,
              ::testing::ElementsAre("Rome, then.", "Let me look.", "{\"city\": \"Rome\"}", "{}"));
}

TEST(OllamaMessage, GivesEachCallInOnePiece) {
  for (bool stream : {false, true}) {
    auto reply = std::make_shared<Kept>();
    const auto sink =
        read_messages(reading(), ollama::answer_sink(ollama::Kind::kChat, stream, "m", {}, reply));
    play(*sink, kAnswer, 4);
    std::string content, thinking;
    OrderedJson calls = OrderedJson::array();
    for (const OrderedJson& line : events_of(stream ? reply->body : reply->body + "\n", "")) {
      const OrderedJson& message = line["message"];
      content += message.value("content", "");
      thinking += message.value("thinking", "");
      for (const OrderedJson& call : message.value("tool_calls", OrderedJson::array()))
        calls.push_back(call["function"]);
    }
    EXPECT_EQ(content, "Let me look.") << stream;
    EXPECT_EQ(thinking, "Rome, then.") << stream;
    EXPECT_EQ(calls,
              OrderedJson::array(
                  {{{"index", 0}, {"name", "weather"}, {"arguments", {{"city", "Rome"}}}},
                   {{"index", 1}, {"name", "get_time"}, {"arguments", OrderedJson::object()}}}))
        << stream;
  }
}

TEST(ToolRequests, AreReadIntoOneForm) {
  const auto openai = openai::parse_chat(R"({"model":"m","messages":[
    {"role":"user","content":"?"},
    {"role":"assistant","content":null,"reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function",
      "function":{"name":"weather","arguments":"{\"city\": \"Rome\"}"}}]},
    {"role":"tool","tool_call_id":"c1","content":"sunny"}],
    "tools":[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object"}}}],
    "tool_choice":"auto","parallel_tool_calls":false})");
  ASSERT_TRUE(openai.ok()) << openai.error().message;
  const auto anthropic = anthropic::parse_messages(R"({"model":"m","max_tokens":9,"messages":[
    {"role":"user","content":"?"},
    {"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":""},
      {"type":"tool_use","id":"c1","name":"weather","input":{"city":"Rome"}}]},
    {"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"sunny"}]}],
    "tools":[{"name":"weather","description":"d","input_schema":{"type":"object"}}],
    "tool_choice":{"type":"auto","disable_parallel_tool_use":true}})",
                                                   anthropic::Purpose::kAnswer);
  ASSERT_TRUE(anthropic.ok()) << anthropic.error().message;
  const auto ollama = ollama::parse_chat(R"({"model":"m","messages":[
    {"role":"user","content":"?"},
    {"role":"assistant","content":"","thinking":"hm","tool_calls":[{"id":"c1",
      "function":{"name":"weather","arguments":{"city":"Rome"}}}]},
    {"role":"tool","tool_name":"weather","tool_call_id":"c1","content":"sunny"}],
    "tools":[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object"}}}]})");
  ASSERT_TRUE(ollama.ok()) << ollama.error().message;

  const auto messages = [](const Generation& generation) {
    // As a set of fields: their order is the API's.
    return base::Json::parse(std::get<text::RenderInput>(generation.prompt).messages.dump());
  };
  EXPECT_EQ(messages(openai->generation), messages(*anthropic));
  EXPECT_EQ(messages(openai->generation), messages(ollama->generation));
  EXPECT_EQ(messages(*anthropic)[1]["tool_calls"][0]["function"]["arguments"]["city"], "Rome");
  EXPECT_EQ(messages(*anthropic)[2]["name"], "weather");
  EXPECT_EQ(openai->generation.tools.tools, anthropic->tools.tools);
  EXPECT_EQ(openai->generation.tools.tools, ollama->generation.tools.tools);
  EXPECT_FALSE(openai->generation.tools.several);
  EXPECT_FALSE(anthropic->tools.several);
}

TEST(ToolRequests, AreRefusedByTheFieldThatIsWrong) {
  const auto refused = [](const std::string& more, const std::string& why) {
    const auto parsed = openai::parse_chat(
        R"({"model":"m","messages":[{"role":"user","content":"?"}],)" + more + "}");
    ASSERT_FALSE(parsed.ok()) << more;
    EXPECT_THAT(parsed.error().message, HasSubstr(why)) << more;
  };
  const std::string tool = R"({"type":"function","function":{"name":"weather"}})";
  refused(R"("tools":[{"type":"web_search"}])", "tools[0].type");
  refused(R"("tools":[{"type":"function"}])", "tools[0].function");
  refused(R"("tools":[{"type":"function","function":{"name":"a b"}}])", "tools[0].function.name");
  refused(R"("tools":[)" + tool + "," + tool + "]", "is there twice");
  refused(R"("tools":[{"type":"function","function":{"name":"a","parameters":7}}])",
          "tools[0].function.parameters");
  refused(R"("tools":[)" + tool + R"(],"tool_choice":"sometimes")", "tool_choice");
  refused(R"("tools":[)" + tool + R"(],"tool_choice":{"type":"function","function":{"name":"x"}})",
          "no tool is called \"x\"");
  refused(R"("tool_choice":"required")", "there are no tools");
  refused(R"("functions":[{}])", "functions[0].name");
  refused(R"("functions":[{"name":"f"}],"tools":[)" + tool + "]", "functions");
  refused(R"("functions":[{"name":"f"}],"function_call":{"name":"g"})", "function_call");
  refused(R"("function_call":{"name":"g"})", "function_call");
  refused(R"("functions":[{"name":"f"}],"function_call":"always")", "function_call");
}

TEST(OlderFunctions, AreReadAsTools) {
  const auto parsed = openai::parse_chat(R"({"model":"m","messages":[
    {"role":"user","content":"?"},
    {"role":"assistant","content":null,"function_call":{"name":"weather","arguments":"{\"city\": \"Rome\"}"}},
    {"role":"function","name":"weather","content":"sunny"}],
    "functions":[{"name":"weather","parameters":{"type":"object"}},{"name":"get_time"}],
    "function_call":{"name":"weather"}})");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const ToolUse& use = parsed->generation.tools;
  EXPECT_TRUE(parsed->by_functions);
  EXPECT_EQ(use.tools[1]["function"]["name"], "get_time");
  EXPECT_EQ(use.choice.kind, ToolChoice::kNamed);
  EXPECT_EQ(use.choice.name, "weather");
  EXPECT_FALSE(use.several);
  const auto& messages = std::get<text::RenderInput>(parsed->generation.prompt).messages;
  EXPECT_EQ(messages[1]["tool_calls"][0]["function"]["arguments"]["city"], "Rome");
  EXPECT_EQ(messages[2]["role"], "tool");
  EXPECT_EQ(messages[2]["name"], "weather");
  EXPECT_EQ(messages[2]["tool_call_id"], messages[1]["tool_calls"][0]["id"]);
}

TEST(OlderFunctions, AreAnsweredAsTheyWereAsked) {
  for (const bool stream : {false, true}) {
    MessageReading how = reading();
    how.several_calls = false;
    auto reply = std::make_shared<Kept>();
    const auto sink = read_messages(
        std::move(how),
        openai::answer_sink({.stream = stream, .id = "x", .model = "m", .by_functions = true},
                            reply));
    play(*sink, kAnswer, 4);
    OrderedJson call = {{"name", ""}, {"arguments", ""}};
    std::string reason;
    const auto add = [&](const OrderedJson& choice, const char* at) {
      EXPECT_FALSE(choice[at].contains("tool_calls"));
      if (choice[at].contains("function_call"))
        for (const char* part : {"name", "arguments"})
          call[part] = call[part].get<std::string>() + choice[at]["function_call"].value(part, "");
      if (choice["finish_reason"].is_string()) reason = choice["finish_reason"];
    };
    if (stream)
      for (const OrderedJson& event : events_of(reply->body, "data: "))
        add(event["choices"][0], "delta");
    else
      add(base::parse_ordered_json(reply->body, "body")->at("choices")[0], "message");
    EXPECT_EQ(call, (OrderedJson{{"name", "weather"}, {"arguments", R"({"city": "Rome"})"}}));
    EXPECT_EQ(reason, "function_call");
  }
}

TEST(RequestFields, WhatIsNoHintIsNotPassedOver) {
  const std::string question = R"({"model":"m","messages":[{"role":"user","content":"?"}],)";
  const auto chat = openai::parse_chat(
      question + R"("stop":["a","b","c","d","e"],"prediction":{"type":"content","content":"x"},)"
                 R"("verbosity":"low","service_tier":"auto","prompt_cache_retention":"24h"})");
  ASSERT_TRUE(chat.ok()) << chat.error().message;
  EXPECT_EQ(chat->generation.options.stop.size(), 5u);
  for (const char* option : {"mirostat", "typical_p", "tfs_z"}) {
    const auto ollama =
        ollama::parse_chat(question + fmt::format(R"("options":{{"{}":0.5}}}})", option));
    ASSERT_FALSE(ollama.ok()) << option;
    EXPECT_THAT(ollama.error().message, HasSubstr(std::string("options.") + option));
  }
  EXPECT_TRUE(ollama::parse_chat(question + R"("options":{"mirostat":0,"typical_p":1}})").ok());
}

}  // namespace
}  // namespace lantern::server
