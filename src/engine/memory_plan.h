// Whether a model fits this machine, and how long its context may be.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/kv_cache.h"

namespace lantern::engine {

/// Activations, logits, tokenizer and code, beside weights and cache: the 100 MB that the
/// design allows, of which a small model needs a third.
inline constexpr uint64_t kScratchBytes = 100'000'000;

/// kExhausted where `weight_bytes` and the scratch memory pass `available`; both are named.
Status check_weights_fit(uint64_t weight_bytes, uint64_t available);

struct ContextPlan {
  int64_t context = 0;
  std::optional<std::string> notice;  // where it is not what a person would expect
};
struct ContextRequest {
  int64_t wanted = 0;      // 0: the model's own
  int64_t trained = 0;     // the longest the model was made for
  uint64_t available = 0;  // bytes left for the cache
};
/// kExhausted where a wanted context does not fit, or not even a short one does.
Result<ContextPlan> plan_context(const KvPool& pool, const ContextRequest& request);

}  // namespace lantern::engine
