#include "server/anthropic/messages.h"

#include <utility>
#include <vector>

#include "server/message.h"

namespace lantern::server::anthropic {
namespace {

using base::OrderedJson;

std::string_view stop_reason(engine::FinishReason reason, const Message& message) {
  if (reason != engine::FinishReason::kLength && message.has_calls()) return "tool_use";
  switch (reason) {
    case engine::FinishReason::kLength:
      return "max_tokens";
    case engine::FinishReason::kStopString:
      return "stop_sequence";
    default:
      return "end_turn";
  }
}

class Sink final : public MessageSink {
 public:
  Sink(AnswerOptions options, std::shared_ptr<Reply> reply)
      : stream_(options.stream),
        id_("msg_" + options.id),
        model_(std::move(options.model)),
        headers_(std::move(options.headers)),
        reply_(std::move(reply)) {}

  void on_accepted(int64_t n_prompt_tokens) override { n_prompt_tokens_ = n_prompt_tokens; }

  void on_block(uint32_t, size_t index, const Block& block) override {
    if (!stream_) return;
    begin();
    OrderedJson empty = content_of(block);
    if (block.kind == Block::Kind::kCall) empty["input"] = OrderedJson::object();
    write("content_block_start", {{"index", index}, {"content_block", std::move(empty)}});
  }

  void on_piece(uint32_t, size_t index, const Block& block, std::string_view piece) override {
    if (!stream_) return;
    OrderedJson delta;
    if (block.kind == Block::Kind::kCall)
      delta = {{"type", "input_json_delta"}, {"partial_json", piece}};
    else if (block.kind == Block::Kind::kReasoning)
      delta = {{"type", "thinking_delta"}, {"thinking", piece}};
    else
      delta = {{"type", "text_delta"}, {"text", piece}};
    write("content_block_delta", {{"index", index}, {"delta", std::move(delta)}});
  }

  void on_block_end(uint32_t, size_t index, const Block&) override {
    if (stream_) write("content_block_stop", {{"index", index}});
  }

  void on_done(Result<gate::Answer> answer, const std::vector<Message>& messages) override {
    if (!answer.ok()) return fail(answer.error());
    const engine::GenerateResult& result = answer->choices.front();
    const Message& message = messages.front();
    if (!stream_) return send_whole(result, message);
    begin();
    // An answer has a block, also one that says nothing.
    if (message.blocks.empty()) {
      on_block(0, 0, {});
      on_block_end(0, 0, {});
    }
    write("message_delta", {{"delta",
                             {{"stop_reason", stop_reason(result.finish, message)},
                              {"stop_sequence", stop_sequence(result)}}},
                            {"usage", {{"output_tokens", result.ids.size()}}}});
    write("message_stop", OrderedJson::object());
    reply_->end();
  }

 private:
  /// Which of the request's ended the answer.
  static OrderedJson stop_sequence(const engine::GenerateResult& result) {
    if (result.finish != engine::FinishReason::kStopString) return nullptr;
    return result.stop_string;
  }

  [[nodiscard]] OrderedJson message_of(OrderedJson content, OrderedJson reason,
                                       OrderedJson sequence, size_t n_tokens) const {
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
    if (events_.started()) return;
    write("message_start", {{"message", message_of(OrderedJson::array(), nullptr, nullptr, 0)}});
  }

  void write(std::string_view type, const OrderedJson& rest) {
    OrderedJson event = {{"type", type}};
    event.update(rest);
    events_.write(sse_event(event, type));
  }

  static OrderedJson content_of(const Block& block) {
    if (block.kind == Block::Kind::kCall)
      return {{"type", "tool_use"},
              {"id", "toolu_" + block.id},
              {"name", block.name},
              {"input", arguments_of(block)}};
    if (block.kind == Block::Kind::kReasoning)
      return {{"type", "thinking"}, {"thinking", block.text}, {"signature", ""}};
    return {{"type", "text"}, {"text", block.text}};
  }

  void send_whole(const engine::GenerateResult& result, const Message& message) {
    OrderedJson content = OrderedJson::array();
    for (const Block& block : message.blocks) content.push_back(content_of(block));
    if (content.empty()) content.push_back(content_of({}));
    Response response =
        json_response(200, message_of(std::move(content), stop_reason(result.finish, message),
                                      stop_sequence(result), result.ids.size()));
    for (const auto& [name, value] : headers_) response.headers.add(name, value);
    reply_->send(std::move(response));
  }

  void fail(const Error& error) {
    if (!events_.started()) return reply_->send(error_response(Api::kAnthropic, error));
    reply_->write(sse_event(error_document(Api::kAnthropic, error), "error"));
    reply_->end();
  }

  const bool stream_;
  const std::string id_, model_;
  const Headers headers_;
  const std::shared_ptr<Reply> reply_;
  EventStream events_{reply_, headers_};
  int64_t n_prompt_tokens_ = 0;
};

}  // namespace

std::shared_ptr<MessageSink> answer_sink(AnswerOptions options, std::shared_ptr<Reply> reply) {
  return std::make_shared<Sink>(std::move(options), std::move(reply));
}

namespace {

void answer(Service& service, const gate::ModelUse& model, Generation generation,
            const Asker& asker, const std::shared_ptr<Reply>& reply) {
  Headers headers;
  settle_seed(generation, headers);
  headers.add("request-id", "req_" + asker.id);
  Result<MessageReading> reading = prepare_message(*model, generation);
  if (!reading.ok()) return reply->send(error_response(Api::kAnthropic, reading.error()));
  auto sink = answer_sink({.stream = generation.stream,
                           .id = asker.id,
                           .model = model->name(),
                           .headers = std::move(headers)},
                          reply);
  generate(service, model, std::move(generation), asker, reply,
           read_messages(std::move(*reading), std::move(sink)));
}

}  // namespace

void run(Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
  Result<Generation> parsed = parse_messages(request.body, Purpose::kAnswer);
  if (!parsed.ok()) return reply->send(error_response(Api::kAnthropic, parsed.error()));
  const Asker asker = asker_of(request);
  const ModelWish wish{.name = parsed->model, .api = Api::kAnthropic};
  with_model(service, wish, asker, reply,
             [&service, reply, asker,
              generation = std::move(*parsed)](const gate::ModelUse& model) mutable {
               answer(service, model, std::move(generation), asker, reply);
             });
}

void count_tokens(Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
  Result<Generation> parsed = parse_messages(request.body, Purpose::kCount);
  if (!parsed.ok()) return reply->send(error_response(Api::kAnthropic, parsed.error()));
  const Asker asker = asker_of(request);
  const ModelWish wish{.name = parsed->model, .api = Api::kAnthropic};
  with_model(service, wish, asker, reply,
             [reply, asker, generation = std::move(*parsed)](const gate::ModelUse& model) mutable {
               const Result<MessageReading> reading = prepare_message(*model, generation);
               if (!reading.ok())
                 return reply->send(error_response(Api::kAnthropic, reading.error()));
               const auto count = count_prompt(*model, std::move(generation), asker);
               reply->send(count.ok() ? json_response(200, {{"input_tokens", *count}})
                                      : error_response(Api::kAnthropic, count.error()));
             });
}

}  // namespace lantern::server::anthropic
