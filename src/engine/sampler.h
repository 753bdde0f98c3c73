// From logits to a token id, the same on every machine.
//
// ORDER. Each step sees what the one before left:
//   1. repeat penalty  logits of ids among the last `repeat_last_n` ids (prompt and answer) are
//                      divided by it where positive, multiplied where not
//   2. top_k           the k largest; ties go to the lower id
//   3. top_p           the shortest prefix, by falling logit, that holds at least top_p of the
//                      probability of what is left
//   4. min_p           those at least min_p times as probable as the most probable
//   5. temperature     the logits that are left are divided by it
//   6. the draw        candidates by falling logit, ties by the lower id: the first whose running
//                      sum of weights passes u times their total
// With temperature 0 the largest logit after the penalty wins and nothing is drawn.
//
// u comes from Philox4x32-10 with the seed as key and (output position, choice) as counter: a
// number does not depend on how many were drawn before it, so an answer may be continued, replayed
// or verified from any position. exp is kernels/functions.h's; sums are float64, totals by rising
// id, running sums by falling logit.
//
// COST. One pass over the vocabulary with top_k; without it one exp each, and a heap from which
// only as many are taken as the draw needs. Never a sort of the vocabulary.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

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
  /// The same errors as check().
  static Result<Sampler> create(const SamplerOptions& options);

  /// `logits`[n_vocab], finite, n_vocab >= 1 (not changed). `history`: all ids of the sequence so
  /// far; ids outside the vocabulary are passed over. `position`: the index in the answer of the
  /// token drawn, from 0.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> history,
                 uint64_t position);

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  explicit Sampler(const SamplerOptions& options) : options_(options) {}
  static bool before(const Candidate& a, const Candidate& b);  // larger logit, then lower id
  static bool after(const Candidate& a, const Candidate& b) { return before(b, a); }

  [[nodiscard]] std::span<const float> penalized(std::span<const float> logits,
                                                 std::span<const int32_t> history);
  void take_top_k(std::span<const float> logits);
  void keep_top_p(float largest);
  void keep_min_p(float largest);
  int32_t draw(float largest, uint64_t position);

  SamplerOptions options_;
  std::vector<float> logits_;          // with the penalty
  std::vector<uint8_t> seen_;          // ids that have theirs already
  std::vector<Candidate> candidates_;  // by rising id until the draw
  std::vector<Candidate> heap_;
};

/// The largest logit's id; ties go to the lower id.
int32_t greedy(std::span<const float> logits);

}  // namespace lantern::engine
