#include "engine/memory_plan.h"

#include <algorithm>

#include "base/progress.h"

namespace lantern::engine {
namespace {

using base::format_bytes;

// Less than this holds no conversation: a model that cannot have it does not fit.
constexpr int64_t kContextLeast = 512;

// The longest context, a whole number of pages, whose cache fits `bytes`.
int64_t longest_fitting(const KvPool& pool, int64_t trained, uint64_t bytes) {
  int64_t low = 0, high = trained / kernels::kKvPagePositions + 1;  // in pages; low fits
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (pool.bytes_for(middle * kernels::kKvPagePositions) <= bytes) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return std::min(trained, low * kernels::kKvPagePositions);
}

}  // namespace

Status check_weights_fit(uint64_t weight_bytes, uint64_t available) {
  if (available > kScratchBytes && weight_bytes <= available - kScratchBytes) return {};
  return make_error(ErrorCode::kExhausted,
                    "the model needs {} of memory for its weights and {} to work, {} are "
                    "available; `lantern fit` says what would run here",
                    format_bytes(weight_bytes), format_bytes(kScratchBytes),
                    format_bytes(available));
}

Result<ContextPlan> plan_context(const KvPool& pool, const ContextRequest& request) {
  const int64_t wanted = request.wanted > 0 ? request.wanted : request.trained;
  if (pool.bytes_for(wanted) <= request.available) {
    ContextPlan plan{.context = wanted, .notice = {}};
    if (wanted > request.trained)
      plan.notice = fmt::format("a context of {} is longer than the {} the model was made for",
                                wanted, request.trained);
    return plan;
  }
  if (request.wanted > 0)
    return make_error(ErrorCode::kExhausted,
                      "a context of {} needs {} of memory for its KV cache, {} are available; a "
                      "smaller --context or --kv q8_0 needs less (`lantern fit` has a table)",
                      wanted, format_bytes(pool.bytes_for(wanted)),
                      format_bytes(request.available));

  const int64_t fitting = longest_fitting(pool, request.trained, request.available);
  if (fitting < std::min(kContextLeast, request.trained))
    return make_error(ErrorCode::kExhausted,
                      "{} are available for the KV cache, and a context of {} needs {}; `lantern "
                      "fit` says what would run here",
                      format_bytes(request.available), kContextLeast,
                      format_bytes(pool.bytes_for(kContextLeast)));
  return ContextPlan{
      .context = fitting,
      .notice = fmt::format(
          "the context is {} of the {} the model was made for: more does not fit this machine's "
          "memory ({} for the KV cache; --kv q8_0 needs less)",
          fitting, request.trained, format_bytes(request.available))};
}

}  // namespace lantern::engine
