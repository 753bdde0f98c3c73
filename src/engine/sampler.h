// From logits to a token id, the same on every machine.
//
// ORDER. Each step sees what the one before left:
// Ids that a mask does not allow (structured output) take no part in any of them.
//   1. repeat penalty  logits of ids among the last `repeat_last_n` ids (prompt and answer) are
//                      divided by it where positive, multiplied where not
//   2. top_k           the k largest logits; ties go to the lower id
//   3. top_p           the shortest run of ids, by falling logit and then rising id, that holds
//                      at least top_p of the probability of what is left
//   4. min_p           those at least min_p times as probable as the most probable
//   5. temperature     the logits that are left are divided by it
//   6. the draw        by rising id: the first whose running sum of probabilities passes u times
//                      their sum
// With temperature 0 the largest logit after the penalty wins and nothing is drawn.
//
// u comes from Philox4x32-10 with the seed as key and (output position, choice) as counter: a
// number does not depend on how many were drawn before it, so an answer may be continued, replayed
// or verified from any position. Probabilities are kernels::softmax's, which has equal bits on
// every instruction set; their sums are float64, by rising id (top_p's run: by falling logit).
//
// COST. Passes over the vocabulary, vectorised where there is an exponential; a heap only of ids
// that top_p may take. Never a sort of the vocabulary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "kernels/matrix.h"
#include "text/grammar.h"

namespace lantern::engine {

/// The defaults are those that users of llama.cpp know.
struct SamplerOptions {
  float temperature = 0.8f;     // 0 (greedy) to 100
  int64_t top_k = 40;           // 0: all
  float top_p = 0.95f;          // above 0; 1: all
  float min_p = 0.05f;          // 0: all
  float repeat_penalty = 1.0f;  // 0.01 to 100; 1: none
  int64_t repeat_last_n = 64;   // 0: none, -1: all ids so far
  uint64_t seed = 0;
  uint32_t choice = 0;  // which of several answers to the same request
};

/// kInvalidArgument, naming the option and its bounds.
Status check(const SamplerOptions& options);

/// Draws ids for one sequence. Keeps its scratch memory between calls; not thread-safe.
class Sampler {
 public:
  /// The same errors as check(). `context` is copied, its pool borrowed.
  static Result<Sampler> create(const SamplerOptions& options, const kernels::Context& context);

  /// `logits`[n_vocab], finite, n_vocab >= 1 (not changed). `history`: all ids of the sequence so
  /// far; ids outside the vocabulary are passed over. `position`: the index in the answer of the
  /// token drawn, from 0.
  /// `mask`, if there is one, allows at least one id of the vocabulary; the other ids take no part,
  /// as if their logits were minus infinity from before the first step.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> history, uint64_t position,
                 const text::TokenMask* mask = nullptr);

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  Sampler(const SamplerOptions& options, const kernels::Context& context)
      : options_(options), context_(context) {}
  static bool before(const Candidate& a, const Candidate& b);  // larger logit, then lower id

  [[nodiscard]] std::span<const float> penalized(std::span<const float> logits,
                                                 std::span<const int32_t> history);
  void take_top_k(std::span<const float> logits);
  void take_top_k(std::span<const float> logits, const text::TokenMask& mask);
  /// probabilities_ of candidates_ at a temperature.
  void compute_probabilities(float largest, float temperature);
  [[nodiscard]] double total_probability() const;
  /// The last candidate of top_p's run.
  [[nodiscard]] Candidate end_of_top_p();
  void filter(float largest);
  int32_t draw(float largest, uint64_t position);

  SamplerOptions options_;
  kernels::Context context_;
  std::vector<float> logits_;          // with the penalty
  std::vector<uint8_t> seen_;          // ids that have theirs already
  std::vector<Candidate> candidates_;  // by rising id
  std::vector<float> probabilities_;   // of candidates_
  std::vector<size_t> heap_;           // indices into candidates_
};

/// The largest logit's id; ties go to the lower id.
int32_t greedy(std::span<const float> logits);

}  // namespace lantern::engine
