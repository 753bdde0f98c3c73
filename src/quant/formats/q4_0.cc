// Q4_0: 32 nibbles and a scale; w = d (q - 8).
#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"
#include "quant/round.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockQ4_0& block, float* values) {
  const float d = f16_to_f32(block.d);
  for (int j = 0; j < 16; ++j) {
    values[j] = d * static_cast<float>((block.qs[j] & 0x0f) - 8);
    values[j + 16] = d * static_cast<float>((block.qs[j] >> 4) - 8);
  }
}

// The value of largest magnitude becomes exactly code 0, that is -8 d.
void encode_block(const float* values, BlockQ4_0& block) {
  float extreme = values[0];
  float largest = 0;
  for (int j = 0; j < 32; ++j) {
    const float magnitude = values[j] < 0 ? -values[j] : values[j];
    if (magnitude > largest) {
      largest = magnitude;
      extreme = values[j];
    }
  }
  const float d = extreme / -8.0f;
  const float inverse = d == 0 ? 0.0f : 1.0f / d;
  block.d = f32_to_f16(d);
  for (int j = 0; j < 16; ++j) {
    const int low = truncate(values[j] * inverse + 8.5f, 0, 15);
    const int high = truncate(values[j + 16] * inverse + 8.5f, 0, 15);
    block.qs[j] = static_cast<uint8_t>(low | (high << 4));
  }
}

}  // namespace

extern const Format format_q4_0{DType::kQ4_0,
                                "Q4_0",
                                32,
                                sizeof(BlockQ4_0),
                                decode_each<BlockQ4_0, 32, decode_block>,
                                encode_each<BlockQ4_0, 32, encode_block>};

}  // namespace lantern::quant
