// One block of 32 columns times a few tokens: the expression tree of matrix.h in vectors.
#pragma once

#include "kernels/layout.h"
#include "kernels/vector/matmul_weights.h"

namespace lantern::kernels {
namespace {

// A group is worked on in vectors of rows: one of 16 lanes, or two of 8.
constexpr int kVectorsPerGroup = static_cast<int>(kGroupRows) / kVectorLanes;

template <typename Type>
constexpr int kSubBlocksOf = sizeof(Type::W::pair) / sizeof(VI);

/// One vector of rows: where its segments are and how many of its rows exist.
struct Rows {
  Stream stream;
  int64_t n_rows;
  float* y;
};

template <typename Type>
LANTERN_INLINE Rows rows_of(const MatmulJob& job, int64_t vector) {
  Rows rows;
  const int64_t within = vector % kVectorsPerGroup * kVectorLanes;
  const uint8_t* at = job.weights + vector / kVectorsPerGroup * job.group_bytes;
  for (int i = 0; i < Type::kLayout.n_segments; ++i) {
    rows.stream.segment[i] = at + within * Type::kLayout.segments[i].unit;
    at += job.n_blocks * Type::kLayout.segments[i].bytes * kGroupRows;
  }
  rows.n_rows = job.n_rows - vector * kVectorLanes;
  rows.y = job.y + vector * kVectorLanes;
  return rows;
}

/// y[t] += 32 columns of the weights times token t, t in [0, kTokens). matrix.h has the tree.
template <typename Type, int kTokens>
LANTERN_INLINE void add_block(const typename Type::W& w, const ActivationBlock* x, VF* y) {
  constexpr int kSubBlocks = kSubBlocksOf<Type>;
  constexpr bool kMinimum = Type::kMinimum;
  constexpr int kPerSub = 8 / kSubBlocks;
  // Eight registers of 16 are too few for the weights: then each is loaded once for all tokens.
  constexpr int kTogether = kVectorLanes == 16 ? 1 : kTokens;
  LANTERN_UNROLL
  for (int first = 0; first < kTokens; first += kTogether) {
    VI sum[kTogether][kSubBlocks];
    LANTERN_UNROLL
    for (int t = 0; t < kTogether; ++t) LANTERN_UNROLL
    for (int h = 0; h < kSubBlocks; ++h) sum[t][h] = start_sum<Type::kMaxCode>();
    LANTERN_UNROLL
    for (int k = 0; k < 8; ++k) LANTERN_UNROLL
    for (int t = 0; t < kTogether; ++t)
      sum[t][k / kPerSub] =
          dot<Type::kMaxCode>(sum[t][k / kPerSub], w.q[k], x[first + t].codes + 4 * k);
    LANTERN_UNROLL
    for (int t = 0; t < kTogether; ++t) {
      const ActivationBlock& a = x[first + t];
      LANTERN_UNROLL
      for (int h = 0; h < kSubBlocks; ++h)
        sum[t][h] = dot_pairs(finish_sum<Type::kMaxCode>(sum[t][h]), w.pair[h],
                              kSubBlocks == 1 ? a.term : a.half_terms[h]);
      VF s = fma(w.scale[0], as_floats(sum[t][0]), w.minus_k_scale);
      if constexpr (kSubBlocks == 2)
        s = fma(w.scale[1], sub(as_floats(sum[t][1]), set_floats(kSumMagic)), s);
      if constexpr (kMinimum) LANTERN_UNROLL
      for (int h = 0; h < kSubBlocks; ++h)
        s = fma(w.minimum[h], broadcast(kSubBlocks == 1 ? &a.sum : &a.half_sums[h]), s);
      y[first + t] = fma(broadcast(&a.scale), s, y[first + t]);
    }
  }
}

}  // namespace
}  // namespace lantern::kernels
