#include "engine/speculation.h"

#include <algorithm>
#include <utility>

#include "engine/answer.h"
#include "engine/engine_impl.h"

namespace lantern::engine {
namespace {

// Of a prompt, what a draft model takes in while others' answers wait for the step.
constexpr size_t kCatchUpTokens = 64;
// Up to so many ids are those of the last step or two, and the guesses come with them.
constexpr size_t kBehindTokens = 8;
// Catching up with a prompt serves the rest of the answer, of which so many steps are counted on.
constexpr double kStepsServed = 32;
// More ids per second by less than this are noise.
constexpr double kGainMin = 1.03;

}  // namespace

size_t PromptLookup::Hash::operator()(const Gram& gram) const {
  uint64_t hash = 0;
  for (const int32_t id : gram)
    hash = (hash ^ static_cast<uint32_t>(id)) * 0x9E3779B97F4A7C15u;  // Fibonacci hashing
  return hash ^ (hash >> 32);
}

int64_t PromptLookup::look(std::span<const int32_t> ids, int64_t n_max) {
  constexpr size_t kLength = std::tuple_size_v<Gram>;
  found_.clear();
  auto gram_before = [&](size_t end) {
    Gram gram;
    std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(end - kLength), kLength, gram.begin());
    return gram;
  };
  // The gram at the end is looked up before it is a place of its own.
  for (size_t end = std::max(n_seen_, kLength); end < ids.size(); ++end)
    ends_[gram_before(end)] = end;
  n_seen_ = std::max(n_seen_, ids.size());
  if (ids.size() < kLength) return 0;
  const auto place = ends_.find(gram_before(ids.size()));
  if (place == ends_.end()) return 0;
  // Past the end of the text it goes on with its own guesses, as a text that repeats itself does.
  for (size_t i = place->second; std::ssize(found_) < n_max; ++i)
    found_.push_back(i < ids.size() ? ids[i] : found_[i - ids.size()]);
  return std::ssize(found_);
}

std::span<const int32_t> PromptLookup::guess(int64_t n) {
  return std::span(found_).first(static_cast<size_t>(n));
}

Result<std::unique_ptr<DraftModel>> DraftModel::create(Engine::Impl& draft,
                                                       const SamplerOptions& options,
                                                       int64_t n_prompt) {
  LANTERN_ASSIGN(Sampler sampler, Sampler::create(options, draft.context));
  return std::unique_ptr<DraftModel>(new DraftModel(draft, std::move(sampler), n_prompt));
}

DraftModel::DraftModel(Engine::Impl& draft, Sampler sampler, int64_t n_prompt)
    : draft_(draft),
      sampler_(std::move(sampler)),
      n_prompt_(n_prompt),
      sequence_(*draft.kv),
      nobody_(draft.companions(0)),
      logits_(static_cast<size_t>(draft.info.model.n_vocab)) {}

bool DraftModel::run(std::span<const int32_t> ids) {
  const Stopwatch watch;
  const bool ran =
      draft_.stepper()
          .run(sequence_,
               {.tokens = ids, .planned_length = draft_.length_unlimited, .logits = logits_.data()},
               nobody_)
          .ok();
  if (ran) draft_.costs.record(std::ssize(ids), watch.seconds());
  return ran;
}

int64_t DraftModel::look(std::span<const int32_t> ids, int64_t n_max) {
  // Guesses that were wrong go. Where windows have passed what is needed now, all goes.
  const auto [differs, other] =
      std::mismatch(sequence_.ids.begin(), sequence_.ids.end(), ids.begin(), ids.end());
  auto kept = static_cast<size_t>(differs - sequence_.ids.begin());
  kept = std::min(kept, ids.size() - 1);
  if (!sequence_.kv.can_resume_at(static_cast<int64_t>(kept))) {
    sequence_.kv.clear();
    kept = 0;
  }
  sequence_.ids.resize(kept);
  n_text_ = ids.size();
  ids_.assign(ids.begin(), ids.end());
  return std::max<int64_t>(0, std::min(n_max, draft_.info.context - std::ssize(ids)));
}

std::span<const int32_t> DraftModel::guess(int64_t n) {
  const std::span<const int32_t> missing = std::span(ids_).subspan(sequence_.ids.size());
  if (!run(missing.first(std::min(missing.size(), kCatchUpTokens)))) return {};
  if (sequence_.ids.size() < n_text_) return {};
  for (;;) {
    const auto position = static_cast<uint64_t>(std::ssize(ids_) - n_prompt_);
    ids_.push_back(sampler_.sample(logits_, ids_, position));
    if (std::ssize(ids_) == static_cast<int64_t>(n_text_) + n) break;
    if (!run(std::span(ids_).last(1))) break;
  }
  return std::span(ids_).subspan(n_text_);
}

double DraftModel::seconds() const { return draft_.costs.seconds(1); }

double DraftModel::seconds_before() const {
  // The first guess comes with the ids that are missing.
  const size_t n = n_text_ - sequence_.ids.size();
  const double together = draft_.costs.seconds(static_cast<int64_t>(std::min(n, kCatchUpTokens)));
  if (n <= kBehindTokens) return std::max(0.0, together - seconds());
  return together * std::max(1.0, static_cast<double>(n) / kCatchUpTokens) / kStepsServed;
}

bool DraftModel::is_behind() const { return n_text_ - sequence_.ids.size() > kBehindTokens; }

Speculator::Speculator(std::vector<std::unique_ptr<Guesser>> guessers) {
  for (auto& guesser : guessers) all_.push_back({.guesser = std::move(guesser)});
}

Offer Speculator::offer(std::span<const int32_t> ids, int64_t n_max, double ids_per_second) {
  Offer best;
  double most = 0;
  offered_ = nullptr;
  for (Tried& one : all_) {
    const Offer offer{.n = n_max > 0 ? one.guesser->look(ids, n_max) : 0,
                      .acceptance = one.kept / one.tried,
                      .seconds = one.guesser->seconds(),
                      .seconds_before = one.guesser->seconds_before()};
    if (offer.n == 0) continue;
    // A guess's ids, less those that steps would have made in its time.
    const double gain =
        offer.acceptance -
        ids_per_second * (offer.seconds + offer.seconds_before / static_cast<double>(offer.n));
    if (offered_ != nullptr && gain <= most) continue;
    offered_ = &one;
    best = offer;
    most = gain;
  }
  return best;
}

std::span<const int32_t> Speculator::guess(int64_t n) {
  return n > 0 && offered_ != nullptr ? offered_->guesser->guess(n) : std::span<const int32_t>();
}

bool Speculator::is_behind() const { return offered_ != nullptr && offered_->guesser->is_behind(); }

void Speculator::record(int64_t n_guessed, int64_t n_kept) {
  for (Tried& one : all_) {
    const bool guessed = &one == offered_;
    one.record(guessed ? n_guessed : 0, guessed ? n_kept : 0);
  }
}

void Speculator::Tried::record(int64_t n_guessed, int64_t n_kept) {
  const double memory = n_guessed > 0 ? kMemory : kForgetting;
  tried = kWeight + memory * (tried - kWeight);
  kept = kWeight * kAcceptance + memory * (kept - kWeight * kAcceptance);
  tried += static_cast<double>(std::min(n_guessed, n_kept + 1));
  kept += static_cast<double>(n_kept);
}

void StepCosts::record(int64_t n_tokens, double seconds) {
  if (n_tokens < 1 || n_tokens > kTokensMax) return;
  double& known = seconds_[static_cast<size_t>(n_tokens)];
  known = known == 0 ? seconds : known + kWeight * (seconds - known);
}

double StepCosts::seconds(int64_t n_tokens) const {
  const auto n = static_cast<size_t>(std::clamp<int64_t>(n_tokens, 1, kTokensMax));
  size_t below = n, above = n;
  while (below > 0 && seconds_[below] == 0) --below;
  while (above <= kTokensMax && seconds_[above] == 0) ++above;
  if (below == 0) return above <= kTokensMax ? seconds_[above] : 0;
  if (above > kTokensMax || above == below) return seconds_[below];
  const double way = static_cast<double>(n - below) / static_cast<double>(above - below);
  return seconds_[below] + way * (seconds_[above] - seconds_[below]);
}

std::vector<int64_t> choose_guesses(const StepCosts& costs, std::span<const Offer> offers,
                                    int64_t n_max) {
  std::vector<int64_t> chosen(offers.size(), 0), best = chosen;
  std::vector<double> next(offers.size());  // the probability that the next guess of each is kept
  for (size_t i = 0; i < offers.size(); ++i) next[i] = offers[i].acceptance;
  const auto n_answers = std::ssize(offers);
  const double alone = costs.seconds(n_answers);
  if (alone == 0) return best;
  double most = kGainMin * static_cast<double>(n_answers) / alone;
  double ids = static_cast<double>(n_answers), guessing = 0;
  for (int64_t n = 1; n <= n_max; ++n) {
    size_t likeliest = offers.size();
    for (size_t i = 0; i < offers.size(); ++i)
      if (chosen[i] < offers[i].n && (likeliest == offers.size() || next[i] > next[likeliest]))
        likeliest = i;
    if (likeliest == offers.size()) break;
    ids += next[likeliest];
    next[likeliest] *= offers[likeliest].acceptance;
    guessing += offers[likeliest].seconds;
    if (chosen[likeliest]++ == 0) guessing += offers[likeliest].seconds_before;
    const double rate = ids / (costs.seconds(n_answers + n) + guessing);
    if (rate > most) {
      most = rate;
      best = chosen;
    }
  }
  return best;
}

}  // namespace lantern::engine
