// How a page of the KV cache is laid out. Plain data: instruction set files include this.
//
// A page holds kKvPagePositions positions of every KV head of a layer, head after head; keys and
// values have pages of their own.
//
//   keys    [position / 16][dim][position % 16]    a vector's lanes are positions
//   values  [position][dim, padded to 16]          a vector's lanes are dimensions
//
// so a score sums over dim, and an output over positions, in order inside each lane. f32 and f16
// hold the numbers themselves. q8_0 holds int8 codes so ordered, then f16 scales, one for 32
// dimensions of a position: keys [position / 16][dim / 32][position % 16], values [position][dim /
// 32].
#pragma once

#include <stdint.h>

#include "kernels/lanes.h"

namespace lantern::kernels {

enum class KvType { kF32, kF16, kQ8_0 };

/// Positions a page holds, also the block whose partial results are merged in order.
constexpr int64_t kKvPagePositions = 128;

/// Dimensions that share a scale in q8_0.
constexpr int64_t kKvQuantBlock = 32;

/// Bytes of one head's part of a page.
static constexpr int64_t kv_head_bytes(KvType type, int64_t dim) {
  switch (type) {
    case KvType::kF32:
      return kKvPagePositions * round_up_to_lanes(dim) * 4;
    case KvType::kF16:
      return kKvPagePositions * round_up_to_lanes(dim) * 2;
    case KvType::kQ8_0:
      return kKvPagePositions * (dim + dim / kKvQuantBlock * 2);
  }
  return 0;
}

/// Where an element stands, in elements from the head's part of the page.
static constexpr int64_t key_index(int64_t position, int64_t dim, int64_t head_dim) {
  return (position / kLanes * head_dim + dim) * kLanes + position % kLanes;
}
static constexpr int64_t value_index(int64_t position, int64_t dim, int64_t value_dim) {
  return position * round_up_to_lanes(value_dim) + dim;
}

/// The same of q8_0's scales, in f16s from the end of the codes.
static constexpr int64_t key_scale_index(int64_t position, int64_t dim, int64_t head_dim) {
  return key_index(position, dim / kKvQuantBlock, head_dim / kKvQuantBlock);
}
static constexpr int64_t value_scale_index(int64_t position, int64_t dim, int64_t value_dim) {
  return position * (value_dim / kKvQuantBlock) + dim / kKvQuantBlock;
}

}  // namespace lantern::kernels
