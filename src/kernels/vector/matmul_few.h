// Products with a few tokens: the time is the weights' way from memory, so they are read once, in
// order, and unpacked in registers.
#pragma once

#include "kernels/layout.h"
#include "kernels/vector/matmul_block.h"

namespace lantern::kernels {
namespace {

// Two or three tokens go as four.
constexpr int kFewTokens = 4;

template <typename Type, int kTokens, int kPart = 0>
LANTERN_INLINE void add_parts(const Stream& stream, int64_t block, const ActivationBlock* x,
                              VF* y) {
  if constexpr (kPart < Type::kParts) {
    typename Type::W w;
    Type::template load_part<kPart>(stream, block, w);
    add_block<Type, kTokens>(w, x + kPart * kTileTokens, y);
    add_parts<Type, kTokens, kPart + 1>(stream, block, x, y);
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
      add_parts<Type, kTokens>(rows.stream, b, x, y);
      x += Type::kParts * kTileTokens;
    }
    LANTERN_UNROLL
    for (int t = 0; t < kTokens; ++t)
      if (t < job.n_tokens) store_first(rows.y + t * job.y_stride, rows.n_rows, y[t]);
  }
}

}  // namespace
}  // namespace lantern::kernels
