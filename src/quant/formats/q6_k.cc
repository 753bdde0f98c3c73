// Q6_K: 256 codes of six bits; a signed byte of scale for 16.
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockQ6_K& block, float* values) {
  const float d = f16_to_f32(block.d);
  for (int column = 0; column < 256; ++column) {
    const int half = column / 128;
    const int s = (column % 128) / 32;
    const int l = column % 32;
    const int low = (block.ql[64 * half + 32 * (s % 2) + l] >> (4 * (s / 2))) & 0x0f;
    const int high = (block.qh[32 * half + l] >> (2 * s)) & 3;
    const float scale = d * static_cast<float>(block.scales[column / 16]);
    values[column] = scale * static_cast<float>((low | (high << 4)) - 32);
  }
}

}  // namespace

extern const Format format_q6_k{
    DType::kQ6_K, "Q6_K", 256, sizeof(BlockQ6_K), decode_each<BlockQ6_K, 256, decode_block>,
    nullptr};

}  // namespace lantern::quant
