// From a function on one block to the decode and encode of Format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lantern::quant {

template <typename Block, int kSize, void (*kDecodeBlock)(const Block&, float*)>
void decode_each(const std::byte* blocks, int64_t n_blocks, float* values) {
  for (int64_t i = 0; i < n_blocks; ++i) {
    Block block;  // copied: tensor data has no alignment of its own
    std::memcpy(&block, blocks + i * static_cast<int64_t>(sizeof block), sizeof block);
    kDecodeBlock(block, values + i * kSize);
  }
}

template <typename Block, int kSize, void (*kEncodeBlock)(const float*, Block&)>
void encode_each(const float* values, int64_t n_blocks, std::byte* blocks) {
  for (int64_t i = 0; i < n_blocks; ++i) {
    Block block;
    kEncodeBlock(values + i * kSize, block);
    std::memcpy(blocks + i * static_cast<int64_t>(sizeof block), &block, sizeof block);
  }
}

}  // namespace lantern::quant
