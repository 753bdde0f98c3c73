// Speculative decoding: ids are guessed, run in one step behind the one that was drawn, and kept as
// far as each is the very id that is drawn in its place (Leviathan et al., arXiv:2211.17192, with
// equality in place of their rejection sampling: a draw depends on the logits and its position
// alone, and a row of logits has the bits that it has without the guesses, invariant 3). So an
// answer is the same with guesses, without them, and with any number of them.
//
// Who guesses:
//   PromptLookup   what followed the last time that the last ids stood in the text
//   DraftModel     a smaller model of the same vocabulary
//
// Whether it pays, and which of them, depends on the machine, the model, the text and the company:
// StepCosts learns what steps take, Speculator how many guesses are kept, and choose_guesses()
// weighs the two. A draft model runs nothing before it was chosen, so where it does not pay it
// costs nothing either.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/batch.h"
#include "engine/engine.h"
#include "engine/sampler.h"

namespace lantern::engine {

/// Guesses of an answer's step at most.
inline constexpr int64_t kGuessesMax = 7;

/// Guesses how one text goes on.
class Guesser {
 public:
  Guesser() = default;
  virtual ~Guesser() = default;
  Guesser(const Guesser&) = delete;
  Guesser& operator=(const Guesser&) = delete;

  /// How many of the ids after `ids`, `n_max` at most, it can guess now. `ids` is what the call
  /// before was given, with ids behind it. Runs no model.
  virtual int64_t look(std::span<const int32_t> ids, int64_t n_max) = 0;
  /// The first `n` of what the last look() found, or fewer: what must catch up with a long text
  /// first does a piece of that instead.
  virtual std::span<const int32_t> guess(int64_t n) = 0;
  /// Of one guess, and of what comes before the first, spread over the steps that it serves.
  [[nodiscard]] virtual double seconds() const { return 0; }
  [[nodiscard]] virtual double seconds_before() const { return 0; }
  /// Whether the next guess() only catches up, which takes about a short prompt's time.
  [[nodiscard]] virtual bool is_behind() const { return false; }
};

/// Finds the last three ids' latest place before, and guesses what followed there.
class PromptLookup : public Guesser {
 public:
  int64_t look(std::span<const int32_t> ids, int64_t n_max) override;
  std::span<const int32_t> guess(int64_t n) override;

 private:
  using Gram = std::array<int32_t, 3>;
  struct Hash {
    size_t operator()(const Gram& gram) const;
  };

  std::unordered_map<Gram, size_t, Hash> ends_;  // the latest place after each
  size_t n_seen_ = 0;                            // ids whose places are in `ends_`
  std::vector<int32_t> found_;
};

/// Lets a smaller model answer, with the answer's own sampler: where both models' probabilities are
/// alike, the same random numbers draw the same ids.
class DraftModel : public Guesser {
 public:
  /// Borrows `draft`, whose vocabulary is the answer's. Sampler::create()'s errors.
  static Result<std::unique_ptr<DraftModel>> create(Engine::Impl& draft,
                                                    const SamplerOptions& sampler,
                                                    int64_t n_prompt);

  int64_t look(std::span<const int32_t> ids, int64_t n_max) override;
  std::span<const int32_t> guess(int64_t n) override;
  [[nodiscard]] double seconds() const override;
  [[nodiscard]] double seconds_before() const override;
  [[nodiscard]] bool is_behind() const override;

 private:
  DraftModel(Engine::Impl& draft, Sampler sampler, int64_t n_prompt);
  /// Runs `ids`, with the last one's logits. False: no memory, or no use.
  bool run(std::span<const int32_t> ids);

  Engine::Impl& draft_;
  Sampler sampler_;
  int64_t n_prompt_;
  Sequence sequence_;
  Companions nobody_;
  std::vector<float> logits_;
  std::vector<int32_t> ids_;  // the text, then guesses
  size_t n_text_ = 0;
};

/// What an answer could guess.
struct Offer {
  int64_t n = 0;              // guesses at most
  double acceptance = 0;      // of each, where those before it are right
  double seconds = 0;         // each
  double seconds_before = 0;  // before the first
};

/// An answer's guessers, and how well each does.
class Speculator {
 public:
  explicit Speculator(std::vector<std::unique_ptr<Guesser>> guessers);

  /// What the one that gains most could guess of the ids after `ids`; as Guesser::look().
  /// `ids_per_second` is what steps make without guesses, 0 where none ran.
  [[nodiscard]] Offer offer(std::span<const int32_t> ids, int64_t n_max, double ids_per_second = 0);
  /// The first `n` of what was offered last, or fewer.
  std::span<const int32_t> guess(int64_t n);
  /// Of what was offered last: see Guesser.
  [[nodiscard]] bool is_behind() const;
  /// A step kept `n_kept` of `n_guessed`; those behind the first wrong one tell nothing.
  void record(int64_t n_guessed, int64_t n_kept);

 private:
  // What is believed at the start, as if so much had been seen; what is seen late counts most.
  static constexpr double kAcceptance = 0.7, kWeight = 2, kMemory = 0.9;
  // Without guesses that belief comes back slowly: they are tried again from time to time.
  static constexpr double kForgetting = 0.98;

  struct Tried {
    std::unique_ptr<Guesser> guesser;
    double tried = kWeight;
    double kept = kWeight * kAcceptance;

    void record(int64_t n_guessed, int64_t n_kept);
  };
  std::vector<Tried> all_;
  Tried* offered_ = nullptr;  // the last one; of `all_`, which stays as it is
};

/// What steps of so many tokens take, from those that ran.
class StepCosts {
 public:
  static constexpr int64_t kTokensMax = 64;

  void record(int64_t n_tokens, double seconds);
  /// By the nearest sizes that ran; beyond the largest its own, so that more is tried. 0: none ran.
  [[nodiscard]] double seconds(int64_t n_tokens) const;

 private:
  static constexpr double kWeight = 0.2;  // of the newest
  std::array<double, kTokensMax + 1> seconds_{};
};

/// How many each answer guesses, so that the step's ids per second are most: it carries one id of
/// each of `offers.size()` answers and at most `n_max` guesses.
std::vector<int64_t> choose_guesses(const StepCosts& costs, std::span<const Offer> offers,
                                    int64_t n_max);

}  // namespace lantern::engine
