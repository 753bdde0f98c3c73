#include "engine/logprobs.h"

#include <algorithm>
#include <cstddef>

#include "arch/rope.h"
#include "engine/sampler.h"
#include "kernels/ops.h"

namespace lantern::engine {

void Logprobs::take(std::span<const float> logits) {
  logits_ = logits;
  const auto best = static_cast<size_t>(greedy(logits));
  largest_ = logits[best];
  probabilities_.assign(logits.begin(), logits.end());
  const auto width = std::ssize(logits);
  kernels::softmax(context_, 1, width, width, probabilities_.data());
  log_of_largest_ = arch::log_f64(double{probabilities_[best]});

  top_.clear();
  const auto n = std::min(static_cast<size_t>(n_top_), logits.size());
  if (n == 0) return;
  // A short sorted list: nearly all logits are below its last.
  auto before = [](const TokenLogprob& a, const TokenLogprob& b) { return a.logprob > b.logprob; };
  for (size_t i = 0; i < logits.size(); ++i) {
    if (top_.size() == n && !(logits[i] > top_.back().logprob)) continue;
    if (top_.size() == n) top_.pop_back();
    const TokenLogprob token{.id = static_cast<int32_t>(i), .logprob = logits[i]};
    top_.insert(std::upper_bound(top_.begin(), top_.end(), token, before), token);
  }
  for (TokenLogprob& token : top_) token.logprob = of(token.id);
}

float Logprobs::of(int32_t id) const {
  const double below = double{logits_[static_cast<size_t>(id)]} - double{largest_};
  return static_cast<float>(below + log_of_largest_);
}

}  // namespace lantern::engine
