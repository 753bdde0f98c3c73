// IQ4_NL: 32 indices into a code book of 16, and a scale.
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockIQ4_NL& block, float* values) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    values[j] = d * static_cast<float>(kValuesIq4[block.qs[j] & 0x0f]);
    values[j + 16] = d * static_cast<float>(kValuesIq4[block.qs[j] >> 4]);
  }
}

}  // namespace

extern const Format format_iq4_nl{
    DType::kIQ4_NL, "IQ4_NL", 32, sizeof(BlockIQ4_NL), decode_each<BlockIQ4_NL, 32, decode_block>,
    nullptr};

}  // namespace lantern::quant
