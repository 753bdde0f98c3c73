// The loop: prompt in, one id after another out.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "engine/engine_impl.h"
#include "engine/stop_strings.h"

namespace lantern::engine {
namespace {

// Logits handed to a sink at a time.
constexpr int64_t kLogitsBytesMax = 16 << 20;

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// The way of an answer's ids to the caller: text, held back where it may be a stop string.
class Output {
 public:
  Output(const text::Tokenizer& tokenizer, text::StreamStart start, StopStrings stop,
         const std::function<void(std::string_view)>& on_text, std::string& text)
      : decoder_(tokenizer, {}, start), stop_(std::move(stop)), on_text_(on_text), text_(text) {}

  void push(int32_t id) { show(stop_.push(decoder_.push(id))); }
  void finish() {
    show(stop_.push(decoder_.flush()));
    show(stop_.flush());
  }
  [[nodiscard]] bool stopped() const { return stop_.stopped(); }

 private:
  void show(const std::string& piece) {
    if (piece.empty()) return;
    text_ += piece;
    if (on_text_) on_text_(piece);
  }

  text::StreamDecoder decoder_;
  StopStrings stop_;
  const std::function<void(std::string_view)>& on_text_;
  std::string& text_;
};

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const auto [end, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(end - a.begin());
}

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kStopString:
      return "stop_string";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

Status Engine::Impl::check_ids(std::span<const int32_t> ids) const {
  for (int32_t id : ids)
    if (id < 0 || id >= info.model.n_vocab)
      return make_error(ErrorCode::kInvalidArgument,
                        "token {} is outside the vocabulary of {} tokens", id, info.model.n_vocab);
  return {};
}

Status Engine::Impl::check_batch(int64_t chunk, int64_t beside) {
  if (chunk < 0)
    return make_error(ErrorCode::kInvalidArgument,
                      "chunk: {} is not a number of tokens (0: the engine's choice)", chunk);
  if (beside < 0 || beside > Companions::kCountMax)
    return make_error(ErrorCode::kInvalidArgument, "beside: {} is not from 0 to {}", beside,
                      Companions::kCountMax);
  return {};
}

Status Engine::Impl::check_prompt(const Prompt& prompt, const GenerateOptions& options) const {
  if (prompt.ids.empty()) return make_error(ErrorCode::kInvalidArgument, "the prompt is empty");
  LANTERN_TRY(check_ids(prompt.ids));
  if (options.max_tokens < 0)
    return make_error(ErrorCode::kInvalidArgument, "max-tokens: {} is negative",
                      options.max_tokens);
  const auto n_prompt = static_cast<int64_t>(prompt.ids.size());
  if (n_prompt >= info.context)
    return make_error(ErrorCode::kInvalidArgument,
                      "the prompt has {} tokens, the context {}, one at least for the answer; "
                      "shorten it, or give a longer --context (the model was made for {})",
                      n_prompt, info.context, info.model.n_context_train);
  if (options.max_tokens > info.context - n_prompt)
    return make_error(ErrorCode::kInvalidArgument,
                      "{} tokens of prompt and {} to generate pass the context of {}; ask for at "
                      "most {}, or give a longer --context (the model was made for {})",
                      n_prompt, options.max_tokens, info.context, info.context - n_prompt,
                      info.model.n_context_train);
  return {};
}

Result<bool> Engine::Impl::prefill(Sequence& sequence, const Prompt& prompt,
                                   const GenerateOptions& options, int64_t planned_length,
                                   Companions& others, std::vector<float>& logits) {
  const auto chunk = static_cast<size_t>(options.chunk > 0 ? options.chunk : kUsualChunk);
  const std::span<const int32_t> ids = prompt.ids;
  while (sequence.ids.size() < ids.size()) {
    if (options.cancel.stop_requested()) return false;
    const size_t first = sequence.ids.size();
    const size_t n = std::min(chunk, ids.size() - first);
    const bool last = first + n == ids.size();
    LANTERN_TRY(
        stepper().run(sequence,
                      {.tokens = ids.subspan(first, n),
                       .planned_length = planned_length,
                       .wanted = last ? arch::LogitsWanted::kLast : arch::LogitsWanted::kNone,
                       .logits = last ? logits.data() : nullptr},
                      others));
  }
  return true;
}

Result<GenerateResult> Engine::Impl::run(Sequence& sequence, const Prompt& prompt,
                                         const GenerateOptions& options, int64_t planned_length) {
  const Stopwatch watch;
  if (!text)
    return make_error(ErrorCode::kUnsupported,
                      "{}: the model has no tokenizer, so it cannot answer; `lantern logits` takes "
                      "token ids",
                      info.name);
  LANTERN_TRY(check_batch(options.chunk, options.beside));
  LANTERN_TRY(check_prompt(prompt, options));
  LANTERN_ASSIGN(Sampler sampler, Sampler::create(options.sampler, context));
  LANTERN_ASSIGN(StopStrings stop, StopStrings::create(options.stop));

  GenerateResult result;
  result.prompt_tokens = static_cast<int64_t>(prompt.ids.size());
  // The last id is always run: its logits are needed.
  size_t kept = std::min(common_prefix(sequence.ids, prompt.ids), prompt.ids.size() - 1);
  if (!sequence.kv.can_resume_at(static_cast<int64_t>(kept))) {
    sequence.kv.clear();
    kept = 0;
  }
  sequence.ids.resize(kept);
  result.cached_tokens = static_cast<int64_t>(kept);

  Companions others = companions(options.beside);
  std::vector<float> logits(static_cast<size_t>(info.model.n_vocab));
  LANTERN_ASSIGN(bool prefilled,
                 prefill(sequence, prompt, options, planned_length, others, logits));
  result.prefill_seconds = watch.seconds();

  Output output(text->tokenizer(), prompt.answer, std::move(stop), options.on_text, result.text);
  std::vector<int32_t> history = prompt.ids;
  const int64_t room = info.context - result.prompt_tokens;
  const int64_t wanted = options.max_tokens > 0 ? options.max_tokens : room;
  for (int64_t position = 0;; ++position) {
    if (!prefilled || options.cancel.stop_requested()) {
      result.finish = FinishReason::kCancelled;
      break;
    }
    const int32_t id = sampler.sample(logits, history, static_cast<uint64_t>(position));
    if (position == 0) result.first_token_seconds = watch.seconds();
    result.ids.push_back(id);
    history.push_back(id);
    if (!options.ignore_end && text->is_end(id)) {
      result.finish = FinishReason::kStop;
      break;
    }
    output.push(id);
    if (output.stopped()) {
      result.finish = FinishReason::kStopString;
      break;
    }
    if (position + 1 == wanted) {
      result.finish = FinishReason::kLength;
      result.context_full = wanted == room;
      break;
    }
    LANTERN_TRY(stepper().run(
        sequence,
        {.tokens = std::span(&id, 1), .planned_length = planned_length, .logits = logits.data()},
        others));
  }
  output.finish();
  if (!result.ids.empty()) result.decode_seconds = watch.seconds() - result.first_token_seconds;
  return result;
}

Result<GenerateResult> Engine::generate(const Prompt& prompt, const GenerateOptions& options) {
  Sequence sequence(*impl_->kv);
  const int64_t planned = options.max_tokens > 0
                              ? static_cast<int64_t>(prompt.ids.size()) + options.max_tokens
                              : impl_->length_unlimited;
  return impl_->run(sequence, prompt, options, planned);
}

Status Engine::logits(std::span<const int32_t> ids, const LogitsOptions& options,
                      const LogitsSink& sink) {
  LANTERN_TRY(Impl::check_batch(options.chunk, options.beside));
  LANTERN_TRY(impl_->check_ids(ids));
  const auto n_ids = static_cast<int64_t>(ids.size());
  if (n_ids == 0) return make_error(ErrorCode::kInvalidArgument, "no tokens were given");
  if (n_ids > impl_->info.context)
    return make_error(ErrorCode::kInvalidArgument, "{} tokens pass the context of {}", n_ids,
                      impl_->info.context);

  const int64_t n_vocab = impl_->info.model.n_vocab;
  const int64_t fitting =
      std::max<int64_t>(1, kLogitsBytesMax / (n_vocab * static_cast<int64_t>(sizeof(float))));
  int64_t chunk = std::min({fitting, kUsualChunk, n_ids});
  if (options.chunk > 0) chunk = std::min(options.chunk, chunk);

  Sequence sequence(*impl_->kv);
  Companions others = impl_->companions(options.beside);
  std::vector<float> rows(static_cast<size_t>(chunk * n_vocab));
  for (int64_t first = 0; first < n_ids; first += chunk) {
    if (options.cancel.stop_requested())
      return make_error(ErrorCode::kCancelled, "cancelled after {} of {} tokens", first, n_ids);
    const int64_t n = std::min(chunk, n_ids - first);
    LANTERN_TRY(impl_->stepper().run(
        sequence,
        {.tokens = ids.subspan(static_cast<size_t>(first), static_cast<size_t>(n)),
         .planned_length = n_ids,
         .wanted = arch::LogitsWanted::kAll,
         .logits = rows.data()},
        others));
    LANTERN_TRY(sink(first, n, std::span(rows).first(static_cast<size_t>(n * n_vocab))));
  }
  return {};
}

}  // namespace lantern::engine
