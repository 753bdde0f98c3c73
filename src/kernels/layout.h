// How packed weights and quantized activations lie in memory. Plain data: instruction set files
// include this.
#pragma once

#include <stdint.h>

namespace lantern::kernels {

/// Output rows of a group: the lanes of the widest vector.
constexpr int64_t kGroupRows = 16;
/// Columns that share an activation scale.
constexpr int64_t kActivationColumns = 32;
/// Tokens whose activation blocks stand side by side.
constexpr int64_t kTileTokens = 16;

/// 32 quantized activations of a token: x ~ scale (c - z) with codes c and the zero point z in
/// 0..255. One cache line, read by broadcasts of four bytes.
struct alignas(64) ActivationBlock {
  int8_t codes[32];    // c - 128
  float scale;         // a; NaN where an activation was not finite or the range overflowed
  float sum;           // sum (c - z), exactly
  float half_sums[2];  // of columns 0..15 and 16..31
  // {128 - z, -sum (c - z)}: multiplied with the pair {sum q, offset} of the weights, this is what
  // turns sum q (c - 128) into sum (q - offset) (c - z). The same for each half.
  int16_t term[2];
  int16_t half_terms[2][2];
  int32_t unused;
};
static_assert(sizeof(ActivationBlock) == 64);

/// Activations of n tokens and n_blocks blocks: [tile][block][token of the tile]; the last tile is
/// as long as the others.
constexpr int64_t activation_index(int64_t token, int64_t block, int64_t n_blocks) {
  return (token / kTileTokens * n_blocks + block) * kTileTokens + token % kTileTokens;
}

/// A piece of a block format that is interleaved by itself: `bytes` bytes at `offset` of the
/// source's block, in units of `unit` bytes.
///
/// A group of 16 rows holds its segments one after another. A segment is
/// [block][unit of the block][row of the group], so that a 64-byte vector of 4-byte units holds
/// four neighbouring codes (or eight nibbles) of 16 rows.
struct Segment {
  int32_t offset;
  int32_t bytes;
  int32_t unit;
};
struct WeightLayout {
  int32_t block_columns;
  int32_t block_bytes;
  int32_t n_segments;
  Segment segments[4];
};

/// A share of one product: consecutive groups of rows, all tokens.
struct MatmulJob {
  const uint8_t* weights;  // the first group
  int64_t group_bytes;     // from group to group
  int64_t n_groups;
  int64_t n_rows;    // outputs of the groups: at most 16 n_groups, more than 16 (n_groups - 1)
  int64_t n_blocks;  // of the weights' block format, in a row
  int64_t n_tokens;
  const ActivationBlock* activations;  // quantized weights; from tile to tile n_blocks (of 32) * 16
  const float* x;                      // float weights: x[n_tokens, cols]
  int64_t x_stride;
  float* y;  // y[n_tokens, rows], at the first group's first row
  int64_t y_stride;
};

/// What the accumulators of integer sums start from, as float bits: 1.5 * 2^23 has ulp 1, so for
/// |i| < 2^22 the integer kSumMagicBits + i has the bits of the float kSumMagic + i. It saves the
/// conversion: fma(D, kSumMagic + i, -kSumMagic * D) is D * i rounded once.
constexpr float kSumMagic = 12582912.0f;
constexpr int32_t kSumMagicBits = 0x4b400000;

/// A block of activations whose range max(0, max) - min(0, min) is below this counts as zeros: 255
/// / range must be finite.
constexpr float kMinActivationRange = 0x1p-100f;

}  // namespace lantern::kernels
