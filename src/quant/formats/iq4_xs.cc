// IQ4_XS: 256 indices into IQ4_NL's code book; a scale of six bits for 32.
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockIQ4_XS& block, float* values) {
  const float d = f16_to_f32(block.d);
  for (int i = 0; i < 8; ++i) {
    const int low = (block.scales_l[i / 2] >> (4 * (i % 2))) & 0x0f;
    const int high = (block.scales_h >> (2 * i)) & 3;
    const float scale = d * static_cast<float>((low | (high << 4)) - 32);
    for (int j = 0; j < 16; ++j) {
      const uint8_t pair = block.qs[16 * i + j];
      values[32 * i + j] = scale * static_cast<float>(kValuesIq4[pair & 0x0f]);
      values[32 * i + 16 + j] = scale * static_cast<float>(kValuesIq4[pair >> 4]);
    }
  }
}

}  // namespace

extern const Format format_iq4_xs{
    DType::kIQ4_XS, "IQ4_XS", 256, sizeof(BlockIQ4_XS), decode_each<BlockIQ4_XS, 256, decode_block>,
    nullptr};

}  // namespace lantern::quant
