#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/philox.h"
#include "kernels/ops.h"

namespace lantern::engine {

Status check(const SamplerOptions& o) {
  auto outside = [](std::string_view option, auto value, std::string_view bounds) {
    return make_error(ErrorCode::kInvalidArgument, "{}: {} is not {}", option, value, bounds);
  };
  // Written so that NaN fails too.
  if (!(o.temperature >= 0 && o.temperature <= 100))
    return outside("temperature", o.temperature, "from 0 to 100");
  if (o.top_k < 0) return outside("top-k", o.top_k, "0 (all) or more");
  if (!(o.top_p > 0 && o.top_p <= 1)) return outside("top-p", o.top_p, "above 0 and at most 1");
  if (!(o.min_p >= 0 && o.min_p <= 1)) return outside("min-p", o.min_p, "from 0 to 1");
  if (!(o.repeat_penalty >= 0.01f && o.repeat_penalty <= 100))
    return outside("repeat-penalty", o.repeat_penalty, "from 0.01 to 100");
  if (o.repeat_last_n < -1) return outside("repeat-last-n", o.repeat_last_n, "-1 (all) or more");
  return {};
}

int32_t greedy(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best]) best = i;
  return static_cast<int32_t>(best);
}

Result<Sampler> Sampler::create(const SamplerOptions& options, const kernels::Context& context) {
  LANTERN_TRY(check(options));
  return Sampler(options, context);
}

bool Sampler::before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> history,
                        uint64_t position, const text::TokenMask* mask) {
  logits = penalized(logits, history);
  const bool is_greedy = options_.temperature == 0 || options_.top_k == 1;
  if (is_greedy && mask == nullptr) return greedy(logits);

  if (mask == nullptr)
    take_top_k(logits);
  else
    take_top_k(logits, *mask);
  if (is_greedy) return std::min_element(candidates_.begin(), candidates_.end(), before)->id;
  float largest = candidates_[0].logit;
  for (const Candidate& c : candidates_) largest = std::max(largest, c.logit);
  if (options_.top_p < 1 || options_.min_p > 0) filter(largest);
  return draw(largest, position);
}

std::span<const float> Sampler::penalized(std::span<const float> logits,
                                          std::span<const int32_t> history) {
  const float penalty = options_.repeat_penalty;
  if (options_.repeat_last_n >= 0 && history.size() > static_cast<size_t>(options_.repeat_last_n))
    history = history.last(static_cast<size_t>(options_.repeat_last_n));
  if (penalty == 1.0f || history.empty()) return logits;

  logits_.assign(logits.begin(), logits.end());
  seen_.resize(logits.size());
  auto in_vocabulary = [&](int32_t id) {
    return id >= 0 && static_cast<size_t>(id) < logits.size();
  };
  for (int32_t id : history) {
    if (!in_vocabulary(id)) continue;
    const auto i = static_cast<size_t>(id);
    if (seen_[i] != 0) continue;
    seen_[i] = 1;
    logits_[i] = logits_[i] > 0 ? logits_[i] / penalty : logits_[i] * penalty;
  }
  for (int32_t id : history)
    if (in_vocabulary(id)) seen_[static_cast<size_t>(id)] = 0;
  return logits_;
}

void Sampler::take_top_k(std::span<const float> logits) {
  const size_t k = options_.top_k == 0
                       ? logits.size()
                       : std::min(static_cast<size_t>(options_.top_k), logits.size());
  candidates_.clear();
  candidates_.reserve(k);
  for (size_t i = 0; i < k; ++i) candidates_.push_back({logits[i], static_cast<int32_t>(i)});
  if (k == logits.size()) return;

  // With before() as its order the heap's top is the worst kept. Ids rise, so a later one must
  // be strictly larger to replace it.
  std::make_heap(candidates_.begin(), candidates_.end(), before);
  float worst = candidates_.front().logit;
  for (size_t i = k; i < logits.size(); ++i) {
    if (!(logits[i] > worst)) continue;
    std::pop_heap(candidates_.begin(), candidates_.end(), before);
    candidates_.back() = {logits[i], static_cast<int32_t>(i)};
    std::push_heap(candidates_.begin(), candidates_.end(), before);
    worst = candidates_.front().logit;
  }
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

void Sampler::take_top_k(std::span<const float> logits, const text::TokenMask& mask) {
  candidates_.clear();
  const std::span<const uint64_t> words = mask.words();
  for (size_t w = 0; w < words.size(); ++w) {
    for (uint64_t rest = words[w]; rest != 0; rest &= rest - 1) {
      const size_t i = w * 64 + static_cast<size_t>(std::countr_zero(rest));
      if (i < logits.size()) candidates_.push_back({logits[i], static_cast<int32_t>(i)});
    }
  }
  const auto k = static_cast<size_t>(options_.top_k);
  if (k == 0 || k >= candidates_.size()) return;
  const auto end = candidates_.begin() + static_cast<ptrdiff_t>(k);
  std::nth_element(candidates_.begin(), end, candidates_.end(), before);
  candidates_.erase(end, candidates_.end());
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

void Sampler::compute_probabilities(float largest, float temperature) {
  const size_t n = candidates_.size();
  probabilities_.resize(n);
  for (size_t i = 0; i < n; ++i) probabilities_[i] = (candidates_[i].logit - largest) / temperature;
  const auto width = static_cast<int64_t>(n);
  kernels::softmax(context_, 1, width, width, probabilities_.data());
}

double Sampler::total_probability() const {
  double total = 0;
  for (float p : probabilities_) total += double{p};
  return total;
}

Sampler::Candidate Sampler::end_of_top_p() {
  const double total = total_probability();
  const double wanted = double{options_.top_p} * total;
  auto after = [&](size_t a, size_t b) { return before(candidates_[b], candidates_[a]); };
  // All that are less probable than this hold less than 1 - top_p together, so the run ends
  // before them; only where rounding says otherwise does the second pass take everything.
  const double n = static_cast<double>(candidates_.size());
  for (double least : {(total - wanted) / n, 0.0}) {
    heap_.clear();
    for (size_t i = 0; i < candidates_.size(); ++i)
      if (double{probabilities_[i]} >= least) heap_.push_back(i);
    std::make_heap(heap_.begin(), heap_.end(), after);
    double sum = 0;
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), after);
      const size_t i = heap_.back();
      heap_.pop_back();
      sum += double{probabilities_[i]};
      if (sum >= wanted || (least == 0 && heap_.empty())) return candidates_[i];
    }
  }
  return candidates_.front();
}

void Sampler::filter(float largest) {
  compute_probabilities(largest, 1.0f);
  const float least =
      options_.min_p * *std::max_element(probabilities_.begin(), probabilities_.end());
  const bool has_end = options_.top_p < 1;
  const Candidate end = has_end ? end_of_top_p() : candidates_.front();
  size_t kept = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (probabilities_[i] < least || (has_end && before(end, candidates_[i]))) continue;
    candidates_[kept++] = candidates_[i];
  }
  candidates_.resize(kept);
}

int32_t Sampler::draw(float largest, uint64_t position) {
  compute_probabilities(largest, options_.temperature);
  const double target =
      sampling_uniform(options_.seed, options_.choice, position) * total_probability();
  double sum = 0;
  int32_t last = candidates_.front().id;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    if (probabilities_[i] == 0) continue;
    last = candidates_[i].id;  // where rounding keeps the running sum below the target
    sum += double{probabilities_[i]};
    if (sum > target) break;
  }
  return last;
}

}  // namespace lantern::engine
