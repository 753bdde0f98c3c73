#include "server/openai/completions.h"

#include <algorithm>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "base/printable.h"
#include "server/endpoint.h"
#include "server/generation.h"
#include "server/openai/answer.h"

namespace lantern::server::openai {
namespace {

using base::OrderedJson;

/// A token's text; where its bytes are no characters by themselves, as OpenAI spells those:
/// bytes:\xe2\x80
std::string spelled(std::string_view bytes) {
  if (base::is_utf8(bytes)) return std::string(bytes);
  std::string out = "bytes:";
  for (const char byte : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return out;
}

bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

int64_t count_characters(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(), begins_character);
}

OrderedJson no_logprobs() {
  return {{"tokens", OrderedJson::array()},
          {"token_logprobs", OrderedJson::array()},
          {"top_logprobs", OrderedJson::array()},
          {"text_offset", OrderedJson::array()}};
}

/// The one response that the answers to all prompts become. Prompts are answered side by side and
/// end on several threads, so everything is under one mutex.
class Joined {
 public:
  Joined(CompletionOptions options, std::shared_ptr<Reply> reply, const std::stop_source& cancel)
      : options_(std::move(options)),
        reply_(std::move(reply)),
        cancel_(cancel),
        echoes_(options_.n_prompts),
        answers_(options_.n_prompts),
        open_(options_.n_prompts),
        choices_(size_t{options_.n_prompts} * options_.n_choices),
        gone_(reply_->gone(), [cancel]() mutable { cancel.request_stop(); }) {}

  void on_prompt(uint32_t prompt, std::string_view text) {
    const std::lock_guard lock(mutex_);
    if (options_.echo) echoes_[prompt] = text;
    for (uint32_t c = 0; c < options_.n_choices; ++c) {
      Choice& one = choices_[index_of(prompt, c)];
      one.begin = one.n_characters = count_characters(text);
    }
  }

  void on_text(uint32_t prompt, uint32_t choice, std::string_view piece) {
    const std::lock_guard lock(mutex_);
    if (!options_.stream || failed_) return;
    begin(prompt, choice);
    write_chunk(index_of(prompt, choice), piece, nullptr);
  }

  void on_token(uint32_t prompt, uint32_t choice, const engine::TokenEvent& token) {
    const std::lock_guard lock(mutex_);
    Choice& to = choices_[index_of(prompt, choice)];
    OrderedJson top = OrderedJson::object();
    for (const engine::TokenLogprob& other : token.top)
      top.emplace(spelled(options_.piece(other.id)), other.logprob);
    top.emplace(spelled(token.bytes), token.logprob);  // also where it is none of the best
    const bool goes_on = !token.bytes.empty() && !begins_character(token.bytes.front());
    to.logprobs["tokens"].push_back(spelled(token.bytes));
    to.logprobs["token_logprobs"].push_back(token.logprob);
    to.logprobs["top_logprobs"].push_back(std::move(top));
    to.logprobs["text_offset"].push_back(std::max(to.n_characters - (goes_on ? 1 : 0), to.begin));
    to.n_characters += count_characters(token.bytes);
  }

  void on_done(uint32_t prompt, Result<gate::Answer> answer) {
    const bool failed = !answer.ok();
    {
      const std::lock_guard lock(mutex_);
      if (failed_) return;
      if (failed)
        fail(answer.error());
      else
        complete(prompt, std::move(*answer));
    }
    // Whoever is told of it may come back here.
    if (failed) cancel_.request_stop();
  }

 private:
  struct Choice {
    bool begun = false;
    OrderedJson logprobs = no_logprobs();  // not sent yet
    int64_t begin = 0;                     // characters of the prompt
    int64_t n_characters = 0;              // these, and those of the tokens so far
  };

  [[nodiscard]] size_t index_of(uint32_t prompt, uint32_t choice) const {
    return size_t{prompt} * options_.n_choices + choice;
  }

  [[nodiscard]] OrderedJson document() const {
    return {{"id", "cmpl-" + options_.id},
            {"object", "text_completion"},
            {"created", created_},
            {"model", options_.model},
            {"system_fingerprint", options_.fingerprint}};
  }

  /// The tokens since the last call.
  OrderedJson take_logprobs(size_t index) {
    if (!options_.piece) return nullptr;
    return std::exchange(choices_[index].logprobs, no_logprobs());
  }

  static OrderedJson choice_document(size_t index, std::string_view text, OrderedJson logprobs,
                                     OrderedJson finish) {
    return {{"index", index},
            {"text", text},
            {"logprobs", std::move(logprobs)},
            {"finish_reason", std::move(finish)}};
  }

  static std::string_view finish_reason(const engine::GenerateResult& result) {
    return result.finish == engine::FinishReason::kLength ? "length" : "stop";
  }

  void write(const OrderedJson& event) { events_.write(sse_event(event)); }

  void write_chunk(size_t index, std::string_view text, OrderedJson finish) {
    OrderedJson chunk = document();
    chunk["choices"] =
        OrderedJson::array({choice_document(index, text, take_logprobs(index), std::move(finish))});
    write(chunk);
  }

  void begin(uint32_t prompt, uint32_t choice) {
    Choice& one = choices_[index_of(prompt, choice)];
    if (std::exchange(one.begun, true) || echoes_[prompt].empty()) return;
    OrderedJson chunk = document();
    chunk["choices"] = OrderedJson::array(
        {choice_document(index_of(prompt, choice), echoes_[prompt], nullptr, nullptr)});
    write(chunk);
  }

  void fail(const Error& error) {
    failed_ = true;
    if (!events_.started()) return reply_->send(error_response(Api::kOpenAi, error));
    reply_->write(sse_event(error_document(Api::kOpenAi, error)));
    reply_->end();
  }

  void complete(uint32_t prompt, gate::Answer answer) {
    for (uint32_t c = 0; options_.stream && c < options_.n_choices; ++c) {
      begin(prompt, c);
      write_chunk(index_of(prompt, c), {}, finish_reason(answer.choices[c]));
    }
    answers_[prompt] = std::move(answer);
    if (--open_ > 0) return;
    if (!options_.stream) return reply_->send(whole());
    if (options_.include_usage) {
      OrderedJson last = document();
      last["choices"] = OrderedJson::array();
      last["usage"] = usage_of(answers_);
      write(last);
    }
    reply_->write("data: [DONE]\n\n");
    reply_->end();
  }

  Response whole() {
    OrderedJson out = document();
    OrderedJson& choices = out["choices"] = OrderedJson::array();
    for (uint32_t p = 0; p < options_.n_prompts; ++p)
      for (uint32_t c = 0; c < options_.n_choices; ++c) {
        const engine::GenerateResult& result = answers_[p].choices[c];
        const size_t index = index_of(p, c);
        choices.push_back(choice_document(index, echoes_[p] + result.text, take_logprobs(index),
                                          finish_reason(result)));
      }
    out["usage"] = usage_of(answers_);
    Response response = json_response(200, out);
    for (const auto& [name, value] : options_.headers) response.headers.add(name, value);
    return response;
  }

  const CompletionOptions options_;
  const std::shared_ptr<Reply> reply_;
  EventStream events_{reply_, options_.headers};
  std::stop_source cancel_;
  const int64_t created_ = unix_seconds();
  std::mutex mutex_;
  std::vector<std::string> echoes_;  // by prompt; under the mutex, as what follows
  std::vector<gate::Answer> answers_;
  uint32_t open_;  // prompts without an answer
  std::vector<Choice> choices_;
  bool failed_ = false;
  const std::stop_callback<std::function<void()>> gone_;
};

class PromptSink final : public gate::AnswerSink {
 public:
  PromptSink(std::shared_ptr<Joined> joined, uint32_t prompt)
      : joined_(std::move(joined)), prompt_(prompt) {}
  void on_prompt(std::string_view text) override { joined_->on_prompt(prompt_, text); }
  void on_text(uint32_t choice, std::string_view piece) override {
    joined_->on_text(prompt_, choice, piece);
  }
  void on_token(uint32_t choice, const engine::TokenEvent& token) override {
    joined_->on_token(prompt_, choice, token);
  }
  void on_done(Result<gate::Answer> answer) override {
    joined_->on_done(prompt_, std::move(answer));
  }

 private:
  const std::shared_ptr<Joined> joined_;
  const uint32_t prompt_;
};

void answer_prompts(Service& service, const gate::ModelUse& model, const Asker& asker,
                    const std::shared_ptr<Reply>& reply, TextRequest asked) {
  Generation& generation = asked.generation;
  CompletionOptions options{.stream = generation.stream,
                            .include_usage = asked.include_usage,
                            .echo = asked.echo,
                            .id = asker.id,
                            .model = model->name(),
                            .fingerprint = fingerprint_of(*model),
                            .n_prompts = static_cast<uint32_t>(asked.prompts.size()),
                            .n_choices = generation.n_choices};
  if (generation.options.logprobs >= 0)
    options.piece = [&tokenizer = model->text().tokenizer()](int32_t id) {
      return tokenizer.piece(id);
    };
  settle_seed(generation, options.headers);
  const Result<MessageReading> reading = prepare_message(*model, generation);
  if (!reading.ok()) return reply->send(error_response(Api::kOpenAi, reading.error()));
  const std::stop_source cancel;
  const auto sinks = completion_sinks(std::move(options), reply, cancel);
  for (size_t p = 0; p < sinks.size() && !cancel.stop_requested(); ++p) {
    Generation one = generation;
    // Equal prompts draw as the choices of one do: reproducibly, and apart.
    one.options.sampler.choice = static_cast<uint32_t>(p) * generation.n_choices;
    std::visit([&](auto& prompt) { one.prompt = std::move(prompt); }, asked.prompts[p]);
    one.options.cancel = cancel.get_token();
    generate(service, model, std::move(one), asker, reply, sinks[p]);
  }
}

}  // namespace

std::vector<std::shared_ptr<gate::AnswerSink>> completion_sinks(CompletionOptions options,
                                                                const std::shared_ptr<Reply>& reply,
                                                                const std::stop_source& cancel) {
  const uint32_t n_prompts = options.n_prompts;
  const auto joined = std::make_shared<Joined>(std::move(options), reply, cancel);
  std::vector<std::shared_ptr<gate::AnswerSink>> out;
  out.reserve(n_prompts);
  for (uint32_t p = 0; p < n_prompts; ++p) out.push_back(std::make_shared<PromptSink>(joined, p));
  return out;
}

void run_completions(Service& service, const Request& request, const std::shared_ptr<Reply>& reply,
                     Result<TextRequest> parsed) {
  if (!parsed.ok()) return reply->send(error_response(Api::kOpenAi, parsed.error()));
  const Asker asker = asker_of(request);
  const ModelWish wish{.name = parsed->generation.model, .api = Api::kOpenAi};
  with_model(
      service, wish, asker, reply,
      [&service, reply, asker, asked = std::move(*parsed)](const gate::ModelUse& model) mutable {
        answer_prompts(service, model, asker, reply, std::move(asked));
      });
}

}  // namespace lantern::server::openai
