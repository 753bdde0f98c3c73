// Q3_K: 256 codes of three bits; a scale of six bits for 16.
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockQ3_K& block, float* values) {
  const float d = f16_to_f32(block.d);
  int8_t scales[16];
  unpack_scales_q3(block.scales, scales);
  for (int column = 0; column < 256; ++column) {
    const int half = column / 128;
    const int shift = 2 * ((column % 128) / 32);
    const int low = (block.qs[32 * half + column % 32] >> shift) & 3;
    const int high = (block.hmask[column % 32] >> (column / 32)) & 1;
    const float scale = d * static_cast<float>(scales[column / 16]);
    values[column] = scale * static_cast<float>((low | (high << 2)) - 4);
  }
}

}  // namespace

extern const Format format_q3_k{
    DType::kQ3_K, "Q3_K", 256, sizeof(BlockQ3_K), decode_each<BlockQ3_K, 256, decode_block>,
    nullptr};

}  // namespace lantern::quant
