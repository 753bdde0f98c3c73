// Q5_0: 32 codes of five bits and a scale; w = d (q - 16).
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockQ5_0& block, float* values) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 32; ++j) {
    const int low = j < 16 ? block.qs[j] & 0x0f : block.qs[j - 16] >> 4;
    const int high = (block.qh[j / 8] >> (j % 8)) & 1;
    values[j] = d * static_cast<float>((low | (high << 4)) - 16);
  }
}

}  // namespace

extern const Format format_q5_0{
    DType::kQ5_0, "Q5_0", 32, sizeof(BlockQ5_0), decode_each<BlockQ5_0, 32, decode_block>, nullptr};

}  // namespace lantern::quant
