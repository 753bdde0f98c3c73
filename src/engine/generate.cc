// The loop: prompt in, one id after another out.
#include <algorithm>
#include <utility>

#include "engine/answer.h"
#include "engine/engine_impl.h"

namespace lantern::engine {
namespace {

// Logits handed to a sink at a time.
constexpr int64_t kLogitsBytesMax = 16 << 20;

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
  if (info.model.is_encoder)
    return make_error(ErrorCode::kUnsupported,
                      "{} makes embeddings and writes no text; ask it for embeddings", info.name);
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

int64_t Engine::Impl::planned_length(const Prompt& prompt, const GenerateOptions& options) const {
  return options.max_tokens > 0 ? std::ssize(prompt.ids) + options.max_tokens : length_unlimited;
}

Result<bool> Engine::Impl::prefill(Sequence& sequence, const Answer& answer, int64_t planned_length,
                                   Companions& others, std::vector<float>& logits) {
  const int64_t wanted = answer.options().chunk;
  const auto chunk = static_cast<size_t>(wanted > 0 ? wanted : kUsualChunk);
  const std::span<const int32_t> ids = answer.ids();
  while (sequence.ids.size() < ids.size()) {
    if (answer.cancel_wanted()) return false;
    const size_t first = sequence.ids.size();
    const size_t n = std::min(chunk, ids.size() - first);
    const bool last = first + n == ids.size();
    LANTERN_TRY(
        stepper().run(sequence,
                      {.tokens = ids.subspan(first, n),
                       .planned_length = planned_length,
                       .adapter = answer.options().adapter.get(),
                       .wanted = last ? arch::LogitsWanted::kLast : arch::LogitsWanted::kNone,
                       .logits = last ? logits.data() : nullptr},
                      others));
  }
  return true;
}

std::optional<Speculator> Engine::Impl::speculator(const Answer& answer) {
  if (answer.options().speculation == Speculation::kOff) return std::nullopt;
  std::vector<std::unique_ptr<Guesser>> guessers;
  guessers.push_back(std::make_unique<PromptLookup>());
  if (draft) {
    // A sampler that this answer has, another can have too.
    auto made = DraftModel::create(*draft->impl_, answer.options().sampler,
                                   std::ssize(answer.ids()) - answer.n_drawn());
    if (made.ok()) guessers.push_back(std::move(made).value());
  }
  return Speculator(std::move(guessers));
}

int64_t Engine::Impl::draw_rows(Answer& answer, std::span<const int32_t> guesses,
                                std::span<const float> rows) const {
  const auto n_vocab = static_cast<size_t>(info.model.n_vocab);
  for (int64_t n = 0;; ++n) {
    answer.draw(rows.subspan(static_cast<size_t>(n) * n_vocab, n_vocab));
    answer.deliver();
    if (answer.follows(guesses, n)) continue;
    answer.count_guesses(std::ssize(guesses), n);
    return n;
  }
}

void Engine::Impl::append_guesses(const Answer& answer, const Sequence& sequence,
                                  Speculator& speculator, std::vector<int32_t>& tokens) {
  // The last id that may be drawn is never run, and no page is taken for a guess.
  const int64_t n_max = std::min(
      {kGuessesMax, answer.left() - 1, sequence.kv.positions() - std::ssize(answer.ids())});
  const double alone = costs.seconds(1);
  const Offer offer = speculator.offer(answer.ids(), n_max, alone > 0 ? 1 / alone : 0);
  const bool always = answer.options().speculation == Speculation::kAlways;
  const int64_t n = always ? offer.n : choose_guesses(costs, std::span(&offer, 1), offer.n).front();
  const auto guessed = speculator.guess(n);
  tokens.insert(tokens.end(), guessed.begin(), guessed.end());
}

Result<GenerateResult> Engine::Impl::run(Sequence& sequence, const Prompt& prompt,
                                         const GenerateOptions& options, int64_t planned_length) {
  LANTERN_TRY(check_batch(options.chunk, options.beside));
  LANTERN_ASSIGN(std::unique_ptr<Answer> answer, Answer::create(*this, context, prompt, options));
  // The last id is always run: its logits are needed.
  size_t kept = std::min(common_prefix(sequence.ids, prompt.ids), prompt.ids.size() - 1);
  if (!sequence.kv.can_resume_at(static_cast<int64_t>(kept))) {
    sequence.kv.clear();
    kept = 0;
  }
  sequence.ids.resize(kept);
  answer->begin();
  answer->set_cached(static_cast<int64_t>(kept));

  Companions others = companions(options.beside);
  std::optional<Speculator> guesses = speculator(*answer);
  const size_t n_rows = guesses ? 1 + kGuessesMax : 1;
  std::vector<float> logits(n_rows * static_cast<size_t>(info.model.n_vocab));
  LANTERN_ASSIGN(bool prefilled, prefill(sequence, *answer, planned_length, others, logits));
  std::vector<int32_t> tokens;  // of the step: the id drawn last, and guesses of what follows it
  for (;;) {
    if (!prefilled || answer->cancel_wanted()) {
      answer->cancel();
      break;
    }
    const auto guessed = std::span(tokens).subspan(tokens.empty() ? 0 : 1);
    const int64_t n_kept = draw_rows(*answer, guessed, logits);
    // What a wrong guess left in the cache is written anew.
    sequence.ids.resize(std::min(sequence.ids.size(), answer->ids().size() - 1));
    if (guesses && !tokens.empty()) guesses->record(std::ssize(guessed), n_kept);
    if (answer->ended()) break;
    tokens.assign(1, answer->ids().back());
    if (guesses) append_guesses(*answer, sequence, *guesses, tokens);
    const Stopwatch watch;
    LANTERN_TRY(stepper().run(sequence,
                              {.tokens = tokens,
                               .planned_length = planned_length,
                               .adapter = answer->options().adapter.get(),
                               .wanted = arch::LogitsWanted::kAll,
                               .logits = logits.data()},
                              others));
    if (options.beside == 0) costs.record(std::ssize(tokens), watch.seconds());
  }
  return answer->take();
}

Result<GenerateResult> Engine::generate(const Prompt& prompt, const GenerateOptions& options) {
  Sequence sequence(*impl_->kv);
  return impl_->run(sequence, prompt, options, impl_->planned_length(prompt, options));
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
         .adapter = options.adapter.get(),
         .wanted = arch::LogitsWanted::kAll,
         .logits = rows.data()},
        others));
    LANTERN_TRY(sink(first, n, std::span(rows).first(static_cast<size_t>(n * n_vocab))));
  }
  return {};
}

}  // namespace lantern::engine
