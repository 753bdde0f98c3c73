#include "engine/batch.h"

#include <algorithm>

#include "engine/philox.h"
#include "engine/sampler.h"

namespace lantern::engine {
namespace {

// Long enough to cross several pages, short enough to stay cheap.
constexpr int64_t kCompanionLengthMax = 400;

}  // namespace

Companions::Companions(KvPool& pool, Options options)
    : options_(options), length_max_(std::min(options.context, kCompanionLengthMax)) {
  for (int64_t i = 0; i < options.count; ++i) {
    companions_.push_back({Sequence(pool), {}, {}});
    companions_.back().logits.resize(static_cast<size_t>(options.n_vocab));
    begin_anew(companions_.back(), static_cast<size_t>(i));
  }
}

void Companions::begin_anew(Companion& companion, size_t which) const {
  companion.sequence.kv.clear();
  companion.sequence.ids.clear();
  const int64_t n = std::min(int64_t{1} + static_cast<int64_t>(which) * 5 % 23, length_max_);
  companion.pending.clear();
  for (int64_t i = 0; i < n; ++i) {
    const auto random = philox4x32_10(
        {static_cast<uint32_t>(i), static_cast<uint32_t>(which), 0, 0}, {0x6a756e6b, 0});
    companion.pending.push_back(
        static_cast<int32_t>(random[0] % static_cast<uint64_t>(options_.n_vocab)));
  }
}

Status Companions::add_to(std::vector<arch::SequenceStep>& steps) {
  for (Companion& c : companions_) {
    const auto first = static_cast<int64_t>(c.sequence.ids.size());
    LANTERN_TRY(c.sequence.kv.reserve(first + static_cast<int64_t>(c.pending.size())));
    steps.push_back({.tokens = c.pending,
                     .first_position = first,
                     .kv = c.sequence.kv.views(),
                     .planned_length = length_max_,
                     .wanted = arch::LogitsWanted::kLast,
                     .logits = c.logits.data()});
  }
  return {};
}

void Companions::advance() {
  for (size_t i = 0; i < companions_.size(); ++i) {
    Companion& c = companions_[i];
    c.sequence.ids.insert(c.sequence.ids.end(), c.pending.begin(), c.pending.end());
    c.pending.assign(1, greedy(c.logits));
    if (static_cast<int64_t>(c.sequence.ids.size()) >= length_max_) begin_anew(c, i);
  }
}

Status Stepper::run(Sequence& sequence, const Step& step, Companions& companions) {
  const auto first = static_cast<int64_t>(sequence.ids.size());
  sequence.kv.release_passed(first);
  LANTERN_TRY(sequence.kv.reserve(first + static_cast<int64_t>(step.tokens.size())));
  std::vector<arch::SequenceStep> steps = {{.tokens = step.tokens,
                                            .first_position = first,
                                            .kv = sequence.kv.views(),
                                            .planned_length = step.planned_length,
                                            .adapter = weights_of(step.adapter),
                                            .wanted = step.wanted,
                                            .logits = step.logits}};
  LANTERN_TRY(companions.add_to(steps));
  LANTERN_TRY(model.forward(context, steps, workspace));
  sequence.ids.insert(sequence.ids.end(), step.tokens.begin(), step.tokens.end());
  companions.advance();
  return {};
}

}  // namespace lantern::engine
