// The definition of how activations are quantized: see "QUANTIZED WEIGHTS" in matrix.h.
#include <bit>
#include <cstdint>
#include <limits>

#include "kernels/ref/matmul.h"

namespace lantern::kernels {
namespace {

bool is_finite(float x) { return (std::bit_cast<uint32_t>(x) & 0x7f800000u) != 0x7f800000u; }

// To nearest, ties to even, for |x| < 2^22: in the sum's last place stand the ones.
int round_to_int(float x) { return static_cast<int>((x + kSumMagic) - kSumMagic); }

void quantize_block(const float* x, ActivationBlock& block) {
  float low = 0;
  float high = 0;
  bool finite = true;
  for (int i = 0; i < 32; ++i) {
    finite = finite && is_finite(x[i]);
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  const float range = high - low;
  finite = finite && is_finite(range);
  const bool plain = finite && range >= kMinActivationRange;
  const float inverse = plain ? 255.0f / range : 0.0f;
  const int zero = plain ? round_to_int(-low * inverse) : 0;
  int sums[2] = {0, 0};
  for (int i = 0; i < 32; ++i) {
    int code = plain ? round_to_int(x[i] * inverse) + zero : 0;
    code = code < 0 ? 0 : code > 255 ? 255 : code;
    sums[i / 16] += code - zero;
    block.codes[i] = static_cast<int8_t>(code - 128);
  }
  block.scale = plain ? range / 255.0f : finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
  block.sum = static_cast<float>(sums[0] + sums[1]);
  block.term[0] = static_cast<int16_t>(128 - zero);
  block.term[1] = static_cast<int16_t>(-(sums[0] + sums[1]));
  for (int half = 0; half < 2; ++half) {
    block.half_sums[half] = static_cast<float>(sums[half]);
    block.half_terms[half][0] = static_cast<int16_t>(128 - zero);
    block.half_terms[half][1] = static_cast<int16_t>(-sums[half]);
  }
  block.unused = 0;
}

}  // namespace

void ref_quantize(const float* x, int64_t n_blocks, ActivationBlock* blocks) {
  for (int64_t i = 0; i < n_blocks; ++i)
    quantize_block(x + i * kActivationColumns, blocks[i * kTileTokens]);
}

}  // namespace lantern::kernels
