// What each instruction set gives attention.cc and kv_cache.cc. Plain data, since instruction set
// files include it.
//
// The unit of work is a tile: rows that attend to one KV head of one sequence, a row being one
// query of one of the heads that share it. A tile meets one block of 128 positions at a time:
//
//   y_i = (sum over d of q_d k_i,d, in order) * score_scale       i in [low, high), the visible
//   ones m   = max y_i,   p_i = 2^(y_i - m),   l = sum p_i over 16 partial sums,   o = sum p_i v_i
//   in order
//
// score_scale is scale * log2(e); with a soft cap y_i = (cap * tanh(s_i * scale / cap)) * log2(e).
// A row's blocks then merge in order: m' = max(m, m_b), a = 2^(m - m'), b = 2^(m_b - m'),
// l' = fma(l, a, l_b * b), o' = fma(o, a, o_b * b); the first visible block is taken as it is.
// Positions outside [low, high) do not exist: they enter no sum, whatever stands there.
#pragma once

#include <stdint.h>

#include "kernels/kv_layout.h"

namespace lantern::kernels {

struct AttentionTile {
  int64_t n_rows;
  int64_t head_dim;
  int64_t value_dim;
  KvType type;
  float scale;     // positive
  float softcap;   // 0: none
  const float* q;  // [n_rows / 8][head_dim][8 rows], see packed_query_index()
  float* scratch;  // attention_scratch_floats()
};

/// Rows whose queries stand side by side, dimension after dimension.
constexpr int64_t kTileRowGroup = 8;

static constexpr int64_t packed_query_index(int64_t row, int64_t dim, int64_t head_dim) {
  return (row / kTileRowGroup * head_dim + dim) * kTileRowGroup + row % kTileRowGroup;
}

/// A row's visible positions within the block; none where low >= high.
struct RowLimits {
  int32_t low;
  int32_t high;
};

/// One block's results, or the running ones.
struct AttentionPartial {
  float* maximum;  // [round_up_to_lanes(n_rows)]
  float* sum;      // the same; 0 for a row that has met no block yet
  float* output;   // [n_rows, round_up_to_lanes(value_dim)]
};

/// One head's part of a page of keys and of values.
struct KvBlock {
  const uint8_t* keys;
  const uint8_t* values;
};

struct AttentionKernels {
  /// 8 rows of head_dim floats side by side: packed[dim * 8 + row].
  void (*pack_queries)(int64_t head_dim, const float* const* rows, float* packed);
  /// Rows without a visible position are left unwritten. `next` is the block that will follow, to
  /// be fetched into the cache meanwhile; null pointers where none will.
  void (*block)(const AttentionTile& tile, const KvBlock& current, const KvBlock& next,
                const RowLimits* limits, const AttentionPartial& out);
  /// Merges a later block into the running results of the rows that see some of it.
  void (*merge)(int64_t n_rows, int64_t value_dim, const RowLimits* limits,
                const AttentionPartial& running, const AttentionPartial& later);
  /// out[value_dim] = output / sum.
  void (*finish)(int64_t value_dim, float sum, const float* output, float* out);
  /// Writes n positions (slot, slot + 1, ... of one page) of one head; k rows `stride` floats
  /// apart.
  void (*write_keys)(KvType type, int64_t head_dim, int64_t slot, int64_t n, const float* k,
                     int64_t stride, uint8_t* head);
  void (*write_values)(KvType type, int64_t value_dim, int64_t slot, int64_t n, const float* v,
                       int64_t stride, uint8_t* head);
};

/// Scratch of one tile: scores of a group of rows, a block of keys and one of values in float32.
static constexpr int64_t attention_scratch_floats(int64_t head_dim, int64_t value_dim) {
  return kKvPagePositions *
         (kTileRowGroup + round_up_to_lanes(head_dim) + round_up_to_lanes(value_dim));
}

extern const AttentionKernels kRefAttention;
extern const AttentionKernels kAvx2Attention;
extern const AttentionKernels kAvx512Attention;

}  // namespace lantern::kernels
