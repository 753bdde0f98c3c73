// Q5_K: 256 codes of five bits; a scale and a minimum of six bits each for 32.
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockQ5_K& block, float* values) {
  const float d = f16_to_f32(block.d);
  const float dmin = f16_to_f32(block.dmin);
  uint8_t scales[8];
  uint8_t mins[8];
  unpack_scales_q4(block.scales, scales, mins);
  for (int i = 0; i < 8; ++i) {
    const float scale = d * static_cast<float>(scales[i]);
    const float min = dmin * static_cast<float>(mins[i]);
    for (int l = 0; l < 32; ++l) {
      const int low = (block.qs[32 * (i / 2) + l] >> (4 * (i % 2))) & 0x0f;
      const int high = (block.qh[l] >> i) & 1;
      values[32 * i + l] = scale * static_cast<float>(low | (high << 4)) - min;
    }
  }
}

}  // namespace

extern const Format format_q5_k{
    DType::kQ5_K, "Q5_K", 256, sizeof(BlockQ5_K), decode_each<BlockQ5_K, 256, decode_block>,
    nullptr};

}  // namespace lantern::quant
