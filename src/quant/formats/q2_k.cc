// Q2_K: 256 codes of two bits; a scale and a minimum of four bits each for 16.
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockQ2_K& block, float* values) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  for (int column = 0; column < 256; ++column) {
    const int half = column / 128;
    const int shift = 2 * ((column % 128) / 32);
    const int q = (block.qs[32 * half + column % 32] >> shift) & 3;
    const float scale = d * static_cast<float>(block.scales[column / 16] & 0x0f);
    const float min = dmin * static_cast<float>(block.scales[column / 16] >> 4);
    values[column] = scale * static_cast<float>(q) - min;
  }
}

}  // namespace

extern const Format format_q2_k{
    DType::kQ2_K, "Q2_K", 256, sizeof(BlockQ2_K), decode_each<BlockQ2_K, 256, decode_block>,
    nullptr};

}  // namespace lantern::quant
