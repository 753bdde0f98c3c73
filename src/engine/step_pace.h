// How many tokens a step may carry, from how long steps took.
//
// While answers are being written, a step with a piece of somebody's prompt holds their next token
// up. The piece is made so short that it takes no more than a time, by the seconds per token of
// late steps that were long enough to tell (in short ones the weights' way from memory counts, not
// the tokens).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace lantern::engine {

class StepPace {
 public:
  StepPace(int64_t tokens_max, std::chrono::milliseconds time_max)
      : tokens_max_(tokens_max), seconds_max_(std::chrono::duration<double>(time_max).count()) {}

  /// Tokens of prompts in a step that carries `n_decoding` answers' next ones.
  [[nodiscard]] int64_t prompt_tokens(int64_t n_decoding) const {
    const int64_t most = std::max<int64_t>(1, tokens_max_ - n_decoding);
    if (n_decoding == 0) return most;
    if (seconds_per_token_ == 0) return std::min(most, kFirstTokens);
    const double fitting = kMargin * seconds_max_ / seconds_per_token_;
    const int64_t n =
        std::clamp(static_cast<int64_t>(std::min(fitting, 1e9)), std::min(most, kTokensMin), most);
    const int64_t rest = (n + n_decoding) % kTokensTogether;
    return n - rest >= kTokensMin ? n - rest : n;
  }

  void record(int64_t n_tokens, double seconds) {
    if (n_tokens < kTokensTelling) return;
    const double now = seconds / static_cast<double>(n_tokens);
    // Slower counts at once, as attention is over a longer prompt; faster is believed slowly.
    const double weight = now > seconds_per_token_ ? 1.0 : 0.25;
    seconds_per_token_ += weight * (now - seconds_per_token_);
  }

 private:
  static constexpr double kMargin = 0.8;       // of the time, for what differs from step to step
  static constexpr int64_t kFirstTokens = 32;  // before anything was measured
  static constexpr int64_t kTokensMin = 16;    // a prompt always gets on
  // Matrix products take so many tokens at once, and a rest by four and one by one.
  static constexpr int64_t kTokensTogether = 8;
  static constexpr int64_t kTokensTelling = 24;  // from here the arithmetic is most of a step

  int64_t tokens_max_;
  double seconds_max_;
  double seconds_per_token_ = 0;  // 0: nothing measured yet
};

}  // namespace lantern::engine
