// How each type is interleaved, and the two directions of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/layout.h"
#include "kernels/matmul_kernels.h"
#include "quant/dtype.h"

namespace lantern::kernels {

/// Null for a type that has no kernels.
const WeightLayout* find_weight_layout(quant::DType type);
WeightKind weight_kind(quant::DType type);

/// Bytes of a group of 16 rows, rounded up to whole cache lines.
constexpr int64_t group_bytes(const WeightLayout& layout, int64_t n_blocks) {
  return (n_blocks * layout.block_bytes * kGroupRows + 63) / 64 * 64;
}

/// rows[16][row_bytes] (the rest of n_rows < 16 counts as zeros) -> group.
void interleave(const WeightLayout& layout, int64_t n_blocks, const std::byte* rows, int64_t n_rows,
                std::byte* group);

/// Block `block` of row `row` (0..15) of a group, as it was in the source.
void gather_block(const WeightLayout& layout, int64_t n_blocks, const std::byte* group, int64_t row,
                  int64_t block, std::byte* out);

}  // namespace lantern::kernels
