// F16: IEEE binary16.
#include "quant/dtype.h"
#include "quant/each_block.h"
#include "quant/half.h"

namespace lantern::quant {
namespace {

void decode_block(const uint16_t& value, float* out) { *out = f16_to_f32(value); }
void encode_block(const float* value, uint16_t& out) { out = f32_to_f16(*value); }

}  // namespace

extern const Format format_f16{DType::kF16,
                               "F16",
                               1,
                               2,
                               decode_each<uint16_t, 1, decode_block>,
                               encode_each<uint16_t, 1, encode_block>};

}  // namespace lantern::quant
