#include "engine/sampler.h"

#include <algorithm>
#include <cmath>

#include "engine/philox.h"
#include "kernels/functions.h"

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

Result<Sampler> Sampler::create(const SamplerOptions& options) {
  LANTERN_TRY(check(options));
  return Sampler(options);
}

bool Sampler::before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> history,
                        uint64_t position) {
  logits = penalized(logits, history);
  if (options_.temperature == 0 || options_.top_k == 1) return greedy(logits);

  take_top_k(logits);
  float largest = candidates_[0].logit;
  for (const Candidate& c : candidates_) largest = std::max(largest, c.logit);
  if (options_.top_p < 1) keep_top_p(largest);
  if (options_.min_p > 0) keep_min_p(largest);
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

void Sampler::keep_top_p(float largest) {
  double total = 0;
  for (const Candidate& c : candidates_) total += double{kernels::exp_f32(c.logit - largest)};
  const double wanted = double{options_.top_p} * total;

  heap_ = candidates_;
  std::make_heap(heap_.begin(), heap_.end(), after);
  double sum = 0;
  Candidate last = heap_.front();
  while (!heap_.empty() && sum < wanted) {
    std::pop_heap(heap_.begin(), heap_.end(), after);
    last = heap_.back();
    heap_.pop_back();
    sum += double{kernels::exp_f32(last.logit - largest)};
  }
  std::erase_if(candidates_, [&](const Candidate& c) { return before(last, c); });
}

void Sampler::keep_min_p(float largest) {
  std::erase_if(candidates_, [&](const Candidate& c) {
    return c.logit != largest && kernels::exp_f32(c.logit - largest) < options_.min_p;
  });
}

int32_t Sampler::draw(float largest, uint64_t position) {
  auto weight = [&](const Candidate& c) {
    return double{kernels::exp_f32((c.logit - largest) / options_.temperature)};
  };
  double total = 0;
  for (const Candidate& c : candidates_) total += weight(c);
  const double target = sampling_uniform(options_.seed, options_.choice, position) * total;

  std::make_heap(candidates_.begin(), candidates_.end(), after);
  double sum = 0;
  // The last one left is drawn where rounding kept the running sum below the target.
  while (candidates_.size() > 1) {
    std::pop_heap(candidates_.begin(), candidates_.end(), after);
    sum += weight(candidates_.back());
    if (sum > target) break;
    candidates_.pop_back();
  }
  return candidates_.back().id;
}

}  // namespace lantern::engine
