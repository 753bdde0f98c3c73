// Q5_1: 32 codes of five bits, a scale and a minimum; w = d q + m.
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockQ5_1& block, float* values) {
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (int j = 0; j < 32; ++j) {
    const int low = j < 16 ? block.qs[j] & 0x0f : block.qs[j - 16] >> 4;
    const int high = (block.qh[j / 8] >> (j % 8)) & 1;
    values[j] = d * static_cast<float>(low | (high << 4)) + m;
  }
}

}  // namespace

extern const Format format_q5_1{
    DType::kQ5_1, "Q5_1", 32, sizeof(BlockQ5_1), decode_each<BlockQ5_1, 32, decode_block>, nullptr};

}  // namespace lantern::quant
