// OpenAI's responses: items in, items out, whole and as events.
#include "server/openai/responses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace lantern::server {
namespace {

using base::OrderedJson;
using openai::parse_responses;
using openai::ResponsesRequest;
using ::testing::ElementsAre;
using ::testing::StartsWith;

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

MessageReading reading() {
  MessageReading out{.parser = {.tools = {"weather"}, .reasoning = &kThink}, .id_seed = "7"};
  for (const text::ToolSyntax* syntax : text::all_tool_syntaxes())
    if (syntax->name == "hermes") out.parser.calls = syntax;
  return out;
}

constexpr std::string_view kAnswer =
    "<think>\nRome.\n</think>\nLet me look.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": "
    "{\"city\": \"Rome\"}}\n</tool_call>";

std::string answered(bool stream, std::string_view text, size_t step,
                     engine::FinishReason finish = engine::FinishReason::kStop) {
  const auto reply = std::make_shared<Kept>();
  openai::ResponsesAnswer answer{.id = "x", .model = "m"};
  answer.asked.generation.stream = stream;
  const auto sink = read_messages(reading(), openai::responses_sink(std::move(answer), reply));
  sink->on_prompt("assistant\n");
  sink->on_accepted(12);
  gate::Answer whole;
  whole.choices.push_back({.text = std::string(text), .ids = {1, 2, 3}, .finish = finish});
  for (; !text.empty(); text.remove_prefix(std::min(step, text.size())))
    sink->on_text(0, text.substr(0, step));
  sink->on_done(std::move(whole));
  EXPECT_EQ(reply->ended, stream);
  return reply->body;
}

std::vector<OrderedJson> events_of(std::string_view body) {
  std::vector<OrderedJson> out;
  while (!body.empty()) {
    const size_t end = std::min(body.find('\n'), body.size() - 1);
    std::string_view line = body.substr(0, end);
    body.remove_prefix(end + 1);
    if (!line.starts_with("data: ")) continue;
    line.remove_prefix(6);
    const auto json = base::parse_ordered_json(line, "event");
    EXPECT_TRUE(json.ok()) << line;
    if (json.ok()) out.push_back(*json);
  }
  return out;
}

OrderedJson whole(std::string_view text,
                  engine::FinishReason finish = engine::FinishReason::kStop) {
  return base::parse_ordered_json(answered(false, text, 1000, finish), "body").value();
}

TEST(ResponsesAnswer, HasAnItemForReasoningTextAndEachCall) {
  const OrderedJson response = whole(kAnswer);
  EXPECT_EQ(response["status"], "completed");
  const OrderedJson& output = response["output"];
  ASSERT_EQ(output.size(), 3u);
  EXPECT_EQ(output[0]["type"], "reasoning");
  EXPECT_EQ(output[0]["content"][0]["text"], "Rome.");
  EXPECT_EQ(output[1]["type"], "message");
  EXPECT_EQ(output[1]["content"][0]["text"], "Let me look.");
  EXPECT_EQ(output[2]["type"], "function_call");
  EXPECT_EQ(output[2]["name"], "weather");
  EXPECT_EQ(OrderedJson::parse(output[2]["arguments"].get<std::string>())["city"], "Rome");
  EXPECT_THAT(output[2]["call_id"].get<std::string>(), StartsWith("call_"));
  for (const OrderedJson& item : output) EXPECT_EQ(item["status"], "completed");
  EXPECT_NE(output[0]["id"], output[1]["id"]);
}

TEST(ResponsesAnswer, OneThatWasCutIsIncompleteInItsLastItem) {
  const OrderedJson response =
      whole(kAnswer.substr(0, kAnswer.find("Rome\"}")), engine::FinishReason::kLength);
  EXPECT_EQ(response["status"], "incomplete");
  EXPECT_EQ(response["incomplete_details"]["reason"], "max_output_tokens");
  ASSERT_EQ(response["output"].size(), 3u);
  EXPECT_EQ(response["output"][1]["status"], "completed");
  EXPECT_EQ(response["output"][2]["status"], "incomplete");
}

TEST(ResponsesAnswer, OneThatSaysNothingHasAnItemToo) {
  const OrderedJson response = whole("");
  ASSERT_EQ(response["output"].size(), 1u);
  EXPECT_EQ(response["output"][0]["content"][0]["text"], "");
  const auto events = events_of(answered(true, "", 1));
  EXPECT_EQ(events.back()["response"]["output"], response["output"]);
}

TEST(ResponsesAnswer, StreamsWhatItAlsoGivesWhole) {
  OrderedJson expected = whole(kAnswer);
  for (const size_t step : {1u, 7u, 1000u}) {
    const std::vector<OrderedJson> events = events_of(answered(true, kAnswer, step));
    ASSERT_GT(events.size(), 10u);
    EXPECT_EQ(events[0]["type"], "response.created");
    EXPECT_EQ(events[1]["type"], "response.in_progress");
    EXPECT_EQ(events.back()["type"], "response.completed");
    EXPECT_EQ(events.back()["response"]["output"], expected["output"]);
    std::map<int64_t, std::string> deltas, done;
    std::vector<OrderedJson> items;
    int64_t open = -1;
    for (size_t i = 0; i < events.size(); ++i) {
      const OrderedJson& event = events[i];
      EXPECT_EQ(event["sequence_number"], i);
      const std::string type = event["type"];
      if (type == "response.output_item.added") {
        EXPECT_EQ(open, -1) << "one item at a time";
        open = event["output_index"];
        EXPECT_EQ(event["item"]["status"], "in_progress");
      } else if (type.ends_with(".delta")) {
        EXPECT_EQ(event["output_index"], open);
        deltas[open] += event["delta"].get<std::string>();
      } else if (type == "response.function_call_arguments.done") {
        done[open] = event["arguments"];
      } else if (type == "response.output_text.done" || type == "response.reasoning_text.done") {
        done[open] = event["text"];
      } else if (type == "response.output_item.done") {
        EXPECT_EQ(event["output_index"], open);
        open = -1;
        items.push_back(event["item"]);
      }
    }
    EXPECT_EQ(open, -1);
    EXPECT_EQ(OrderedJson(items), expected["output"]);
    EXPECT_EQ(deltas, done);
    EXPECT_EQ(deltas.size(), 3u);
  }
}

OrderedJson messages_of(const std::string& input) {
  const auto request = parse_responses(R"({"model":"m","input":)" + input + "}");
  EXPECT_TRUE(request.ok()) << request.error().message;
  return request.ok() ? std::get<text::RenderInput>(request->generation.prompt).messages
                      : OrderedJson();
}
std::string fault_of(const std::string& fields) {
  const auto request = parse_responses(R"({"model":"m","input":"x",)" + fields + "}");
  return request.ok() ? "" : request.error().message;
}

TEST(ResponsesRequest, ItemsOfOneTurnBecomeOneMessage) {
  const OrderedJson messages = messages_of(
      R"([{"role":"user","content":"Rome?"},
          {"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Hm."}]},
          {"type":"message","role":"assistant","content":[{"type":"output_text","text":"Let me look."}]},
          {"type":"function_call","call_id":"a","name":"weather","arguments":"{\"city\":\"Rome\"}"},
          {"type":"function_call","call_id":"b","name":"time","arguments":"{}"},
          {"type":"function_call_output","call_id":"a","output":"sunny"},
          {"type":"function_call_output","call_id":"b","output":[{"type":"input_text","text":"noon"}]}])");
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[1]["reasoning_content"], "Hm.");
  EXPECT_EQ(messages[1]["content"], "Let me look.");
  ASSERT_EQ(messages[1]["tool_calls"].size(), 2u);
  EXPECT_EQ(messages[1]["tool_calls"][0]["function"]["arguments"]["city"], "Rome");
  EXPECT_EQ(messages[2]["role"], "tool");
  EXPECT_EQ(messages[2]["content"], "sunny");
  EXPECT_EQ(messages[3]["content"], "noon");
}

TEST(ResponsesRequest, ToolsAreFlatAndHeldToTheirForm) {
  const auto request = parse_responses(
      R"({"model":"m","input":"x","parallel_tool_calls":false,"tool_choice":{"type":"function","name":"f"},
          "tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true}]})");
  ASSERT_TRUE(request.ok()) << request.error().message;
  const ToolUse& use = request->generation.tools;
  EXPECT_EQ(use.tools[0]["function"]["name"], "f");
  EXPECT_EQ(use.choice.kind, ToolChoice::kNamed);
  EXPECT_FALSE(use.several);
  EXPECT_EQ(request->tools[0]["strict"], true) << "given back as it came";
  EXPECT_THAT(fault_of(R"("tools":[{"type":"web_search"}])"), StartsWith("tools[0].type: "));
  EXPECT_THAT(fault_of(R"("tools":[{"type":"function","name":"a b"}])"),
              StartsWith("tools[0].name"));
  EXPECT_THAT(fault_of(R"("tool_choice":"required")"), StartsWith("tool_choice: "));
}

TEST(ResponsesRequest, TheTextsFormIsHeldTo) {
  const auto request = parse_responses(
      R"({"model":"m","input":"x","text":{"format":{"type":"json_schema","name":"n","strict":true,
          "schema":{"type":"object"}}}})");
  ASSERT_TRUE(request.ok()) << request.error().message;
  ASSERT_TRUE(request->generation.shape.has_value());
  EXPECT_EQ(request->generation.shape->field, "text.format");
  EXPECT_EQ(request->format["name"], "n");
  EXPECT_TRUE(compile(*request->generation.shape).ok());
  EXPECT_EQ(fault_of(R"("text":{"format":{"type":"text"}})"), "");
  EXPECT_EQ(fault_of(R"("text":{"format":{"type":"json_object"}})"), "");
  EXPECT_THAT(fault_of(R"("text":{"format":{"type":"json_schema"}})"),
              StartsWith("text.format.schema: "));
  EXPECT_THAT(fault_of(R"("text":{"format":{"type":"xml"}})"), StartsWith("text.format.type: "));
  EXPECT_THAT(fault_of(R"("text":{"format":7})"), StartsWith("text.format: "));
  AnswerShape odd = *request->generation.shape;
  odd.text = R"({"contains":{}})";
  EXPECT_THAT(compile(odd).error().message, StartsWith("text.format: "));
}

}  // namespace
}  // namespace lantern::server
