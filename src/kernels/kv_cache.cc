// Pages of the KV cache: their size and how a step's keys and values enter them.
#include <algorithm>

#include "base/checked.h"
#include "kernels/kernel_table.h"
#include "kernels/ops.h"

namespace lantern::kernels {
namespace {

// Below this many floats of keys and values one thread writes them all in about 10 us.
constexpr int64_t kFloatsAlone = 16 * 1024;
// Far past every model; keeps the products below in range.
constexpr int64_t kMaxHeads = 1 << 16;
constexpr int64_t kMaxHeadDim = 1 << 16;

uint8_t* head_of_page(std::byte* page, KvType type, int64_t dim, int64_t head) {
  return reinterpret_cast<uint8_t*>(page) + head * kv_head_bytes(type, dim);
}

}  // namespace

Result<uint64_t> kv_page_bytes(KvType type, int64_t n_kv_heads, int64_t head_dim) {
  if (n_kv_heads < 1 || n_kv_heads > kMaxHeads || head_dim < 1 || head_dim > kMaxHeadDim)
    return make_error(ErrorCode::kInvalidArgument, "KV cache: {} heads of {} make no sense",
                      n_kv_heads, head_dim);
  if (type == KvType::kQ8_0 && head_dim % kKvQuantBlock != 0)
    return make_error(ErrorCode::kUnsupported,
                      "KV cache: q8_0 needs a head width that 32 divides, not {}; use f16 or f32",
                      head_dim);
  return static_cast<uint64_t>(n_kv_heads * kv_head_bytes(type, head_dim));
}

void kv_write(const Context& context, const KvView& kv, int64_t first_position, int64_t n_tokens,
              const float* k, int64_t k_stride, const float* v, int64_t v_stride) {
  const AttentionKernels& kernels = attention_kernels(context.isa);
  if (n_tokens <= 0) return;
  int64_t first_page = first_position / kKvPagePositions;
  int64_t n_pages = (first_position + n_tokens - 1) / kKvPagePositions - first_page + 1;
  // One item is one head of one page, keys and values both.
  auto write = [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      int64_t page = first_page + item / kv.n_kv_heads;
      int64_t head = item % kv.n_kv_heads;
      int64_t first = std::max(first_position, page * kKvPagePositions);
      int64_t last = std::min(first_position + n_tokens, (page + 1) * kKvPagePositions);
      int64_t slot = first % kKvPagePositions;
      int64_t token = first - first_position;
      auto index = static_cast<size_t>(page);
      kernels.write_keys(kv.type, kv.head_dim, slot, last - first,
                         k + token * k_stride + head * kv.head_dim, k_stride,
                         head_of_page(kv.key_pages[index], kv.type, kv.head_dim, head));
      kernels.write_values(kv.type, kv.value_dim, slot, last - first,
                           v + token * v_stride + head * kv.value_dim, v_stride,
                           head_of_page(kv.value_pages[index], kv.type, kv.value_dim, head));
    }
  };
  int64_t n_items = n_pages * kv.n_kv_heads;
  if (context.pool == nullptr) {
    write(0, n_items);
    return;
  }
  int64_t floats = n_tokens * kv.n_kv_heads * (kv.head_dim + kv.value_dim);
  context.pool->parallel_for(n_items, floats < kFloatsAlone ? n_items : 1, write);
}

}  // namespace lantern::kernels
