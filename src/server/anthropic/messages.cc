#include "server/anthropic/messages.h"

#include <vector>

namespace lantern::server::anthropic {
namespace {

using base::OrderedJson;

void refuse(Fields& fields, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names)
    if (const OrderedJson* value = fields.find(name);
        value != nullptr && !(value->is_structured() && value->empty()))
      fields.fail(name, "not supported by this service; leave it out");
}

Result<OrderedJson> message_of(const OrderedJson& json, size_t index) {
  const std::string path = fmt::format("messages[{}]", index);
  Fields fields(json, path);
  std::string role;
  fields.read("role", role, 64);
  if (role != "user" && role != "assistant") fields.fail("role", "user or assistant is needed");
  const OrderedJson* content = fields.find("content");
  if (content == nullptr) fields.fail("content", "a text is needed");
  LANTERN_TRY(fields.status());
  LANTERN_ASSIGN(std::string text, text_of_content(*content, path + ".content"));
  return OrderedJson{{"role", role}, {"content", std::move(text)}};
}

std::string_view stop_reason(engine::FinishReason reason) {
  switch (reason) {
    case engine::FinishReason::kLength:
      return "max_tokens";
    case engine::FinishReason::kStopString:
      return "stop_sequence";
    default:
      return "end_turn";
  }
}

class Sink final : public gate::AnswerSink {
 public:
  Sink(bool stream, std::vector<std::string> stop, std::string id, std::string model,
       Headers headers, std::shared_ptr<Reply> reply)
      : stream_(stream),
        stop_(std::move(stop)),
        id_("msg_" + std::move(id)),
        model_(std::move(model)),
        headers_(std::move(headers)),
        reply_(std::move(reply)) {}

  void on_accepted(int64_t n_prompt_tokens) override { n_prompt_tokens_ = n_prompt_tokens; }

  void on_text(uint32_t, std::string_view piece) override {
    if (!stream_) return;
    begin();
    write("content_block_delta",
          {{"index", 0}, {"delta", {{"type", "text_delta"}, {"text", piece}}}});
  }

  void on_done(Result<gate::Answer> answer) override {
    if (!answer.ok()) return fail(answer.error());
    const engine::GenerateResult& result = answer->choices.front();
    if (!stream_) return send_whole(result);
    begin();
    write("content_block_stop", {{"index", 0}});
    write(
        "message_delta",
        {{"delta",
          {{"stop_reason", stop_reason(result.finish)}, {"stop_sequence", stop_sequence(result)}}},
         {"usage", {{"output_tokens", result.ids.size()}}}});
    write("message_stop", OrderedJson::object());
    reply_->end();
  }

 private:
  /// Which of them ended the answer; null where several were given, for the engine does not say.
  [[nodiscard]] OrderedJson stop_sequence(const engine::GenerateResult& result) const {
    if (result.finish != engine::FinishReason::kStopString || stop_.size() != 1) return nullptr;
    return stop_.front();
  }

  [[nodiscard]] OrderedJson message(OrderedJson content, OrderedJson reason, OrderedJson sequence,
                                    size_t n_tokens) const {
    return {{"id", id_},
            {"type", "message"},
            {"role", "assistant"},
            {"model", model_},
            {"content", std::move(content)},
            {"stop_reason", std::move(reason)},
            {"stop_sequence", std::move(sequence)},
            {"usage", {{"input_tokens", n_prompt_tokens_}, {"output_tokens", n_tokens}}}};
  }

  void begin() {
    if (started_) return;
    write("message_start", {{"message", message(OrderedJson::array(), nullptr, nullptr, 0)}});
    write("content_block_start",
          {{"index", 0}, {"content_block", {{"type", "text"}, {"text", ""}}}});
  }

  void write(std::string_view type, const OrderedJson& rest) {
    OrderedJson event = {{"type", type}};
    event.update(rest);
    std::string text = sse_event(event, type);
    if (started_) return reply_->write(std::move(text));
    started_ = true;
    Response head{.headers = headers_, .body = std::move(text)};
    head.headers.add("Content-Type", "text/event-stream; charset=utf-8");
    reply_->start(std::move(head));
  }

  void send_whole(const engine::GenerateResult& result) {
    OrderedJson content =
        OrderedJson::array({OrderedJson{{"type", "text"}, {"text", result.text}}});
    Response response = json_response(200, message(std::move(content), stop_reason(result.finish),
                                                   stop_sequence(result), result.ids.size()));
    for (const auto& [name, value] : headers_) response.headers.add(name, value);
    reply_->send(std::move(response));
  }

  void fail(const Error& error) {
    if (!started_) return reply_->send(error_response(Api::kAnthropic, error));
    reply_->write(sse_event(error_document(Api::kAnthropic, error), "error"));
    reply_->end();
  }

  const bool stream_;
  const std::vector<std::string> stop_;
  const std::string id_, model_;
  const Headers headers_;
  const std::shared_ptr<Reply> reply_;
  int64_t n_prompt_tokens_ = 0;
  bool started_ = false;
};

}  // namespace

Result<Generation> parse_messages(std::string_view body, Purpose purpose) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  Generation out;
  fields.read("model", out.model, 512);
  if (out.model.empty()) fields.fail("model", "the name of a model is needed");
  refuse(fields, {"tools", "tool_choice", "thinking", "mcp_servers", "container", "output_config",
                  "output_format"});
  if (purpose == Purpose::kAnswer) {
    auto& options = out.options;
    fields.read("max_tokens", options.max_tokens, 1, kTokensMax);
    if (options.max_tokens == 0) fields.fail("max_tokens", "a number of tokens is needed");
    fields.read("temperature", options.sampler.temperature, 0.0f, 1.0f);
    fields.read("top_p", options.sampler.top_p, 1e-6f, 1.0f);
    fields.read("top_k", options.sampler.top_k, 0, INT32_MAX);
    fields.read_strings("stop_sequences", options.stop, 64);
    fields.read("stream", out.stream);
    fields.ignore({"metadata", "service_tier"});
  }
  // How the vendor's own service goes about it; none changes the answer.
  fields.ignore({"cache_control", "diagnostics", "inference_geo", "speed", "user_profile_id",
                 "workspace_id"});
  text::RenderInput input;
  if (const OrderedJson* system = fields.find("system")) {
    LANTERN_ASSIGN(std::string text, text_of_content(*system, "system"));
    if (!text.empty()) input.messages.push_back({{"role", "system"}, {"content", std::move(text)}});
  }
  const OrderedJson* messages = fields.array("messages");
  if (messages == nullptr || messages->empty() || messages->size() > kMessagesMax)
    fields.fail("messages", fmt::format("an array of 1 to {} messages is needed", kMessagesMax));
  LANTERN_TRY(fields.status());
  if (const auto name = fields.unknown())
    return make_error(ErrorCode::kInvalidArgument, "{}: Extra inputs are not permitted", *name);
  for (size_t i = 0; i < messages->size(); ++i) {
    LANTERN_ASSIGN(OrderedJson message, message_of((*messages)[i], i));
    input.messages.push_back(std::move(message));
  }
  // An assistant's turn at the end is the beginning of the answer.
  if (messages->back()["role"] == "assistant") {
    input.add_generation_prompt = false;
    input.continue_final_message = true;
  }
  out.prompt = std::move(input);
  return out;
}

void run(Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
  Result<Generation> parsed = parse_messages(request.body, Purpose::kAnswer);
  if (!parsed.ok()) return reply->send(error_response(Api::kAnthropic, parsed.error()));
  const auto model = service.find(parsed->model);
  if (!model.ok()) return reply->send(error_response(Api::kAnthropic, model.error()));
  Headers headers;
  settle_seed(*parsed, headers);
  headers.add("request-id", "req_" + request.id);
  auto sink = std::make_shared<Sink>(parsed->stream, parsed->options.stop, request.id,
                                     (*model)->name(), std::move(headers), reply);
  generate(service, **model, std::move(*parsed), request, reply->gone(), std::move(sink));
}

void count_tokens(Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
  Result<Generation> parsed = parse_messages(request.body, Purpose::kCount);
  if (!parsed.ok()) return reply->send(error_response(Api::kAnthropic, parsed.error()));
  const auto model = service.find(parsed->model);
  if (!model.ok()) return reply->send(error_response(Api::kAnthropic, model.error()));
  const auto count = count_prompt(**model, std::move(*parsed), request);
  reply->send(count.ok() ? json_response(200, {{"input_tokens", *count}})
                         : error_response(Api::kAnthropic, count.error()));
}

}  // namespace lantern::server::anthropic
