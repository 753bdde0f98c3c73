// Products with many tokens: weights are unpacked once into a tile that stays in the first caches.
#pragma once

#include "kernels/layout.h"
#include "kernels/vector/matmul_block.h"

namespace lantern::kernels {
namespace {

// Blocks of 32 columns that are unpacked together, at most.
constexpr int64_t kTileBlocks = 32;
// Groups that are unpacked together, so that a tile of activations is used for all of them.
constexpr int64_t kTileGroups = 4;

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

/// n_tokens of one vector of rows.
template <typename Type>
void multiply_tokens(const typename Type::W* tile, int64_t n, const ActivationBlock* x,
                     int64_t n_tokens, bool first, float* y, int64_t y_stride, int64_t n_rows) {
  int64_t t = 0;
  if constexpr (kTokensAlone > 4)
    for (; t + kTokensAlone <= n_tokens; t += kTokensAlone)
      multiply_tile<Type, kTokensAlone>(tile, n, x + t, first, y + t * y_stride, y_stride, n_rows);
  for (; t + 4 <= n_tokens; t += 4)
    multiply_tile<Type, 4>(tile, n, x + t, first, y + t * y_stride, y_stride, n_rows);
  for (; t < n_tokens; ++t)
    multiply_tile<Type, 1>(tile, n, x + t, first, y + t * y_stride, y_stride, n_rows);
}

/// Two neighbouring vectors of rows times kTokens tokens. Each broadcast of four codes serves both,
/// and 2 kTokens chains hide each other's latency. The outputs stand in the first cache instead of
/// registers: a load and a store for each 11 multiplications.
template <typename Type, int kTokens>
__attribute__((noinline)) void multiply_pair(const typename Type::W* tile, int64_t n,
                                             const ActivationBlock* x, const ActivationBlock* ahead,
                                             bool first, float* y, int64_t y_stride,
                                             int64_t n_rows) {
  static_assert(kSubBlocksOf<Type> == 1);
  alignas(64) float sums[kTokens][2][kVectorLanes];
  LANTERN_UNROLL
  for (int t = 0; t < kTokens; ++t) LANTERN_UNROLL
  for (int v = 0; v < 2; ++v)
    store_floats(sums[t][v], first ? set_floats(0)
                                   : load_first(y + t * y_stride + v * kVectorLanes,
                                                n_rows - v * kVectorLanes));
  for (int64_t b = 0; b < n; ++b) {
    const typename Type::W& w0 = tile[b];
    const typename Type::W& w1 = tile[b + kTileBlocks];
    VI i[kTokens][2];
    LANTERN_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      prefetch(ahead + t);
      i[t][0] = start_sum<Type::kMaxCode>();
      i[t][1] = start_sum<Type::kMaxCode>();
    }
    LANTERN_UNROLL
    for (int k = 0; k < 8; ++k) {
      const VI q0 = w0.q[k];
      const VI q1 = w1.q[k];
      LANTERN_UNROLL
      for (int t = 0; t < kTokens; ++t) {
        const VI codes = broadcast_codes(x[t].codes + 4 * k);
        i[t][0] = dot_codes<Type::kMaxCode>(i[t][0], q0, codes);
        i[t][1] = dot_codes<Type::kMaxCode>(i[t][1], q1, codes);
      }
    }
    LANTERN_UNROLL
    for (int t = 0; t < kTokens; ++t) {
      LANTERN_UNROLL
      for (int v = 0; v < 2; ++v) {
        const typename Type::W& w = v == 0 ? w0 : w1;
        const VI sum = dot_pairs(finish_sum<Type::kMaxCode>(i[t][v]), w.pair[0], x[t].term);
        VF s = fma(w.scale[0], as_floats(sum), w.minus_k_scale);
        if constexpr (Type::kMinimum) s = fma(w.minimum[0], broadcast(&x[t].sum), s);
        store_floats(sums[t][v], fma(broadcast(&x[t].scale), s, load_floats(sums[t][v])));
      }
    }
    x += kTileTokens;
    ahead += kTileTokens;
  }
  LANTERN_UNROLL
  for (int t = 0; t < kTokens; ++t) LANTERN_UNROLL
  for (int v = 0; v < 2; ++v)
    store_first(y + t * y_stride + v * kVectorLanes, n_rows - v * kVectorLanes,
                load_floats(sums[t][v]));
}

template <typename Type>
void many_tokens(const MatmulJob& job, int64_t first_vector, int64_t n_vectors) {
  typename Type::W tiles[kTileGroups * kVectorsPerGroup][kTileBlocks];
  const int64_t n_columns = job.n_blocks * Type::kParts;
  // In blocks of the format; equal shares, because a short one does not pay for its outputs' way.
  constexpr int64_t kMost = kTileBlocks / Type::kParts;
  const int64_t n_tiles = (job.n_blocks + kMost - 1) / kMost;
  const int64_t step = (job.n_blocks + n_tiles - 1) / n_tiles;
  for (int64_t b = 0; b < job.n_blocks; b += step) {
    const int64_t n = job.n_blocks - b < step ? job.n_blocks - b : step;
    for (int64_t v = 0; v < n_vectors; ++v) {
      const Rows rows = rows_of<Type>(job, first_vector + v);
      for (int64_t i = 0; i < n; ++i)
        unpack_parts<Type>(rows.stream, b + i, tiles[v] + i * Type::kParts);
    }
    for (int64_t t = 0; t < job.n_tokens; t += kTileTokens) {
      const int64_t n_tokens = job.n_tokens - t < kTileTokens ? job.n_tokens - t : kTileTokens;
      const ActivationBlock* x = job.activations + activation_index(t, b * Type::kParts, n_columns);
      for (int64_t v = 0; v < n_vectors;) {
        const int64_t n_rows = job.n_rows - (first_vector + v) * kVectorLanes;
        if (n_rows <= 0) break;
        float* y = job.y + t * job.y_stride + (first_vector + v) * kVectorLanes;
        int64_t done = 0;
        int64_t width = 1;
        if constexpr (kSubBlocksOf<Type> == 1) {
          if (v + 2 <= n_vectors && n_rows > kVectorLanes) {
            // The first pair fetches the next tile of activations (past the last: harmless).
            const ActivationBlock* ahead = v == 0 ? x + n_columns * kTileTokens : x;
            for (; done + kTokensInPair <= n_tokens; done += kTokensInPair)
              multiply_pair<Type, kTokensInPair>(tiles[v], n * Type::kParts, x + done, ahead + done,
                                                 b == 0, y + done * job.y_stride, job.y_stride,
                                                 n_rows);
            width = 2;
          }
        }
        for (int64_t i = 0; i < width; ++i)
          multiply_tokens<Type>(tiles[v + i], n * Type::kParts, x + done, n_tokens - done, b == 0,
                                y + done * job.y_stride + i * kVectorLanes, job.y_stride,
                                n_rows - i * kVectorLanes);
        v += width;
      }
    }
  }
}

}  // namespace
}  // namespace lantern::kernels
