// F32: IEEE binary32.
#include <cstring>

#include "quant/dtype.h"

namespace lantern::quant {
namespace {

void decode(const std::byte* blocks, int64_t n, float* values) {
  if (n > 0) std::memcpy(values, blocks, static_cast<size_t>(n) * sizeof(float));
}
void encode(const float* values, int64_t n, std::byte* blocks) {
  if (n > 0) std::memcpy(blocks, values, static_cast<size_t>(n) * sizeof(float));
}

}  // namespace

extern const Format format_f32{DType::kF32, "F32", 1, 4, decode, encode};

}  // namespace lantern::quant
