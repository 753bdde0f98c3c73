// MXFP4: 32 E2M1 values and a power of two (OCP Microscaling Formats 1.0).
#include <bit>

#include "quant/blocks.h"
#include "quant/dtype.h"
#include "quant/each_block.h"

namespace lantern::quant {
namespace {

void decode_block(const BlockMXFP4& block, float* values) {
  const float d = std::bit_cast<float>(mxfp4_scale_bits(block.e));
  for (int j = 0; j < 16; ++j) {
    values[j] = d * static_cast<float>(kValuesMxfp4[block.qs[j] & 0x0f]);
    values[j + 16] = d * static_cast<float>(kValuesMxfp4[block.qs[j] >> 4]);
  }
}

}  // namespace

extern const Format format_mxfp4{
    DType::kMXFP4, "MXFP4", 32, sizeof(BlockMXFP4), decode_each<BlockMXFP4, 32, decode_block>,
    nullptr};

}  // namespace lantern::quant
