// BF16: the upper half of binary32.
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

void decode_block(const uint16_t& value, float* out) { *out = bf16_to_f32(value); }
void encode_block(const float* value, uint16_t& out) { out = f32_to_bf16(*value); }

}  // namespace

extern const Format format_bf16{DType::kBF16,
                                "BF16",
                                1,
                                2,
                                decode_each<uint16_t, 1, decode_block>,
                                encode_each<uint16_t, 1, encode_block>};

}  // namespace lantern::quant
