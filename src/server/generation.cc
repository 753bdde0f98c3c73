#include "server/generation.h"

#include <random>

#include "server/service.h"

namespace lantern::server {

Result<std::string> text_of_part(const base::OrderedJson& json, const std::string& path) {
  Fields part(json, path);
  std::string type, piece;
  part.read("type", type);
  LANTERN_TRY(part.status());
  if (type == "image_url" || type == "image" || type == "input_image")
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: images cannot be read here: this service answers text", path);
  if (type == "input_audio" || type == "audio")
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: audio cannot be heard here: this service answers text", path);
  if (type != "text" && type != "input_text" && type != "output_text")
    return make_error(ErrorCode::kInvalidArgument,
                      "{}.type: \"text\" is needed, other parts are not supported", path);
  part.read("text", piece, 16u << 20);
  LANTERN_TRY(part.status());
  return piece;
}

Result<std::string> text_of_content(const base::OrderedJson& content, const std::string& path) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array())
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: a string or an array of content parts is needed", path);
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    LANTERN_ASSIGN(const std::string piece,
                   text_of_part(content[i], fmt::format("{}[{}]", path, i)));
    if (!text.empty()) text += "\n";
    text += piece;
  }
  return text;
}

void settle_seed(Generation& generation, Headers& headers) {
  if (!generation.seed) {
    std::random_device device;
    generation.seed = device();
  }
  generation.options.sampler.seed = *generation.seed;
  headers.add("Lantern-Seed", std::to_string(*generation.seed));
}

namespace {

gate::AnswerRequest to_gate(Generation generation, const Asker& asker) {
  gate::AnswerRequest out{.caller = asker.caller,
                          .action = policy::Action::kChat,
                          .id = asker.id,
                          .prompt = std::move(generation.prompt),
                          .options = std::move(generation.options),
                          .n_choices = generation.n_choices,
                          .context = generation.context};
  if (auto* chat = std::get_if<text::RenderInput>(&out.prompt))
    chat->date = engine::local_time_now();
  return out;
}

/// Measures what goes through it, keeps the model loaded, and says why an answer was cut.
class MeteredSink final : public gate::AnswerSink {
 public:
  struct Of {
    Service& service;
    gate::ModelUse model;  // until the answer's end is told
    std::shared_ptr<Reply> reply;
    std::optional<std::chrono::seconds> keep_alive;
  };
  MeteredSink(Of of, std::shared_ptr<gate::AnswerSink> sink)
      : of_(std::move(of)), sink_(std::move(sink)) {}
  void on_prompt(std::string_view text) override { sink_->on_prompt(text); }
  void on_accepted(int64_t n_prompt_tokens) override { sink_->on_accepted(n_prompt_tokens); }
  void on_text(uint32_t choice, std::string_view piece) override { sink_->on_text(choice, piece); }
  void on_marker(uint32_t choice, std::string_view spelling) override {
    sink_->on_marker(choice, spelling);
  }
  void on_token(uint32_t choice, const engine::TokenEvent& token) override {
    sink_->on_token(choice, token);
  }
  void on_done(Result<gate::Answer> answer) override {
    if (!answer.ok()) answer = why_cut(*of_.reply, std::move(answer).error());
    // What is refused has no say in how long the model stays.
    if (of_.keep_alive && (answer.ok() || answer.error().code == ErrorCode::kCancelled))
      of_.service.host().keep_for(of_.model, *of_.keep_alive);
    if (answer.ok()) {
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
      for (const engine::GenerateResult& choice : answer->choices)
        of_.service.metrics().count_answer(
            {.model = of_.model->name(),
             .prompt_tokens = choice.prompt_tokens,
             .completion_tokens = static_cast<int64_t>(choice.ids.size()),
             .request_seconds = took.count(),
             .first_token_seconds = choice.first_token_seconds,
             .decode_seconds = choice.decode_seconds});
    }
    sink_->on_done(std::move(answer));
  }

 private:
  const Of of_;
  const std::shared_ptr<gate::AnswerSink> sink_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace

Asker asker_of(const Request& request) {
  return {.caller = request.identify ? request.identify() : gate::Caller{}, .id = request.id};
}

void with_model(Service& service, const ModelWish& wish, const Asker& asker,
                const std::shared_ptr<Reply>& reply, std::function<void(gate::ModelUse)> then) {
  service.host().use(wish.name,
                     {.caller = asker.caller, .action = wish.action, .gone = reply->gone()},
                     [api = wish.api, reply, then = std::move(then)](Result<gate::ModelUse> model) {
                       if (!model.ok())
                         return reply->send(model_error_response(api, model.error()));
                       then(std::move(*model));
                     });
}

void generate(Service& service, const gate::ModelUse& model, Generation generation,
              const Asker& asker, const std::shared_ptr<Reply>& reply,
              std::shared_ptr<gate::AnswerSink> sink) {
  MeteredSink::Of of{service, model, reply, generation.keep_alive};
  gate::AnswerRequest out = to_gate(std::move(generation), asker);
  if (!out.options.cancel.stop_possible()) out.options.cancel = reply->gone();
  model->answer(std::move(out), std::make_shared<MeteredSink>(std::move(of), std::move(sink)));
}

Error why_cut(const Reply& reply, Error fault) {
  if (fault.code != ErrorCode::kCancelled) return fault;
  std::optional<Error> why = reply.why_gone();
  return why ? *std::move(why) : std::move(fault);
}

Result<int64_t> count_prompt(gate::ServedModel& model, Generation generation, const Asker& asker) {
  return model.count_tokens(to_gate(std::move(generation), asker));
}

std::string sse_event(const base::OrderedJson& document, std::string_view name) {
  std::string out;
  if (!name.empty()) out += fmt::format("event: {}\n", name);
  out += "data: ";
  out += document.dump(-1, ' ', false, base::OrderedJson::error_handler_t::replace);
  out += "\n\n";
  return out;
}

void EventStream::write(std::string event) {
  if (started_) return reply_->write(std::move(event));
  started_ = true;
  Response head{.headers = headers_, .body = std::move(event)};
  head.headers.add("Content-Type", "text/event-stream; charset=utf-8");
  reply_->start(std::move(head));
}

int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace lantern::server
