#include "server/ollama/answer.h"

#include <chrono>

#include "base/time.h"

namespace lantern::server::ollama {
namespace {

using base::OrderedJson;

int64_t nanoseconds(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

std::string line(const OrderedJson& document) {
  return document.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

class Sink final : public gate::AnswerSink {
 public:
  Sink(Kind kind, bool stream, std::string model, Headers headers, std::shared_ptr<Reply> reply)
      : kind_(kind),
        stream_(stream),
        model_(std::move(model)),
        headers_(std::move(headers)),
        reply_(std::move(reply)) {}

  void on_text(uint32_t, std::string_view piece) override {
    if (stream_) write(document(piece, false));
  }

  void on_done(Result<gate::Answer> answer) override {
    if (!answer.ok()) return fail(answer.error());
    const engine::GenerateResult& result = answer->choices.front();
    OrderedJson last = document(stream_ ? std::string_view() : result.text, true);
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
  [[nodiscard]] OrderedJson document(std::string_view text, bool done) const {
    OrderedJson out = {{"model", model_},
                       {"created_at", time_text(std::chrono::system_clock::now())}};
    if (kind_ == Kind::kChat)
      out["message"] = {{"role", "assistant"}, {"content", text}};
    else
      out["response"] = text;
    out["done"] = done;
    return out;
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
};

Response loaded(Kind kind, const std::string& model) {
  OrderedJson out = {{"model", model}, {"created_at", time_text(std::chrono::system_clock::now())}};
  if (kind == Kind::kChat)
    out["message"] = {{"role", "assistant"}, {"content", ""}};
  else
    out["response"] = "";
  out["done"] = true;
  out["done_reason"] = "load";
  return json_response(200, out);
}

}  // namespace

std::string time_text(std::chrono::system_clock::time_point time) {
  return base::format_utc(std::chrono::floor<std::chrono::seconds>(time));
}

OrderedJson model_document(const gate::ServedModel& model, std::string_view modified_at) {
  const engine::EngineInfo& info = model.info();
  uint64_t bytes = 0;
  for (const auto& file : model.composition().paths) bytes += file.size;
  return {{"name", model.name()},
          {"model", model.name()},
          {"modified_at", modified_at},
          {"size", bytes},
          {"digest", base::to_hex(model.composition().id)},
          {"details",
           {{"parent_model", ""},
            {"format", "gguf"},
            {"family", info.model.architecture},
            {"families", OrderedJson::array({info.model.architecture})},
            {"parameter_size", ""},
            {"quantization_level", ""}}}};
}

void run(Service& service, const Request& request, const std::shared_ptr<Reply>& reply, Kind kind,
         Result<TextRequest> parsed) {
  if (!parsed.ok()) return reply->send(error_response(Api::kOllama, parsed.error()));
  Generation& generation = parsed->generation;
  const auto model = service.find(generation.model);
  if (!model.ok()) return reply->send(error_response(Api::kOllama, model.error()));
  if (parsed->only_loads) return reply->send(loaded(kind, generation.model));
  Headers headers;
  settle_seed(generation, headers);
  auto sink =
      std::make_shared<Sink>(kind, generation.stream, generation.model, std::move(headers), reply);
  generate(service, **model, std::move(generation), request, reply->gone(), std::move(sink));
}

}  // namespace lantern::server::ollama
