// Q8_0: 32 signed bytes and a scale; w = d q.
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"
#include "quant/round.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockQ8_0& block, float* values) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 32; ++j) values[j] = static_cast<float>(block.qs[j]) * d;
}

void encode_block(const float* values, BlockQ8_0& block) {
  float largest = 0;
  for (int j = 0; j < 32; ++j) {
    const float magnitude = values[j] < 0 ? -values[j] : values[j];
    if (magnitude > largest) largest = magnitude;
  }
  const float d = largest / 127.0f;
  const float inverse = d == 0 ? 0.0f : 1.0f / d;
  block.d = f32_to_f16(d);
  for (int j = 0; j < 32; ++j)
    block.qs[j] = static_cast<int8_t>(round_half_away(values[j] * inverse, -128, 127));
}

}  // namespace

extern const Format format_q8_0{DType::kQ8_0,
                                "Q8_0",
                                32,
                                sizeof(BlockQ8_0),
                                decode_each<BlockQ8_0, 32, decode_block>,
                                encode_each<BlockQ8_0, 32, encode_block>};

}  // namespace lantern::quant
