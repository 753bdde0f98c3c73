#include "server/ollama/answer.h"

#include <chrono>

#include "base/time.h"
#include "server/message.h"

namespace lantern::server::ollama {
namespace {

using base::OrderedJson;

int64_t nanoseconds(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

std::string line(const OrderedJson& document) {
  return document.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

class Sink final : public MessageSink {
 public:
  Sink(Kind kind, bool stream, std::string model, Headers headers, std::shared_ptr<Reply> reply)
      : kind_(kind),
        stream_(stream),
        model_(std::move(model)),
        headers_(std::move(headers)),
        reply_(std::move(reply)) {}

  void on_piece(uint32_t, size_t, const Block& block, std::string_view piece) override {
    if (!stream_ || block.kind == Block::Kind::kCall) return;
    const bool reasons = block.kind == Block::Kind::kReasoning;
    write(document(reasons ? std::string_view() : piece, reasons ? piece : std::string_view(),
                   false));
  }

  /// This API gives a call in one piece.
  void on_block_end(uint32_t, size_t, const Block& block) override {
    if (!stream_ || block.kind != Block::Kind::kCall) return;
    OrderedJson one = document({}, {}, false);
    one["message"]["tool_calls"] = OrderedJson::array({call_of(block, n_calls_++)});
    write(one);
  }

  void on_done(Result<gate::Answer> answer, const std::vector<Message>& messages) override {
    if (!answer.ok()) return fail(answer.error());
    const engine::GenerateResult& result = answer->choices.front();
    OrderedJson last = stream_ ? document({}, {}, true) : whole(messages.front());
    last["done_reason"] = result.finish == engine::FinishReason::kLength ? "length" : "stop";
    const std::chrono::duration<double> total = std::chrono::steady_clock::now() - begun_;
    last["total_duration"] = nanoseconds(total.count());
    last["load_duration"] = 0;  // it was loaded before
    last["prompt_eval_count"] = result.prompt_tokens;
    last["prompt_eval_duration"] = nanoseconds(result.prefill_seconds);
    last["eval_count"] = result.ids.size();
    last["eval_duration"] = nanoseconds(result.decode_seconds);
    if (stream_) {
      write(last);
      return reply_->end();
    }
    Response response = json_response(200, last);
    for (const auto& [name, value] : headers_) response.headers.add(name, value);
    reply_->send(std::move(response));
  }

 private:
  [[nodiscard]] OrderedJson document(std::string_view text, std::string_view thinking,
                                     bool done) const {
    OrderedJson out = {{"model", model_},
                       {"created_at", time_text(std::chrono::system_clock::now())}};
    if (kind_ == Kind::kChat)
      out["message"] = {{"role", "assistant"}, {"content", text}};
    else
      out["response"] = text;
    if (!thinking.empty()) (kind_ == Kind::kChat ? out["message"] : out)["thinking"] = thinking;
    out["done"] = done;
    return out;
  }

  [[nodiscard]] OrderedJson whole(const Message& message) const {
    OrderedJson out = document(message.text_of(Block::Kind::kText),
                               message.text_of(Block::Kind::kReasoning), true);
    for (const Block& block : message.blocks)
      if (block.kind == Block::Kind::kCall) {
        OrderedJson& calls = out["message"]["tool_calls"];
        calls.push_back(call_of(block, calls.size()));
      }
    return out;
  }

  static OrderedJson call_of(const Block& block, size_t index) {
    return {
        {"id", "call_" + block.id},
        {"function", {{"index", index}, {"name", block.name}, {"arguments", arguments_of(block)}}}};
  }

  void write(const OrderedJson& one) {
    if (started_) return reply_->write(line(one));
    started_ = true;
    Response head{.headers = headers_, .body = line(one)};
    head.headers.add("Content-Type", "application/x-ndjson");
    reply_->start(std::move(head));
  }

  void fail(const Error& error) {
    if (!started_) return reply_->send(error_response(Api::kOllama, error));
    reply_->write(line(error_document(Api::kOllama, error)));
    reply_->end();
  }

  const Kind kind_;
  const bool stream_;
  const std::string model_;
  const Headers headers_;
  const std::shared_ptr<Reply> reply_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  bool started_ = false;
  size_t n_calls_ = 0;  // sent
};

/// The answer to a request without a prompt.
Response nothing_said(Kind kind, const std::string& model, std::string_view why) {
  OrderedJson out = {{"model", model}, {"created_at", time_text(std::chrono::system_clock::now())}};
  if (kind == Kind::kChat)
    out["message"] = {{"role", "assistant"}, {"content", ""}};
  else
    out["response"] = "";
  out["done"] = true;
  out["done_reason"] = why;
  return json_response(200, out);
}

}  // namespace

std::shared_ptr<MessageSink> answer_sink(Kind kind, bool stream, std::string model, Headers headers,
                                         std::shared_ptr<Reply> reply) {
  return std::make_shared<Sink>(kind, stream, std::move(model), std::move(headers),
                                std::move(reply));
}

std::string time_text(std::chrono::system_clock::time_point time) {
  return base::format_utc(std::chrono::floor<std::chrono::seconds>(time));
}

OrderedJson model_document(const ModelWords& model) {
  return {{"name", model.name},
          {"model", model.name},
          {"size", model.bytes},
          {"digest", base::to_hex(model.id)},
          {"details",
           {{"parent_model", model.parent},
            {"format", "gguf"},
            {"family", model.family},
            {"families",
             model.family.empty() ? OrderedJson::array() : OrderedJson::array({model.family})},
            {"parameter_size", ""},
            {"quantization_level", ""}}}};
}

namespace {

struct Asked {
  Kind kind;
  TextRequest request;
  Asker asker;
};

void answer(Service& service, const gate::ModelUse& model, Asked asked,
            const std::shared_ptr<Reply>& reply) {
  Generation& generation = asked.request.generation;
  if (asked.request.only_loads) {
    const Status allowed = model->decide_on(asked.asker.caller, policy::Action::kChat);
    if (!allowed.ok()) return reply->send(error_response(Api::kOllama, allowed.error()));
    const bool may_go =
        generation.keep_alive && service.host().keep_for(model, *generation.keep_alive);
    const bool goes = may_go && *generation.keep_alive == std::chrono::seconds(0);
    return reply->send(nothing_said(asked.kind, generation.model, goes ? "unload" : "load"));
  }
  Headers headers;
  settle_seed(generation, headers);
  Result<MessageReading> reading = prepare_message(*model, generation);
  if (!reading.ok()) return reply->send(error_response(Api::kOllama, reading.error()));
  auto sink =
      answer_sink(asked.kind, generation.stream, generation.model, std::move(headers), reply);
  generate(service, model, std::move(generation), asked.asker, reply,
           read_messages(std::move(*reading), std::move(sink)));
}

}  // namespace

void run(Service& service, const Request& request, const std::shared_ptr<Reply>& reply, Kind kind,
         Result<TextRequest> parsed) {
  if (!parsed.ok()) return reply->send(error_response(Api::kOllama, parsed.error()));
  const Asker asker = asker_of(request);
  const ModelWish wish{.name = parsed->generation.model, .api = Api::kOllama};
  // To be told to forget a model that is not here is no reason to load it.
  if (parsed->only_loads && parsed->generation.keep_alive == std::chrono::seconds(0) &&
      !service.host().use_loaded(wish.name)) {
    const auto found = service.host().find(wish.name, asker.caller);
    return reply->send(found.ok() ? nothing_said(kind, wish.name, "unload")
                                  : error_response(Api::kOllama, found.error()));
  }
  with_model(service, wish, asker, reply,
             [&service, reply, kind, asker,
              parsed = std::move(*parsed)](const gate::ModelUse& model) mutable {
               answer(service, model, {kind, std::move(parsed), asker}, reply);
             });
}

}  // namespace lantern::server::ollama
