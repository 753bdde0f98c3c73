// The number formats of tensors. One file per block format (src/quant/<type>.cc) holds its
// layout, reference decode and encode; this is their common face.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace lantern::quant {

/// The values are GGUF's own type ids (ggml_type in the GGUF specification).
enum class DType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
  kMXFP4 = 39,
};

/// A block format: `block_size` consecutive values of a row stand in `block_bytes` bytes.
struct Format {
  DType type;
  std::string_view name;  // as GGUF tools print it: "Q4_K"
  int block_size;
  int block_bytes;
  /// blocks[n_blocks * block_bytes] -> values[n_blocks * block_size], bit-equal to the `gguf`
  /// Python package's dequantize.
  void (*decode)(const std::byte* blocks, int64_t n_blocks, float* values);
  /// The inverse, round to nearest as GGUF writers do; null where Lantern does not write the type.
  void (*encode)(const float* values, int64_t n_blocks, std::byte* blocks);
};

/// The format of a type; null for a number that is none of ours.
const Format* find_format(DType type);
const Format* find_format(std::string_view name);
/// Every format, by id.
std::span<const Format* const> all_formats();

/// Bytes of a row of `n` values: kInvalidArgument where the block size does not divide n.
Result<uint64_t> row_bytes(DType type, uint64_t n);

}  // namespace lantern::quant
