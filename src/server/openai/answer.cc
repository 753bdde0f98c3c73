#include "server/openai/answer.h"

#include <algorithm>
#include <utility>

#include "server/endpoint.h"
#include "server/generation.h"

namespace lantern::server::openai {
namespace {

using base::OrderedJson;

std::string call_id(const Block& call) { return "call_" + call.id; }

class Sink final : public MessageSink {
 public:
  Sink(AnswerOptions options, std::shared_ptr<Reply> reply)
      : options_(std::move(options)),
        reply_(std::move(reply)),
        begun_(options_.n_choices),
        tokens_(options_.n_choices, OrderedJson::array()),
        calls_(options_.n_choices) {}

  void on_block(uint32_t choice, size_t index, const Block& block) override {
    if (!options_.stream || block.kind != Block::Kind::kCall) return;
    begin(choice);
    if (options_.by_functions)
      return write(
          chunk(choice, function_delta({{"name", block.name}, {"arguments", ""}}), nullptr));
    write(chunk(choice,
                call_delta(choice, index,
                           {{"id", call_id(block)},
                            {"type", "function"},
                            {"function", {{"name", block.name}, {"arguments", ""}}}}),
                nullptr));
  }

  void on_piece(uint32_t choice, size_t index, const Block& block,
                std::string_view piece) override {
    if (!options_.stream) return;
    begin(choice);
    if (block.kind == Block::Kind::kCall && options_.by_functions)
      write(chunk(choice, function_delta({{"arguments", piece}}), nullptr));
    else if (block.kind == Block::Kind::kCall)
      write(chunk(choice, call_delta(choice, index, {{"function", {{"arguments", piece}}}}),
                  nullptr));
    else
      write(chunk(choice, delta(piece, block.kind), nullptr));
  }

  void on_token(uint32_t choice, const engine::TokenEvent& token) override {
    OrderedJson one = spelled(token.bytes, token.logprob);
    OrderedJson& top = one["top_logprobs"] = OrderedJson::array();
    for (const engine::TokenLogprob& other : token.top)
      top.push_back(spelled(options_.tokenizer->piece(other.id), other.logprob));
    tokens_[choice].push_back(std::move(one));
  }

  void on_done(Result<gate::Answer> answer, const std::vector<Message>& messages) override {
    if (!answer.ok()) return fail(answer.error());
    if (!options_.stream) return reply_->send(whole(*answer, messages));
    for (uint32_t choice = 0; choice < options_.n_choices; ++choice) {
      begin(choice);
      write(chunk(choice, delta({}),
                  finish_reason(answer->choices[choice].finish, messages[choice])));
    }
    if (options_.include_usage) {
      OrderedJson last = document();
      last["choices"] = OrderedJson::array();
      last["usage"] = usage_of({&*answer, 1});
      write(last);
    }
    reply_->write("data: [DONE]\n\n");
    reply_->end();
  }

 private:
  [[nodiscard]] std::string_view finish_reason(engine::FinishReason reason,
                                               const Message& message) const {
    if (reason == engine::FinishReason::kLength) return "length";
    if (!message.has_calls()) return "stop";
    return options_.by_functions ? "function_call" : "tool_calls";
  }

  /// A token that may end inside a character: its bytes say what it is.
  static OrderedJson spelled(std::string_view bytes, float logprob) {
    OrderedJson numbers = OrderedJson::array();
    for (char byte : bytes) numbers.push_back(static_cast<unsigned char>(byte));
    return {{"token", bytes}, {"logprob", logprob}, {"bytes", std::move(numbers)}};
  }

  /// The tokens since the last call, as `logprobs` has them.
  OrderedJson take_logprobs(uint32_t choice) {
    if (options_.tokenizer == nullptr) return nullptr;
    OrderedJson content = std::exchange(tokens_[choice], OrderedJson::array());
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }

  [[nodiscard]] OrderedJson document() const {
    return {{"id", "chatcmpl-" + options_.id},
            {"object", options_.stream ? "chat.completion.chunk" : "chat.completion"},
            {"created", created_},
            {"model", options_.model},
            {"system_fingerprint", options_.fingerprint}};
  }

  /// {"delta": {"content": piece}}; an empty piece is an empty delta.
  static OrderedJson delta(std::string_view piece, Block::Kind kind = Block::Kind::kText) {
    if (piece.empty()) return {{"delta", OrderedJson::object()}};
    return {
        {"delta", {{kind == Block::Kind::kReasoning ? "reasoning_content" : "content", piece}}}};
  }

  static OrderedJson function_delta(const OrderedJson& part) {
    return {{"delta", {{"function_call", part}}}};
  }

  /// Calls are counted apart from other blocks.
  OrderedJson call_delta(uint32_t choice, size_t block, const OrderedJson& part) {
    std::vector<size_t>& calls = calls_[choice];
    if (calls.empty() || calls.back() != block) calls.push_back(block);
    OrderedJson call = {{"index", calls.size() - 1}};
    call.update(part);
    return {{"delta", {{"tool_calls", OrderedJson::array({std::move(call)})}}}};
  }

  OrderedJson chunk(uint32_t choice, const OrderedJson& part, OrderedJson finish) {
    OrderedJson out = document();
    OrderedJson one = {{"index", choice}};
    one.update(part);
    one["logprobs"] = take_logprobs(choice);
    one["finish_reason"] = std::move(finish);
    out["choices"] = OrderedJson::array({std::move(one)});
    return out;
  }

  void write(const OrderedJson& event) { events_.write(sse_event(event)); }

  void write_opening(uint32_t choice, const OrderedJson& part) {
    OrderedJson waiting = std::exchange(tokens_[choice], OrderedJson::array());
    OrderedJson opening = chunk(choice, part, nullptr);
    opening["choices"][0]["logprobs"] = nullptr;
    tokens_[choice] = std::move(waiting);
    write(opening);
  }

  /// What comes before a choice's own text.
  void begin(uint32_t choice) {
    if (begun_[choice]) return;
    begun_[choice] = true;
    write_opening(choice, {{"delta", {{"role", "assistant"}, {"content", ""}}}});
  }

  void fail(const Error& error) {
    if (!events_.started()) return reply_->send(error_response(Api::kOpenAi, error));
    reply_->write(sse_event(error_document(Api::kOpenAi, error)));
    reply_->end();
  }

  [[nodiscard]] OrderedJson message_of(const Message& message) const {
    const std::string text = message.text_of(Block::Kind::kText);
    const std::string reasoning = message.text_of(Block::Kind::kReasoning);
    const bool has_calls = message.has_calls();
    OrderedJson out = {{"role", "assistant"},
                       {"content", has_calls && text.empty() ? OrderedJson() : OrderedJson(text)},
                       {"refusal", nullptr}};
    if (!reasoning.empty()) out["reasoning_content"] = reasoning;
    if (!has_calls) return out;
    if (options_.by_functions) {
      const auto call = std::ranges::find(message.blocks, Block::Kind::kCall, &Block::kind);
      out["function_call"] = {{"name", call->name}, {"arguments", call->text}};
      return out;
    }
    OrderedJson& calls = out["tool_calls"] = OrderedJson::array();
    for (const Block& block : message.blocks)
      if (block.kind == Block::Kind::kCall)
        calls.push_back({{"id", call_id(block)},
                         {"type", "function"},
                         {"function", {{"name", block.name}, {"arguments", block.text}}}});
    return out;
  }

  Response whole(const gate::Answer& answer, const std::vector<Message>& messages) {
    OrderedJson out = document();
    OrderedJson& choices = out["choices"] = OrderedJson::array();
    for (uint32_t i = 0; i < answer.choices.size(); ++i) {
      const engine::GenerateResult& choice = answer.choices[i];
      OrderedJson one = {{"index", i}, {"message", message_of(messages[i])}};
      one["logprobs"] = take_logprobs(i);
      one["finish_reason"] = finish_reason(choice.finish, messages[i]);
      choices.push_back(std::move(one));
    }
    out["usage"] = usage_of({&answer, 1});
    Response response = json_response(200, out);
    for (const auto& [name, value] : options_.headers) response.headers.add(name, value);
    return response;
  }

  AnswerOptions options_;
  std::shared_ptr<Reply> reply_;
  EventStream events_{reply_, options_.headers};
  const int64_t created_ = unix_seconds();
  std::vector<bool> begun_;                 // by choice
  std::vector<OrderedJson> tokens_;         // likewise: log-probabilities not sent yet
  std::vector<std::vector<size_t>> calls_;  // likewise: the blocks that are calls
};

}  // namespace

std::shared_ptr<MessageSink> answer_sink(AnswerOptions options, std::shared_ptr<Reply> reply) {
  return std::make_shared<Sink>(std::move(options), std::move(reply));
}

OrderedJson usage_of(std::span<const gate::Answer> answers) {
  int64_t prompt = 0, cached = 0, completion = 0;
  for (const gate::Answer& answer : answers) {
    if (answer.choices.empty()) continue;
    prompt += answer.choices.back().prompt_tokens;  // one prompt, however many choices
    cached += answer.choices.back().cached_tokens;
    for (const engine::GenerateResult& choice : answer.choices)
      completion += static_cast<int64_t>(choice.ids.size());
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", completion},
          {"total_tokens", prompt + completion},
          {"prompt_tokens_details", {{"cached_tokens", cached}}}};
}

std::string fingerprint_of(const gate::ServedModel& model) {
  return fmt::format("lantern-{}-{}-{}", LANTERN_VERSION, kernels::kArithmeticVersion,
                     base::to_hex(model.answers_by()).substr(0, 12));
}

}  // namespace lantern::server::openai
