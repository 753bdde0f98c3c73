// Products of float weights: one fused multiply-add a column, in order.
#pragma once

#include "kernels/layout.h"
#include "kernels/vector/matmul_block.h"

namespace lantern::kernels {
namespace {

struct F32 {
  static constexpr int kBytes = 4;
  LANTERN_INLINE static VF load_weights(const uint8_t* p) {
    return load_floats(reinterpret_cast<const float*>(p));
  }
};
struct F16 {
  static constexpr int kBytes = 2;
  LANTERN_INLINE static VF load_weights(const uint8_t* p) { return load_halves(p); }
};
struct Bf16 {
  static constexpr int kBytes = 2;
  LANTERN_INLINE static VF load_weights(const uint8_t* p) {
    return as_floats(shift<16>(load_u16(p)));
  }
};

/// kVectors vectors of rows times kTokens tokens: so many sums hide the latency of each one's
/// chain.
template <typename Type, int kVectors, int kTokens>
void float_block(const MatmulJob& job, int64_t vector, int64_t token) {
  const uint8_t* w[kVectors];
  for (int v = 0; v < kVectors; ++v)
    w[v] = job.weights + (vector + v) / kVectorsPerGroup * job.group_bytes +
           (vector + v) % kVectorsPerGroup * kVectorLanes * Type::kBytes;
  const float* x = job.x + token * job.x_stride;
  VF sums[kVectors][kTokens];
  LANTERN_UNROLL
  for (int v = 0; v < kVectors; ++v) LANTERN_UNROLL
  for (int t = 0; t < kTokens; ++t) sums[v][t] = set_floats(0);
  for (int64_t column = 0; column < job.n_blocks; ++column) {
    VF a[kVectors];
    LANTERN_UNROLL
    for (int v = 0; v < kVectors; ++v)
      a[v] = Type::load_weights(w[v] + column * kGroupRows * Type::kBytes);
    LANTERN_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      const VF b = broadcast(x + t * job.x_stride + column);
      LANTERN_UNROLL
      for (int v = 0; v < kVectors; ++v) sums[v][t] = fma(a[v], b, sums[v][t]);
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    const int64_t row = (vector + v) * kVectorLanes;
    if (row >= job.n_rows) break;
    LANTERN_UNROLL
    for (int t = 0; t < kTokens; ++t)
      store_first(job.y + (token + t) * job.y_stride + row, job.n_rows - row, sums[v][t]);
  }
}

template <typename Type, int kVectors>
void float_vectors(const MatmulJob& job, int64_t vector) {
  int64_t t = 0;
  for (; t + kFloatTokens <= job.n_tokens; t += kFloatTokens)
    float_block<Type, kVectors, kFloatTokens>(job, vector, t);
  for (; t + 2 <= job.n_tokens; t += 2) float_block<Type, kVectors, 2>(job, vector, t);
  for (; t < job.n_tokens; ++t) float_block<Type, kVectors, 1>(job, vector, t);
}

template <typename Type>
void float_product(const MatmulJob& job) {
  const int64_t n_vectors = job.n_groups * kVectorsPerGroup;
  int64_t v = 0;
  if (job.n_tokens == 1)
    for (; v + 8 <= n_vectors; v += 8) float_block<Type, 8, 1>(job, v, 0);
  for (; v + 2 <= n_vectors; v += 2) float_vectors<Type, 2>(job, v);
  for (; v < n_vectors; ++v) float_vectors<Type, 1>(job, v);
}

}  // namespace
}  // namespace lantern::kernels
