// Quantization of activations with 8-lane vectors (every instruction set here has them; the work is
// small beside the products). ref/matmul_quantize.cc is the definition.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/layout.h"

namespace lantern::kernels {
namespace {

/// {first, second} as the pair of a term.
LANTERN_INLINE void set_term(int16_t (&term)[2], int first, int second) {
  term[0] = static_cast<int16_t>(first);
  term[1] = static_cast<int16_t>(second);
}

LANTERN_INLINE void quantize_block(const float* x, ActivationBlock& block) {
  __m256 v[4];
  LANTERN_UNROLL
  for (int i = 0; i < 4; ++i) v[i] = _mm256_loadu_ps(x + 8 * i);
  // max() and min() may lose a NaN, so those are looked for; infinities show in the range.
  const __m256 has_nan = _mm256_or_ps(_mm256_cmp_ps(v[0], v[1], _CMP_UNORD_Q),
                                      _mm256_cmp_ps(v[2], v[3], _CMP_UNORD_Q));
  const __m256 high = _mm256_max_ps(_mm256_max_ps(v[0], v[1]), _mm256_max_ps(v[2], v[3]));
  const __m256 low = _mm256_min_ps(_mm256_min_ps(v[0], v[1]), _mm256_min_ps(v[2], v[3]));
  // Lanes of max x and max -x side by side: one reduction for both.
  const __m128 high4 = _mm_max_ps(_mm256_castps256_ps128(high), _mm256_extractf128_ps(high, 1));
  const __m128 low4 = _mm_min_ps(_mm256_castps256_ps128(low), _mm256_extractf128_ps(low, 1));
  const __m128 below4 = _mm_xor_ps(low4, _mm_set1_ps(-0.0f));
  __m128 both = _mm_max_ps(_mm_unpacklo_ps(high4, below4), _mm_unpackhi_ps(high4, below4));
  both = _mm_max_ps(_mm_max_ps(both, _mm_movehl_ps(both, both)), _mm_setzero_ps());
  const float below = _mm_cvtss_f32(_mm_movehdup_ps(both));
  const float range = _mm_cvtss_f32(both) + below;
  const bool finite = _mm256_testz_ps(has_nan, has_nan) && range <= 0x1.fffffep127f;
  const bool plain = finite && range >= kMinActivationRange;

  __m256i bytes = _mm256_setzero_si256();
  int zero = 0;
  if (plain) {
    const float inverse = 255.0f / range;
    zero = _mm_cvtss_si32(_mm_set_ss(below * inverse));
    __m256i codes[4];
    LANTERN_UNROLL
    for (int i = 0; i < 4; ++i)
      codes[i] = _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(v[i], _mm256_set1_ps(inverse))),
                                  _mm256_set1_epi32(zero));
    // Packing saturates, which is the clamp to 0..255. It works within 128-bit halves; the
    // permutation puts the fours of bytes in order.
    bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(_mm256_packs_epi32(codes[0], codes[1]),
                                                            _mm256_packs_epi32(codes[2], codes[3])),
                                        _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    block.scale = range / 255.0f;
  } else {
    block.scale = finite ? 0.0f : __builtin_nanf("");
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(block.codes),
                      _mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(0x80))));

  const __m256i eights = _mm256_sad_epu8(bytes, _mm256_setzero_si256());
  const __m256i halves = _mm256_add_epi64(eights, _mm256_unpackhi_epi64(eights, eights));
  const int first = _mm_cvtsi128_si32(_mm256_castsi256_si128(halves)) - 16 * zero;
  const int second = _mm_cvtsi128_si32(_mm256_extracti128_si256(halves, 1)) - 16 * zero;
  block.sum = static_cast<float>(first + second);
  block.half_sums[0] = static_cast<float>(first);
  block.half_sums[1] = static_cast<float>(second);
  set_term(block.term, 128 - zero, -(first + second));
  set_term(block.half_terms[0], 128 - zero, -first);
  set_term(block.half_terms[1], 128 - zero, -second);
  block.unused = 0;
}

void quantize(const float* x, int64_t n_blocks, ActivationBlock* blocks) {
  for (int64_t i = 0; i < n_blocks; ++i)
    quantize_block(x + i * kActivationColumns, blocks[i * kTileTokens]);
}

}  // namespace
}  // namespace lantern::kernels
