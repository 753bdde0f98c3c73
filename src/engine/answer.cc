#include "engine/answer.h"

#include <algorithm>
#include <utility>

#include "engine/engine_impl.h"

namespace lantern::engine {
namespace {

// Bytes of white space that may stand before the tag that opens reasoning.
constexpr size_t kBeforeReasoning = 16;

}  // namespace

Result<std::unique_ptr<Answer>> Answer::create(const Engine::Impl& engine,
                                               const kernels::Context& context,
                                               const Prompt& prompt, GenerateOptions options) {
  if (!engine.text)
    return make_error(ErrorCode::kUnsupported,
                      "{}: the model has no tokenizer, so it cannot answer; `lantern logits` takes "
                      "token ids",
                      engine.info.name);
  LANTERN_TRY(engine.check_prompt(prompt, options));
  if (options.logprobs < -1 || options.logprobs > Logprobs::kTopMax)
    return make_error(ErrorCode::kInvalidArgument, "logprobs: {} is not from -1 (none) to {}",
                      options.logprobs, Logprobs::kTopMax);
  if (options.grammar && options.ignore_end)
    return make_error(ErrorCode::kInvalidArgument,
                      "an answer that a grammar ends cannot go on past its end");
  LANTERN_ASSIGN(Sampler sampler, Sampler::create(options.sampler, context));
  LANTERN_ASSIGN(StopStrings stop, StopStrings::create(options.stop));
  return std::unique_ptr<Answer>(
      new Answer(engine, context, prompt, std::move(options), std::move(sampler), std::move(stop)));
}

Answer::Answer(const Engine::Impl& engine, const kernels::Context& context, const Prompt& prompt,
               GenerateOptions options, Sampler sampler, StopStrings stop)
    : text_(*engine.text),
      options_(std::move(options)),
      sampler_(std::move(sampler)),
      stop_(std::move(stop)),
      decoder_(engine.text->tokenizer(), {}, prompt.answer),
      ids_(prompt.ids) {
  if (options_.reasoning && !options_.reasoning->close.empty()) {
    in_reasoning_ = options_.reasoning->is_open;
    may_reason_ = !in_reasoning_ && !options_.reasoning->open.empty();
  }
  if (options_.logprobs >= 0) logprobs_.emplace(options_.logprobs, context);
  if (options_.grammar) {
    const bool drops_space =
        prompt.answer == text::StreamStart::kText && text_.tokenizer().drops_first_space();
    grammar_.emplace(options_.grammar, text_.grammar_vocabulary(),
                     drops_space ? text::StreamStart::kText : text::StreamStart::kContinuation);
  }
  result_.prompt_tokens = std::ssize(ids_);
  room_ = engine.info.context - result_.prompt_tokens;
  wanted_ = options_.max_tokens > 0 ? options_.max_tokens : room_;
}

void Answer::begin() {
  if (begun_) return;
  begun_ = true;
  begin_seconds_ = watch_.seconds();
  result_.queued_seconds = begin_seconds_;
}

void Answer::set_cached(int64_t n) {
  if (result_.ids.empty()) result_.cached_tokens = n;
}

void Answer::count_guesses(int64_t n_guessed, int64_t n_kept) {
  result_.guessed_tokens += n_guessed;
  result_.kept_tokens += n_kept;
}

void Answer::draw(std::span<const float> logits) {
  const size_t position = result_.ids.size();
  if (position == 0) result_.prefill_seconds = watch_.seconds() - begin_seconds_;
  const text::TokenMask* mask = nullptr;
  if (grammar_) {
    Result<const text::TokenMask*> allowed = grammar_->mask();
    if (!allowed.ok()) {
      fault_ = std::move(allowed).error();
      return;
    }
    mask = *allowed;
  }
  const int32_t id = next_id(logits, mask);
  if (grammar_) {
    if (Status taken = grammar_->accept(id); !taken.ok()) fault_ = std::move(taken).error();
  }
  if (logprobs_) {
    logprobs_->take(logits);
    logprob_ = logprobs_->of(id);
  }
  if (position == 0) result_.first_token_seconds = watch_.seconds();
  result_.ids.push_back(id);
  ids_.push_back(id);
  follow_reasoning(id);
}

/// The closing tag where reasoning has had its tokens, else what is drawn.
int32_t Answer::next_id(std::span<const float> logits, const text::TokenMask* mask) {
  if (in_reasoning_ && n_reasoned_ >= options_.reasoning->tokens_max &&
      n_closing_ < options_.reasoning->ids.size()) {
    const int32_t id = options_.reasoning->ids[n_closing_];
    if (mask == nullptr || mask->allows(id)) {
      ++n_closing_;
      return id;
    }
    n_closing_ = 0;
  }
  return sampler_.sample(logits, ids_, result_.ids.size(), mask);
}

/// Where the id that was drawn last stands.
void Answer::follow_reasoning(int32_t id) {
  if (!in_reasoning_ && !may_reason_) return;
  const ReasoningLimit& limit = *options_.reasoning;
  const std::string& tag = in_reasoning_ ? limit.close : limit.open;
  tail_ += text_.tokenizer().piece(id);
  if (in_reasoning_) ++n_reasoned_;
  if (tail_.find(tag) != std::string::npos) {
    in_reasoning_ = !in_reasoning_;
    may_reason_ = false;
    tail_.clear();
  } else if (in_reasoning_) {
    tail_.erase(0, tail_.size() - std::min(tail_.size(), tag.size()));
  } else {
    may_reason_ = tail_.size() < tag.size() + kBeforeReasoning;
  }
}

void Answer::deliver() {
  if (fault_) {
    end(FinishReason::kStop);
    return;
  }
  const int32_t id = result_.ids.back();
  if (!options_.ignore_end && text_.is_end(id)) {
    end(FinishReason::kStop);
    return;
  }
  tell_token(id);
  if (std::binary_search(options_.markers.begin(), options_.markers.end(), id))
    show_marker(id);
  else
    show(stop_.push(decoder_.push(id)));
  if (stop_.stopped()) {
    result_.stop_string = stop_.found();
    end(FinishReason::kStopString);
  } else if (std::ssize(result_.ids) == wanted_) {
    result_.context_full = wanted_ == room_;
    end(FinishReason::kLength);
  }
}

void Answer::tell_token(int32_t id) {
  if (!options_.on_token) return;
  TokenEvent event;
  event.id = id;
  event.bytes = text_.tokenizer().piece(id);
  if (logprobs_) {
    event.logprob = logprob_;
    event.top = logprobs_->top();
  }
  options_.on_token(event);
}

void Answer::cancel() {
  if (result_.ids.empty() && begun_) result_.prefill_seconds = watch_.seconds() - begin_seconds_;
  end(FinishReason::kCancelled);
}

void Answer::end(FinishReason reason) {
  show(stop_.push(decoder_.flush()));
  show(stop_.flush());
  if (!result_.ids.empty()) result_.decode_seconds = watch_.seconds() - result_.first_token_seconds;
  result_.finish = reason;
  ended_ = true;
}

void Answer::show(const std::string& piece) {
  if (piece.empty()) return;
  result_.text += piece;
  if (options_.on_text) options_.on_text(piece);
}

/// No character and no stop string goes on past a token that is not text.
void Answer::show_marker(int32_t id) {
  show(stop_.push(decoder_.flush()));
  show(stop_.flush());
  const std::string_view spelling = text_.tokenizer().piece(id);
  result_.text += spelling;
  if (options_.on_marker) options_.on_marker(spelling);
}

Result<GenerateResult> Answer::take() {
  if (fault_) return *std::move(fault_);
  return std::move(result_);
}

}  // namespace lantern::engine
