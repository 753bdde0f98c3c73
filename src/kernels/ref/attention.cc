// Attention of a tile of rows over one block: the definition of the bits.
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/attention_kernels.h"
#include "kernels/functions.h"
#include "kernels/functions_constants.h"
#include "kernels/ref/partial_sums.h"
#include "quant/half.h"

namespace lantern::kernels {
namespace {

void pack_queries(int64_t head_dim, const float* const* rows, float* packed) {
  for (int64_t d = 0; d < head_dim; ++d)
    for (int64_t r = 0; r < kTileRowGroup; ++r) packed[d * kTileRowGroup + r] = rows[r][d];
}

template <typename T>
T load(const uint8_t* base, int64_t index) {
  T value;
  std::memcpy(&value, base + index * static_cast<int64_t>(sizeof(T)), sizeof value);
  return value;
}

template <typename T>
void store(uint8_t* base, int64_t index, T value) {
  std::memcpy(base + index * static_cast<int64_t>(sizeof(T)), &value, sizeof value);
}

float load_element(KvType type, const uint8_t* head, int64_t dim, int64_t index,
                   int64_t scale_index) {
  switch (type) {
    case KvType::kF32:
      return load<float>(head, index);
    case KvType::kF16:
      return quant::f16_to_f32(load<uint16_t>(head, index));
    case KvType::kQ8_0:
      break;
  }
  float scale = quant::f16_to_f32(load<uint16_t>(head + kKvPagePositions * dim, scale_index));
  return scale * static_cast<float>(load<int8_t>(head, index));
}

float score(const AttentionTile& tile, int64_t row, const uint8_t* keys, int64_t position) {
  float s = 0.0f;
  for (int64_t d = 0; d < tile.head_dim; ++d) {
    float k = load_element(tile.type, keys, tile.head_dim, key_index(position, d, tile.head_dim),
                           key_scale_index(position, d, tile.head_dim));
    s = std::fma(tile.q[packed_query_index(row, d, tile.head_dim)], k, s);
  }
  return tile.softcap == 0.0f ? s : tile.softcap * tanh_f32(s * tile.scale / tile.softcap);
}

void block(const AttentionTile& tile, const KvBlock& current, const KvBlock&,
           const RowLimits* limits, const AttentionPartial& out) {
  const float factor = tile.softcap == 0.0f ? tile.scale * kLog2E : kLog2E;
  float* p = tile.scratch;
  for (int64_t r = 0; r < tile.n_rows; ++r) {
    auto [low, high] = limits[r];
    if (low >= high) continue;
    for (int64_t i = low; i < high; ++i) p[i] = score(tile, r, current.keys, i);
    float greatest = p[low];
    for (int64_t i = low; i < high; ++i) greatest = p[i] > greatest ? p[i] : greatest;
    float maximum = greatest * factor;
    PartialSums sums;
    for (int64_t i = low; i < high; ++i) {
      p[i] = exp2_flushed_f32(std::fma(p[i], factor, -maximum));
      sums.add(i, p[i]);
    }
    out.maximum[r] = maximum;
    out.sum[r] = sums.fold();
    float* o = out.output + r * round_up_to_lanes(tile.value_dim);
    for (int64_t d = 0; d < tile.value_dim; ++d) {
      o[d] = 0.0f;
      for (int64_t i = low; i < high; ++i) {
        float v = load_element(tile.type, current.values, tile.value_dim,
                               value_index(i, d, tile.value_dim),
                               value_scale_index(i, d, tile.value_dim));
        o[d] = std::fma(p[i], v, o[d]);
      }
    }
  }
}

void merge_row(int64_t value_dim, float* maximum, float* sum, float* output, float block_maximum,
               float block_sum, const float* block_output) {
  float merged = block_maximum > *maximum ? block_maximum : *maximum;
  float a = exp2_flushed_f32(*maximum - merged);
  float b = exp2_flushed_f32(block_maximum - merged);
  *maximum = merged;
  *sum = std::fma(*sum, a, block_sum * b);
  for (int64_t d = 0; d < value_dim; ++d) output[d] = std::fma(output[d], a, block_output[d] * b);
}

void merge(int64_t n_rows, int64_t value_dim, const RowLimits* limits,
           const AttentionPartial& running, const AttentionPartial& later) {
  int64_t width = round_up_to_lanes(value_dim);
  for (int64_t r = 0; r < n_rows; ++r) {
    if (limits[r].low >= limits[r].high) continue;
    float* output = running.output + r * width;
    const float* block_output = later.output + r * width;
    if (running.sum[r] == 0.0f) {
      running.maximum[r] = later.maximum[r];
      running.sum[r] = later.sum[r];
      for (int64_t d = 0; d < value_dim; ++d) output[d] = block_output[d];
    } else {
      merge_row(value_dim, &running.maximum[r], &running.sum[r], output, later.maximum[r],
                later.sum[r], block_output);
    }
  }
}

void finish(int64_t value_dim, float sum, const float* output, float* out) {
  for (int64_t d = 0; d < value_dim; ++d) out[d] = output[d] / sum;
}

/// The f16 scale of 32 values and their codes: scale = f16(max |x| / 127), code = round(x / scale).
/// A scale that is 0 or not finite has codes 0, so that NaN comes back as NaN.
uint16_t quantize(const float* x, int8_t* codes) {
  uint32_t greatest = 0;
  for (int64_t i = 0; i < kKvQuantBlock; ++i) {
    uint32_t magnitude = std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu;
    greatest = magnitude > greatest ? magnitude : greatest;
  }
  uint16_t half = quant::f32_to_f16(std::bit_cast<float>(greatest) / 127.0f);
  float scale = quant::f16_to_f32(half);
  bool usable = (half & 0x7fffu) != 0 && (half & 0x7c00u) != 0x7c00u;
  for (int64_t i = 0; i < kKvQuantBlock; ++i) {
    float c = usable ? std::nearbyint(x[i] / scale) : 0.0f;
    c = c > 127.0f ? 127.0f : c;
    c = c < -127.0f ? -127.0f : c;
    codes[i] = static_cast<int8_t>(c);
  }
  return half;
}

/// One row of a head: `index` and `scale_index` say where a dimension goes.
template <typename Index, typename ScaleIndex>
void write_row(KvType type, int64_t dim, const float* x, uint8_t* head, Index index,
               ScaleIndex scale_index) {
  if (type == KvType::kF32) {
    for (int64_t d = 0; d < dim; ++d) store(head, index(d), x[d]);
    return;
  }
  if (type == KvType::kF16) {
    for (int64_t d = 0; d < dim; ++d) store(head, index(d), quant::f32_to_f16(x[d]));
    return;
  }
  for (int64_t first = 0; first < dim; first += kKvQuantBlock) {
    int8_t codes[kKvQuantBlock];
    uint16_t scale = quantize(x + first, codes);
    for (int64_t i = 0; i < kKvQuantBlock; ++i) store(head, index(first + i), codes[i]);
    store(head + kKvPagePositions * dim, scale_index(first), scale);
  }
}

void write_keys(KvType type, int64_t head_dim, int64_t slot, int64_t n, const float* k,
                int64_t stride, uint8_t* head) {
  for (int64_t i = 0; i < n; ++i) {
    int64_t position = slot + i;
    write_row(
        type, head_dim, k + i * stride, head,
        [=](int64_t d) { return key_index(position, d, head_dim); },
        [=](int64_t d) { return key_scale_index(position, d, head_dim); });
  }
}

void write_values(KvType type, int64_t value_dim, int64_t slot, int64_t n, const float* v,
                  int64_t stride, uint8_t* head) {
  for (int64_t i = 0; i < n; ++i) {
    int64_t position = slot + i;
    write_row(
        type, value_dim, v + i * stride, head,
        [=](int64_t d) { return value_index(position, d, value_dim); },
        [=](int64_t d) { return value_scale_index(position, d, value_dim); });
    // The padding is part of the page: zeros. (q8_0 has none: 32 divides its widths.)
    for (int64_t d = value_dim; d < round_up_to_lanes(value_dim); ++d) {
      if (type == KvType::kF32) store(head, value_index(position, d, value_dim), 0.0f);
      if (type == KvType::kF16) store(head, value_index(position, d, value_dim), uint16_t{0});
    }
  }
}

}  // namespace

const AttentionKernels kRefAttention = {
    .pack_queries = pack_queries,
    .block = block,
    .merge = merge,
    .finish = finish,
    .write_keys = write_keys,
    .write_values = write_values,
};

}  // namespace lantern::kernels
