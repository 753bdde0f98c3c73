// Products with a few tokens: the time is the weights' way from memory, so they are read once, in
// order, and unpacked in registers.
#pragma once

#include "kernels/layout.h"
#include "kernels/vector/matmul_block.h"

namespace lantern::kernels {
namespace {

// Two or three tokens go as four.
constexpr int kFewTokens = 4;
// Weights are fetched so far ahead: memory's latency (0.1 to 0.2 us) at a core's share of its
// bandwidth is about 4 KB.
constexpr int64_t kBytesAhead = 4096;
template <typename Type>
constexpr int64_t kBlocksAhead = (kBytesAhead - 1) / (Type::kLayout.block_bytes * kGroupRows) + 1;

/// Where block `ahead` of a row of n_blocks stands; past the row's end, of the next group.
template <typename Type>
LANTERN_INLINE Stream stream_ahead(const Rows& rows, int64_t ahead, int64_t n_blocks,
                                   int64_t group_bytes) {
  const int64_t next = ahead < n_blocks ? 0 : group_bytes;
  const int64_t block = ahead < n_blocks ? ahead : ahead - n_blocks;
  Stream at;
  LANTERN_UNROLL
  for (int i = 0; i < Type::kLayout.n_segments; ++i)
    at.segment[i] =
        rows.stream.segment[i] + next + block * Type::kLayout.segments[i].bytes * kGroupRows;
  return at;
}

/// Fetches part kPart's share of a block. The processor's own prefetching stops at pages and has
/// few requests in flight, so that memory's latency would add to the arithmetic's time; requests in
/// bursts would wait for one another.
template <typename Type, int kPart>
LANTERN_INLINE void fetch_part(const Stream& at) {
  LANTERN_UNROLL
  for (int i = 0; i < Type::kLayout.n_segments; ++i) {
    const int64_t lines = (Type::kLayout.segments[i].bytes * kGroupRows + 63) / 64;
    LANTERN_UNROLL
    for (int64_t line = lines * kPart / Type::kParts; line < lines * (kPart + 1) / Type::kParts;
         ++line)
      prefetch(at.segment[i] + 64 * line);
  }
}

template <typename Type, int kTokens, int kPart = 0>
LANTERN_INLINE void add_parts(const Stream& stream, const Stream& ahead, int64_t block,
                              const ActivationBlock* x, VF* y) {
  if constexpr (kPart < Type::kParts) {
    fetch_part<Type, kPart>(ahead);
    typename Type::W w;
    Type::template load_part<kPart>(stream, block, w);
    add_block<Type, kTokens>(w, x + kPart * kTileTokens, y);
    add_parts<Type, kTokens, kPart + 1>(stream, ahead, block, x, y);
  }
}

/// kTokens or fewer: the activation tile has room for all, those past n_tokens are not stored.
template <typename Type, int kTokens>
void few_tokens(const MatmulJob& job) {
  const int64_t n_vectors = job.n_groups * kVectorsPerGroup;
  for (int64_t v = 0; v < n_vectors; ++v) {
    const Rows rows = rows_of<Type>(job, v);
    if (rows.n_rows <= 0) return;
    VF y[kTokens];
    LANTERN_UNROLL
    for (int t = 0; t < kTokens; ++t) y[t] = set_floats(0);
    const ActivationBlock* x = job.activations;
    for (int64_t b = 0; b < job.n_blocks; ++b) {
      const Stream ahead =
          stream_ahead<Type>(rows, b + kBlocksAhead<Type>, job.n_blocks, job.group_bytes);
      add_parts<Type, kTokens>(rows.stream, ahead, b, x, y);
      x += Type::kParts * kTileTokens;
    }
    LANTERN_UNROLL
    for (int t = 0; t < kTokens; ++t)
      if (t < job.n_tokens) store_first(rows.y + t * job.y_stride, rows.n_rows, y[t]);
  }
}

}  // namespace
}  // namespace lantern::kernels
