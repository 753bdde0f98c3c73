#include "kernels/weight_layout.h"

#include <algorithm>
#include <cstring>

#include "quant/blocks.h"

namespace lantern::kernels {
namespace {

using quant::DType;

// Code segments come first: they are whole cache lines, so that their vectors are aligned.
struct Row {
  DType type;
  WeightKind kind;
  WeightLayout layout;
};
constexpr Row kLayouts[] = {
    {DType::kF32, kWeightF32, {1, 4, 1, {{0, 4, 4}}}},
    {DType::kF16, kWeightF16, {1, 2, 1, {{0, 2, 2}}}},
    {DType::kBF16, kWeightBf16, {1, 2, 1, {{0, 2, 2}}}},
    {DType::kQ4_0, kWeightQ4_0, {32, 18, 2, {{2, 16, 4}, {0, 2, 2}}}},             // qs, d
    {DType::kQ4_1, kWeightQ4_1, {32, 20, 2, {{4, 16, 4}, {0, 4, 2}}}},             // qs, d m
    {DType::kQ5_0, kWeightQ5_0, {32, 22, 3, {{6, 16, 4}, {2, 4, 4}, {0, 2, 2}}}},  // qs, qh, d
    {DType::kQ5_1, kWeightQ5_1, {32, 24, 3, {{8, 16, 4}, {4, 4, 4}, {0, 4, 2}}}},  // qs, qh, d m
    {DType::kQ8_0, kWeightQ8_0, {32, 34, 2, {{2, 32, 4}, {0, 2, 2}}}},             // qs, d
    {DType::kQ2_K,
     kWeightQ2K,
     {256, 84, 3, {{16, 64, 4}, {0, 16, 4}, {80, 4, 2}}}},  // qs, scales, d dmin
    {DType::kQ3_K,
     kWeightQ3K,
     {256, 110, 4, {{32, 64, 4}, {0, 32, 4}, {96, 12, 4}, {108, 2, 2}}}},  // qs, hmask, scales, d
    {DType::kQ4_K,
     kWeightQ4K,
     {256, 144, 3, {{16, 128, 4}, {4, 12, 4}, {0, 4, 2}}}},  // qs, scales, d dmin
    {DType::kQ5_K,
     kWeightQ5K,
     {256, 176, 4, {{48, 128, 4}, {16, 32, 4}, {4, 12, 4}, {0, 4, 2}}}},  // qs, qh, scales, d dmin
    {DType::kQ6_K,
     kWeightQ6K,
     {256, 210, 4, {{0, 128, 4}, {128, 64, 4}, {192, 16, 4}, {208, 2, 2}}}},  // ql, qh, scales, d
    {DType::kIQ4_NL, kWeightIq4Nl, {32, 18, 2, {{2, 16, 4}, {0, 2, 2}}}},     // qs, d
    {DType::kIQ4_XS,
     kWeightIq4Xs,
     {256, 136, 3, {{8, 128, 4}, {4, 4, 4}, {0, 4, 2}}}},  // qs, scales_l, d scales_h
    {DType::kMXFP4, kWeightMxfp4, {32, 17, 2, {{1, 16, 4}, {0, 1, 1}}}},  // qs, e
};

const Row* find(DType type) {
  for (const Row& row : kLayouts)
    if (row.type == type) return &row;
  return nullptr;
}

// Both directions move units of 1, 2 or 4 bytes; a fixed size makes each move one instruction.
template <size_t kUnit>
void interleave_segment(const Segment& segment, int64_t block_bytes, int64_t n_blocks,
                        const std::byte* rows, int64_t n_rows, std::byte* out) {
  const int64_t n_units = segment.bytes / segment.unit;
  const int64_t row_bytes = n_blocks * block_bytes;
  for (int64_t block = 0; block < n_blocks; ++block) {
    const std::byte* source = rows + block * block_bytes + segment.offset;
    for (int64_t row = 0; row < n_rows; ++row) {
      const std::byte* from = source + row * row_bytes;
      std::byte* to = out + row * static_cast<int64_t>(kUnit);
      for (int64_t unit = 0; unit < n_units; ++unit)
        std::memcpy(to + unit * kGroupRows * static_cast<int64_t>(kUnit),
                    from + unit * static_cast<int64_t>(kUnit), kUnit);
    }
    out += n_units * kGroupRows * static_cast<int64_t>(kUnit);
  }
}

}  // namespace

const WeightLayout* find_weight_layout(DType type) {
  const Row* row = find(type);
  return row == nullptr ? nullptr : &row->layout;
}

WeightKind weight_kind(DType type) {
  const Row* row = find(type);
  return row == nullptr ? kNWeightKinds : row->kind;
}

void interleave(const WeightLayout& layout, int64_t n_blocks, const std::byte* rows, int64_t n_rows,
                std::byte* group) {
  if (n_rows < kGroupRows)
    std::memset(group, 0, static_cast<size_t>(group_bytes(layout, n_blocks)));
  for (int i = 0; i < layout.n_segments; ++i) {
    const Segment& segment = layout.segments[i];
    switch (segment.unit) {
      case 1:
        interleave_segment<1>(segment, layout.block_bytes, n_blocks, rows, n_rows, group);
        break;
      case 2:
        interleave_segment<2>(segment, layout.block_bytes, n_blocks, rows, n_rows, group);
        break;
      default:
        interleave_segment<4>(segment, layout.block_bytes, n_blocks, rows, n_rows, group);
        break;
    }
    group += n_blocks * segment.bytes * kGroupRows;
  }
}

void gather_block(const WeightLayout& layout, int64_t n_blocks, const std::byte* group, int64_t row,
                  int64_t block, std::byte* out) {
  for (int i = 0; i < layout.n_segments; ++i) {
    const Segment& segment = layout.segments[i];
    const std::byte* from = group + block * segment.bytes * kGroupRows + row * segment.unit;
    for (int32_t at = 0; at < segment.bytes; at += segment.unit)
      std::memcpy(out + segment.offset + at, from + at * kGroupRows,
                  static_cast<size_t>(segment.unit));
    group += n_blocks * segment.bytes * kGroupRows;
  }
}

}  // namespace lantern::kernels
