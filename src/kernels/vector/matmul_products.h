// Products of interleaved weights with a few tokens (weights unpacked into registers) and with many
// (unpacked once into a tile that stays in the first caches), for every vector width.
#pragma once

#include "kernels/layout.h"
#include "kernels/vector/matmul_weights.h"

namespace lantern::kernels {
namespace {

// A group is worked on in vectors of rows: one of 16 lanes, or two of 8.
constexpr int kVectorsPerGroup = static_cast<int>(kGroupRows) / kVectorLanes;
// Up to so many tokens weights stay in registers.
constexpr int kFewTokens = 4;
// Blocks of 32 columns that are unpacked together.
constexpr int64_t kTileBlocks = 16;
// Groups that are unpacked together, so that a tile of activations is used for all of them.
constexpr int64_t kTileGroups = 4;

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
  constexpr int kSubBlocks = sizeof(w.pair) / sizeof(w.pair[0]);
  constexpr bool kMinimum = Type::kMinimum;
  constexpr int kPerSub = 8 / kSubBlocks;
  // Eight registers of 16 are too few for the weights: then each is loaded once for all tokens.
  constexpr int kTogether = kVectorLanes == 16 ? 1 : kTokens;
  LANTERN_UNROLL
  for (int first = 0; first < kTokens; first += kTogether) {
    VI sum[kTogether][kSubBlocks];
    LANTERN_UNROLL
    for (int t = 0; t < kTogether; ++t) LANTERN_UNROLL
    for (int h = 0; h < kSubBlocks; ++h) sum[t][h] = set_ints(kSumMagicBits);
    LANTERN_UNROLL
    for (int k = 0; k < 8; ++k) LANTERN_UNROLL
    for (int t = 0; t < kTogether; ++t)
      sum[t][k / kPerSub] =
          dot<Type::kLarge>(sum[t][k / kPerSub], w.q[k], x[first + t].codes + 4 * k);
    LANTERN_UNROLL
    for (int t = 0; t < kTogether; ++t) {
      const ActivationBlock& a = x[first + t];
      LANTERN_UNROLL
      for (int h = 0; h < kSubBlocks; ++h)
        sum[t][h] = dot_pairs(sum[t][h], w.pair[h], kSubBlocks == 1 ? a.term : a.half_terms[h]);
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

// --- few tokens ---

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
    for (int t = 0; t < kTokens; ++t) store_first(rows.y + t * job.y_stride, rows.n_rows, y[t]);
  }
}

// --- many tokens ---

template <typename Type, int kPart = 0>
LANTERN_INLINE void unpack_parts(const Stream& stream, int64_t block, typename Type::W* tile) {
  if constexpr (kPart < Type::kParts) {
    Type::template load_part<kPart>(stream, block, tile[kPart]);
    unpack_parts<Type, kPart + 1>(stream, block, tile);
  }
}

/// Adds n blocks' share of kTokens tokens to their outputs, which start from 0 in the first tile.
template <typename Type, int kTokens>
__attribute__((noinline)) void multiply_tile(const typename Type::W* tile, int64_t n,
                                             const ActivationBlock* x, bool first, float* y,
                                             int64_t y_stride, int64_t n_rows) {
  VF sums[kTokens];
  LANTERN_UNROLL
  for (int t = 0; t < kTokens; ++t)
    sums[t] = first ? set_floats(0) : load_first(y + t * y_stride, n_rows);
  for (int64_t b = 0; b < n; ++b) {
    const typename Type::W w = tile[b];
    add_block<Type, kTokens>(w, x, sums);
    x += kTileTokens;
  }
  LANTERN_UNROLL
  for (int t = 0; t < kTokens; ++t) store_first(y + t * y_stride, n_rows, sums[t]);
}

template <typename Type>
void multiply_tokens(const typename Type::W* tile, int64_t n, const ActivationBlock* x,
                     int64_t n_tokens, bool first, float* y, int64_t y_stride, int64_t n_rows) {
  int64_t t = 0;
  for (; t + kTokensTogether <= n_tokens; t += kTokensTogether)
    multiply_tile<Type, kTokensTogether>(tile, n, x + t, first, y + t * y_stride, y_stride, n_rows);
  if (kTokensTogether > 8 && t + 8 <= n_tokens) {
    multiply_tile<Type, 8>(tile, n, x + t, first, y + t * y_stride, y_stride, n_rows);
    t += 8;
  }
  if (kTokensTogether > 4 && t + 4 <= n_tokens) {
    multiply_tile<Type, 4>(tile, n, x + t, first, y + t * y_stride, y_stride, n_rows);
    t += 4;
  }
  if (t + 2 <= n_tokens) {
    multiply_tile<Type, 2>(tile, n, x + t, first, y + t * y_stride, y_stride, n_rows);
    t += 2;
  }
  if (t < n_tokens)
    multiply_tile<Type, 1>(tile, n, x + t, first, y + t * y_stride, y_stride, n_rows);
}

template <typename Type>
void many_tokens(const MatmulJob& job, int64_t first_vector, int64_t n_vectors) {
  typename Type::W tiles[kTileGroups * kVectorsPerGroup][kTileBlocks];
  const int64_t n_columns = job.n_blocks * Type::kParts;
  constexpr int64_t kStep = kTileBlocks / Type::kParts;  // in blocks of the format
  for (int64_t b = 0; b < job.n_blocks; b += kStep) {
    const int64_t n = job.n_blocks - b < kStep ? job.n_blocks - b : kStep;
    for (int64_t v = 0; v < n_vectors; ++v) {
      const Rows rows = rows_of<Type>(job, first_vector + v);
      for (int64_t i = 0; i < n; ++i)
        unpack_parts<Type>(rows.stream, b + i, tiles[v] + i * Type::kParts);
    }
    for (int64_t t = 0; t < job.n_tokens; t += kTileTokens) {
      const int64_t n_tokens = job.n_tokens - t < kTileTokens ? job.n_tokens - t : kTileTokens;
      const ActivationBlock* x = job.activations + activation_index(t, b * Type::kParts, n_columns);
      for (int64_t v = 0; v < n_vectors; ++v) {
        const Rows rows = rows_of<Type>(job, first_vector + v);
        if (rows.n_rows <= 0) break;
        multiply_tokens<Type>(tiles[v], n * Type::kParts, x, n_tokens, b == 0,
                              rows.y + t * job.y_stride, job.y_stride, rows.n_rows);
      }
    }
  }
}

template <typename Type>
void quantized_product(const MatmulJob& job) {
  switch (job.n_tokens) {
    case 1:
      return few_tokens<Type, 1>(job);
    case 2:
      return few_tokens<Type, 2>(job);
    case 3:
      return few_tokens<Type, 3>(job);
    case 4:
      return few_tokens<Type, 4>(job);
    default:
      break;
  }
  constexpr int64_t kVectors = kTileGroups * kVectorsPerGroup;
  const int64_t n_vectors = job.n_groups * kVectorsPerGroup;
  for (int64_t v = 0; v < n_vectors; v += kVectors)
    many_tokens<Type>(job, v, n_vectors - v < kVectors ? n_vectors - v : kVectors);
}

// --- float weights ---

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
