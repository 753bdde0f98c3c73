// Log-probabilities of tokens, as the model gives them: before penalties, filters and temperature.
//
// ln p(i) = (x_i - max x) - ln sum exp(x - max x), where the sum is 1 / softmax(x) at its largest:
// the kernels' softmax and a logarithm without libm, so the bits are the same on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/matrix.h"

namespace lantern::engine {

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;
};

/// Of one sequence's tokens, one after another. Keeps its scratch memory; not thread-safe.
class Logprobs {
 public:
  static constexpr int kTopMax = 20;

  /// `top`: alternatives wanted, 0 to kTopMax. `context` is copied, its pool borrowed.
  Logprobs(int top, const kernels::Context& context) : n_top_(top), context_(context) {}

  /// Takes `logits`[n_vocab], finite, n_vocab >= 1; they must stay until of() was asked.
  void take(std::span<const float> logits);
  [[nodiscard]] float of(int32_t id) const;
  /// The most probable, best first; ties go to the lower id.
  [[nodiscard]] std::span<const TokenLogprob> top() const { return top_; }

 private:
  int n_top_;
  kernels::Context context_;
  std::span<const float> logits_;
  float largest_ = 0;
  double log_of_largest_ = 0;  // ln of the most probable's probability
  std::vector<float> probabilities_;
  std::vector<TokenLogprob> top_;
};

}  // namespace lantern::engine
