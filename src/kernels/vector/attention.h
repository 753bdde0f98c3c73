// Attention of a tile over one block, sixteen lanes wide: the sums of ref/attention.cc in its
// order. Included after an instruction set's vector.h, by its files alone.
//
// Both halves are small matrix products whose sums stay in registers, kMicroRows rows by a few
// vectors of columns: scores [rows, positions] = q [rows, dim] * keys [dim, positions], and outputs
// [rows, dims] = p [rows, positions] * values [positions, dims].
#pragma once

#include "kernels/attention_kernels.h"
#include "kernels/vector/functions.h"

namespace lantern::kernels {
namespace {

/// 8 x 8 floats: to[j * 8 + i] = from[i][j].
LANTERN_INLINE void transpose(const float* const* from, int64_t offset, float* to) {
  __m256 r[8], t[8];
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(from[i] + offset);
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    _mm256_storeu_ps(to + 8 * i, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
    _mm256_storeu_ps(to + 8 * (i + 4), _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
  }
}

void pack_queries(int64_t head_dim, const float* const* rows, float* packed) {
  static_assert(kTileRowGroup == 8);
  int64_t d = 0;
  for (; d + 8 <= head_dim; d += 8) transpose(rows, d, packed + d * kTileRowGroup);
  for (; d < head_dim; ++d)
    for (int64_t r = 0; r < kTileRowGroup; ++r) packed[d * kTileRowGroup + r] = rows[r][d];
}

/// From so many rows on, a block of f16 is widened to float32 once instead of at every use.
constexpr int64_t kWidenRows = kMicroRows + 1;

/// How a product's row factors lie: the element of step j and row r is a[j * kStep + r * kRow].
struct PackedQueries {
  static constexpr int64_t kStep = kTileRowGroup;
  static constexpr int64_t kRow = 1;
};
struct ScoreRows {
  static constexpr int64_t kStep = 1;
  static constexpr int64_t kRow = kKvPagePositions;
};

enum class Start { kZero, kOutput };

/// Whether every load of keys or values also fetches what stands at the same place of the next
/// block. f16 is read so from the page itself, in decode, where nothing else is left to do while
/// memory answers; float32 mostly from what was widened before.
template <typename T>
constexpr bool kFetchesNext = false;
template <>
constexpr bool kFetchesNext<uint16_t> = true;

/// out[r][c] (+)= sum over j < n of a(j, r) * b[j * b_step + c * b_column], in order of j, for R
/// rows and C vectors of columns.
template <int R, int C, typename A, Start kStart, typename T>
LANTERN_INLINE void product(int64_t n, const float* a, const T* b, int64_t b_step, int64_t b_column,
                            int64_t next_bytes, float* out, int64_t out_row) {
  Floats sums[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c)
      sums[r][c] = kStart == Start::kZero ? broadcast(0.0f) : load(out + r * out_row + c * kLanes);
  for (int64_t j = 0; j < n; ++j) {
    Floats column[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      column[c] = load(b + c * b_column);
      if constexpr (kFetchesNext<T>)
        _mm_prefetch(reinterpret_cast<const char*>(b + c * b_column) + next_bytes, _MM_HINT_T1);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      Floats factor = broadcast(a[r * A::kRow]);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) sums[r][c] = fma(factor, column[c], sums[r][c]);
    }
    a += A::kStep;
    b += b_step;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) store(out + r * out_row + c * kLanes, sums[r][c]);
}

/// The same for n_columns vectors. next_bytes: from this block's keys or values to the next one's.
template <int R, typename A, Start kStart, typename T>
LANTERN_INLINE void products(int64_t n, const float* a, const T* b, int64_t b_step,
                             int64_t b_column, int64_t next_bytes, int64_t n_columns, float* out,
                             int64_t out_row) {
  constexpr int C = micro_columns(R);
  int64_t c = 0;
  for (; c + C <= n_columns; c += C)
    product<R, C, A, kStart>(n, a, b + c * b_column, b_step, b_column, next_bytes, out + c * kLanes,
                             out_row);
  if constexpr (C > 1)
    for (; c < n_columns; ++c)
      product<R, 1, A, kStart>(n, a, b + c * b_column, b_step, b_column, next_bytes,
                               out + c * kLanes, out_row);
}

/// Caps the scores in place where the model does.
LANTERN_INLINE void cap_scores(const AttentionTile& tile, int64_t first, int64_t end, float* p) {
  if (tile.softcap == 0.0f) return;
  Floats cap = broadcast(tile.softcap);
  for (int64_t i = first; i < end; i += kLanes) {
    Floats t = tanh_v(div(mul(load(p + i), broadcast(tile.scale)), cap));
    store(p + i, mul(cap, t));
  }
}

LANTERN_INLINE float weight_factor(const AttentionTile& tile) {
  return tile.softcap == 0.0f ? tile.scale * kLog2E : kLog2E;
}

/// One row's scores p[low, high) to weights in place; their maximum and sum.
void weights(const AttentionTile& tile, RowLimits limits, float* p, float* maximum, float* sum) {
  int64_t first = limits.low / kLanes * kLanes;
  cap_scores(tile, first, limits.high, p);
  auto visible = [&](int64_t i) { return lanes_between(limits.low - i, limits.high - i); };
  Floats lowest = broadcast(-__builtin_inff());
  Floats greatest = lowest;
  for (int64_t i = first; i < limits.high; i += kLanes)
    greatest = max(select(visible(i), load(p + i), lowest), greatest);
  float factor = weight_factor(tile);
  *maximum = fold_max(greatest) * factor;
  Floats f = broadcast(factor);
  Floats m = broadcast(*maximum);
  Floats sums = broadcast(0.0f);
  for (int64_t i = first; i < limits.high; i += kLanes) {
    Floats e = exp2_flushed_v(fms(load(p + i), f, m));
    e = select(visible(i), e, broadcast(0.0f));
    store(p + i, e);
    sums = add(sums, e);
  }
  *sum = fold_add(sums);
}

/// R rows that see all 128 positions, step by step for all of them: one row alone would wait for
/// its maximum and again for its sum.
template <int R>
LANTERN_INLINE void whole_weights(const AttentionTile& tile, float* p, float* maximum, float* sum) {
  float factor = weight_factor(tile);
  if (tile.softcap != 0.0f) cap_scores(tile, 0, R * kKvPagePositions, p);
  Floats greatest[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const float* s = p + r * kKvPagePositions;
    Floats a = max(max(load(s), load(s + 16)), max(load(s + 32), load(s + 48)));
    Floats b = max(max(load(s + 64), load(s + 80)), max(load(s + 96), load(s + 112)));
    greatest[r] = max(a, b);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) maximum[r] = fold_max(greatest[r]) * factor;
  Floats f = broadcast(factor);
  Floats sums[R];
#pragma GCC unroll 1
  for (int r = 0; r < R; ++r) {
    Floats m = broadcast(maximum[r]);
    Floats total = broadcast(0.0f);
#pragma GCC unroll 8
    for (int64_t i = 0; i < kKvPagePositions; i += kLanes) {
      float* s = p + r * kKvPagePositions + i;
      Floats e = exp2_flushed_v(fms(load(s), f, m));
      store(s, e);
      total = add(total, e);
    }
    sums[r] = total;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) sum[r] = fold_add(sums[r]);
}

/// A block's keys and values as the products read them.
template <typename T>
struct Operands {
  const T* keys;
  const T* values;
  int64_t next_keys_bytes;
  int64_t next_values_bytes;
};

LANTERN_INLINE int64_t distance(const uint8_t* from, const uint8_t* to) {
  return static_cast<int64_t>(reinterpret_cast<intptr_t>(to) - reinterpret_cast<intptr_t>(from));
}

/// output += sum of p[i] * values[i] over n positions, in order, of one row.
template <typename T>
void add_values(int64_t n, const float* p, const T* values, int64_t width, float* output) {
  products<1, ScoreRows, Start::kOutput>(n, p, values, width, kLanes, 0, width / kLanes, output,
                                         width);
}

/// R rows from `row` on against one block.
template <int R, typename T>
void attend_rows(const AttentionTile& tile, int64_t row, const Operands<T>& kv,
                 const RowLimits* limits, const AttentionPartial& out) {
  // What some row sees, and what all of them see.
  int64_t low = kKvPagePositions, high = 0, common_low = 0, common_high = kKvPagePositions;
  bool all_visible = true;
  for (int r = 0; r < R; ++r) {
    RowLimits l = limits[row + r];
    if (l.low >= l.high) {
      all_visible = false;
      continue;
    }
    low = l.low < low ? l.low : low;
    high = l.high > high ? l.high : high;
    common_low = l.low > common_low ? l.low : common_low;
    common_high = l.high < common_high ? l.high : common_high;
  }
  if (high == 0) return;

  float* p = tile.scratch;
  int64_t group = low / kLanes;
  int64_t n_groups = (high + kLanes - 1) / kLanes - group;
  int64_t key_group = tile.head_dim * kLanes;
  const float* q =
      tile.q + row / kTileRowGroup * kTileRowGroup * tile.head_dim + row % kTileRowGroup;
  products<R, PackedQueries, Start::kZero>(tile.head_dim, q, kv.keys + group * key_group, kLanes,
                                           key_group, kv.next_keys_bytes, n_groups,
                                           p + group * kLanes, kKvPagePositions);

  bool whole = all_visible && common_low == 0 && common_high == kKvPagePositions;
  if (whole) {
    whole_weights<R>(tile, p, out.maximum + row, out.sum + row);
  } else {
    for (int r = 0; r < R; ++r)
      if (limits[row + r].low < limits[row + r].high)
        weights(tile, limits[row + r], p + r * kKvPagePositions, &out.maximum[row + r],
                &out.sum[row + r]);
  }

  int64_t width = round_up_to_lanes(tile.value_dim);
  int64_t n_columns = width / kLanes;
  float* o = out.output + row * width;
  if (whole) {
    products<R, ScoreRows, Start::kZero>(kKvPagePositions, p, kv.values, width, kLanes,
                                         kv.next_values_bytes, n_columns, o, width);
    return;
  }
  // Positions that only some rows see are added row by row, before and after the common ones.
  bool together = all_visible && common_low < common_high;
  auto add_alone = [&](int r, int64_t first, int64_t end) {
    if (first < end)
      add_values(end - first, p + r * kKvPagePositions + first, kv.values + first * width, width,
                 o + r * width);
  };
  for (int r = 0; r < R; ++r) {
    RowLimits l = limits[row + r];
    if (l.low >= l.high) continue;
    for (int64_t d = 0; d < width; d += kLanes) store(o + r * width + d, broadcast(0.0f));
    add_alone(r, l.low, together ? common_low : l.high);
  }
  if (!together) return;
  products<R, ScoreRows, Start::kOutput>(common_high - common_low, p + common_low,
                                         kv.values + common_low * width, width, kLanes, 0,
                                         n_columns, o, width);
  for (int r = 0; r < R; ++r) add_alone(r, common_high, limits[row + r].high);
}

template <typename T>
void attend_some_rows(int64_t n, const AttentionTile& tile, int64_t row, const Operands<T>& kv,
                      const RowLimits* limits, const AttentionPartial& out) {
  switch (n) {
    case 1:
      return attend_rows<1>(tile, row, kv, limits, out);
    case 2:
      return attend_rows<2>(tile, row, kv, limits, out);
    case 3:
      return attend_rows<3>(tile, row, kv, limits, out);
    case 4:
      return attend_rows<4>(tile, row, kv, limits, out);
    default:
      break;
  }
  if constexpr (kMicroRows > 4) {
    switch (n) {
      case 5:
        return attend_rows<5>(tile, row, kv, limits, out);
      case 6:
        return attend_rows<6>(tile, row, kv, limits, out);
      case 7:
        return attend_rows<7>(tile, row, kv, limits, out);
      default:
        return attend_rows<8>(tile, row, kv, limits, out);
    }
  }
}

/// Fetches part `index` of `n` of the next block's bytes.
LANTERN_INLINE void fetch_part(const uint8_t* start, int64_t bytes, int64_t index, int64_t n) {
  if (start == nullptr) return;
  for (int64_t i = bytes * index / n & -64; i < bytes * (index + 1) / n; i += 64)
    _mm_prefetch(reinterpret_cast<const char*>(start + i), _MM_HINT_T1);
}

template <typename T>
void attend(const AttentionTile& tile, const KvBlock& next, const Operands<T>& kv,
            const RowLimits* limits, const AttentionPartial& out) {
  int64_t n_steps = (tile.n_rows + kMicroRows - 1) / kMicroRows;
  for (int64_t row = 0; row < tile.n_rows; row += kMicroRows) {
    if constexpr (!kFetchesNext<T>) {
      fetch_part(next.keys, kv_head_bytes(tile.type, tile.head_dim), row / kMicroRows, n_steps);
      fetch_part(next.values, kv_head_bytes(tile.type, tile.value_dim), row / kMicroRows, n_steps);
    }
    int64_t n = tile.n_rows - row < kMicroRows ? tile.n_rows - row : kMicroRows;
    attend_some_rows(n, tile, row, kv, limits, out);
  }
}

/// Attends over keys and values as the page holds them.
template <typename T>
void attend_page(const AttentionTile& tile, const KvBlock& current, const KvBlock& next,
                 const RowLimits* limits, const AttentionPartial& out) {
  // Without a next block the loads fetch themselves, which costs next to nothing.
  bool more = next.keys != nullptr;
  Operands<T> kv = {.keys = reinterpret_cast<const T*>(current.keys),
                    .values = reinterpret_cast<const T*>(current.values),
                    .next_keys_bytes = more ? distance(current.keys, next.keys) : 0,
                    .next_values_bytes = more ? distance(current.values, next.values) : 0};
  attend(tile, next, kv, limits, out);
}

LANTERN_INLINE void widen(int64_t first, int64_t end, const uint16_t* from, float* to) {
  for (int64_t i = first; i < end; i += kLanes) store(to + i, load(from + i));
}

/// Keys of groups [first, end) of 16 positions.
void widen_keys_q8(int64_t first, int64_t end, int64_t dim, const int8_t* codes,
                   const uint16_t* scales, float* to) {
  for (int64_t g = first; g < end; ++g) {
    for (int64_t d = 0; d < dim; d += kKvQuantBlock) {
      Floats scale = load(scales + key_scale_index(g * kLanes, d, dim));
      int64_t start = key_index(g * kLanes, d, dim);
      for (int64_t i = start; i < start + kKvQuantBlock * kLanes; i += kLanes)
        store(to + i, mul(scale, load(codes + i)));
    }
  }
}

/// Values of positions [first, end).
void widen_values_q8(int64_t first, int64_t end, int64_t dim, const int8_t* codes,
                     const uint16_t* scales, float* to) {
  for (int64_t i = first * dim; i < end * dim; i += kKvQuantBlock) {
    Floats scale = broadcast(float_of(scales[i / kKvQuantBlock]));
    store(to + i, mul(scale, load(codes + i)));
    store(to + i + kLanes, mul(scale, load(codes + i + kLanes)));
  }
}

void block(const AttentionTile& tile, const KvBlock& current, const KvBlock& next,
           const RowLimits* limits, const AttentionPartial& out) {
  int64_t low = kKvPagePositions, high = 0;
  for (int64_t r = 0; r < tile.n_rows; ++r) {
    if (limits[r].low >= limits[r].high) continue;
    low = limits[r].low < low ? limits[r].low : low;
    high = limits[r].high > high ? limits[r].high : high;
  }
  if (high == 0) return;
  if (tile.type == KvType::kF32) return attend_page<float>(tile, current, next, limits, out);
  if (tile.type == KvType::kF16 && tile.n_rows < kWidenRows)
    return attend_page<uint16_t>(tile, current, next, limits, out);
  const uint8_t* keys = current.keys;
  const uint8_t* values = current.values;
  float* wide_keys = tile.scratch + kTileRowGroup * kKvPagePositions;
  float* wide_values = wide_keys + kKvPagePositions * round_up_to_lanes(tile.head_dim);
  int64_t group = low / kLanes;
  int64_t end_group = (high + kLanes - 1) / kLanes;
  if (tile.type == KvType::kF16) {
    int64_t width = round_up_to_lanes(tile.value_dim);
    widen(group * tile.head_dim * kLanes, end_group * tile.head_dim * kLanes,
          reinterpret_cast<const uint16_t*>(keys), wide_keys);
    widen(low * width, high * width, reinterpret_cast<const uint16_t*>(values), wide_values);
  } else {
    int64_t key_codes = kKvPagePositions * tile.head_dim;
    int64_t value_codes = kKvPagePositions * tile.value_dim;
    widen_keys_q8(group, end_group, tile.head_dim, reinterpret_cast<const int8_t*>(keys),
                  reinterpret_cast<const uint16_t*>(keys + key_codes), wide_keys);
    widen_values_q8(low, high, tile.value_dim, reinterpret_cast<const int8_t*>(values),
                    reinterpret_cast<const uint16_t*>(values + value_codes), wide_values);
  }
  Operands<float> kv = {
      .keys = wide_keys, .values = wide_values, .next_keys_bytes = 0, .next_values_bytes = 0};
  attend(tile, next, kv, limits, out);
}

void merge(int64_t n_rows, int64_t value_dim, const RowLimits* limits,
           const AttentionPartial& running, const AttentionPartial& later) {
  int64_t width = round_up_to_lanes(value_dim);
  for (int64_t first = 0; first < n_rows; first += kLanes) {
    // Rows past the end and rows that this block does not touch compute numbers nobody reads.
    Floats m = load(running.maximum + first);
    Floats block_m = load(later.maximum + first);
    Floats merged = max(block_m, m);
    float maxima[kLanes], a[kLanes], b[kLanes];
    store(maxima, merged);
    store(a, exp2_flushed_v(sub(m, merged)));
    store(b, exp2_flushed_v(sub(block_m, merged)));
    int64_t end = n_rows - first < kLanes ? n_rows - first : kLanes;
    for (int64_t i = 0; i < end; ++i) {
      int64_t r = first + i;
      if (limits[r].low >= limits[r].high) continue;
      float* o = running.output + r * width;
      const float* block_o = later.output + r * width;
      if (running.sum[r] == 0.0f) {
        running.maximum[r] = later.maximum[r];
        running.sum[r] = later.sum[r];
        for (int64_t d = 0; d < width; d += kLanes) store(o + d, load(block_o + d));
        continue;
      }
      running.maximum[r] = maxima[i];
      running.sum[r] = __builtin_fmaf(running.sum[r], a[i], later.sum[r] * b[i]);
      Floats old_factor = broadcast(a[i]);
      Floats new_factor = broadcast(b[i]);
      for (int64_t d = 0; d < width; d += kLanes)
        store(o + d, fma(load(o + d), old_factor, mul(load(block_o + d), new_factor)));
    }
  }
}

void finish(int64_t value_dim, float sum, const float* output, float* out) {
  Floats divisor = broadcast(sum);
  int64_t d = 0;
  for (; d + kLanes <= value_dim; d += kLanes) store(out + d, div(load(output + d), divisor));
  if (d < value_dim)
    store_masked(lanes_between(0, value_dim - d), out + d, div(load(output + d), divisor));
}

/// ref's quantize(): 32 codes and their scale.
LANTERN_INLINE uint16_t quantize(const float* x, int8_t* codes) {
  Floats a = load(x);
  Floats b = load(x + kLanes);
  int32_t greatest = fold_max(max(bits(abs(a)), bits(abs(b))));
  float magnitude;
  __builtin_memcpy(&magnitude, &greatest, sizeof magnitude);
  uint16_t half = half_of(magnitude / 127.0f);
  bool usable = (half & 0x7fff) != 0 && (half & 0x7c00) != 0x7c00;
  Floats scale = broadcast(float_of(half));
  Floats limit = broadcast(127.0f);
  Floats lowest = broadcast(-127.0f);
  auto code = [&](Floats v) {
    return usable ? max(lowest, min(limit, div(v, scale))) : broadcast(0.0f);
  };
  store_int8(codes, code(a));
  store_int8(codes + kLanes, code(b));
  return half;
}

void write_keys(KvType type, int64_t head_dim, int64_t slot, int64_t n, const float* k,
                int64_t stride, uint8_t* head) {
  auto* floats = reinterpret_cast<float*>(head);
  auto* halves = reinterpret_cast<uint16_t*>(head);
  auto* codes = reinterpret_cast<int8_t*>(head);
  auto* scales = reinterpret_cast<uint16_t*>(head + kKvPagePositions * head_dim);
  for (int64_t i = 0; i < n; ++i) {
    const float* x = k + i * stride;
    int64_t position = slot + i;
    int64_t start = key_index(position, 0, head_dim);
    if (type == KvType::kF32) {
      for (int64_t d = 0; d < head_dim; ++d) floats[start + d * kLanes] = x[d];
    } else if (type == KvType::kF16) {
      for (int64_t d = 0; d < head_dim; d += kLanes) {
        int64_t count = head_dim - d < kLanes ? head_dim - d : kLanes;
        uint16_t row[kLanes];
        store_half(row, load_masked(lanes_between(0, count), x + d));
        for (int64_t j = 0; j < count; ++j) halves[start + (d + j) * kLanes] = row[j];
      }
    } else {
      for (int64_t d = 0; d < head_dim; d += kKvQuantBlock) {
        int8_t row[kKvQuantBlock];
        scales[key_scale_index(position, d, head_dim)] = quantize(x + d, row);
        for (int64_t j = 0; j < kKvQuantBlock; ++j) codes[start + (d + j) * kLanes] = row[j];
      }
    }
  }
}

void write_values(KvType type, int64_t value_dim, int64_t slot, int64_t n, const float* v,
                  int64_t stride, uint8_t* head) {
  auto* floats = reinterpret_cast<float*>(head);
  auto* halves = reinterpret_cast<uint16_t*>(head);
  auto* scales = reinterpret_cast<uint16_t*>(head + kKvPagePositions * value_dim);
  for (int64_t i = 0; i < n; ++i) {
    const float* x = v + i * stride;
    int64_t position = slot + i;
    if (type == KvType::kQ8_0) {
      auto* codes = reinterpret_cast<int8_t*>(head) + position * value_dim;
      for (int64_t d = 0; d < value_dim; d += kKvQuantBlock)
        scales[value_scale_index(position, d, value_dim)] = quantize(x + d, codes + d);
      continue;
    }
    // The padding is written too, with zeros.
    int64_t start = value_index(position, 0, value_dim);
    for (int64_t d = 0; d < value_dim; d += kLanes) {
      Floats row = load_masked(lanes_between(0, value_dim - d), x + d);
      if (type == KvType::kF32) {
        store(floats + start + d, row);
      } else {
        store_half(halves + start + d, row);
      }
    }
  }
}

constexpr AttentionKernels kAttention = {
    .pack_queries = pack_queries,
    .block = block,
    .merge = merge,
    .finish = finish,
    .write_keys = write_keys,
    .write_values = write_values,
};

}  // namespace
}  // namespace lantern::kernels
