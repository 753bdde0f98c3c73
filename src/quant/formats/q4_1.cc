// Q4_1: 32 nibbles, a scale and a minimum; w = d q + m.
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"
#include "quant/round.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockQ4_1& block, float* values) {
  const float d = f16_to_f32(block.d);
  const float m = f16_to_f32(block.m);
  for (int j = 0; j < 16; ++j) {
    values[j] = d * static_cast<float>(block.qs[j] & 0x0f) + m;
    values[j + 16] = d * static_cast<float>(block.qs[j] >> 4) + m;
  }
}

void encode_block(const float* values, BlockQ4_1& block) {
  float low = values[0];
  float high = values[0];
  for (int j = 1; j < 32; ++j) {
    if (values[j] < low) low = values[j];
    if (values[j] > high) high = values[j];
  }
  const float d = (high - low) / 15.0f;
  const float inverse = d == 0 ? 0.0f : 1.0f / d;
  block.d = f32_to_f16(d);
  block.m = f32_to_f16(low);
  for (int j = 0; j < 16; ++j) {
    const int a = truncate((values[j] - low) * inverse + 0.5f, 0, 15);
    const int b = truncate((values[j + 16] - low) * inverse + 0.5f, 0, 15);
    block.qs[j] = static_cast<uint8_t>(a | (b << 4));
  }
}

}  // namespace

extern const Format format_q4_1{DType::kQ4_1,
                                "Q4_1",
                                32,
                                sizeof(BlockQ4_1),
                                decode_each<BlockQ4_1, 32, decode_block>,
                                encode_each<BlockQ4_1, 32, encode_block>};

}  // namespace lantern::quant
