// Quantization of activations with 8-lane vectors (every instruction set here has them; the work is
// small beside the products). ref/matmul_quantize.cc is the definition.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/layout.h"

namespace lantern::kernels {
namespace {

LANTERN_INLINE float largest_lane(__m256 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  m = _mm_max_ss(m, _mm_movehdup_ps(m));
  return _mm_cvtss_f32(m);
}

LANTERN_INLINE int sum_lanes(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return _mm_cvtsi128_si32(s);
}

LANTERN_INLINE void quantize_block(const float* x, ActivationBlock& block) {
  const __m256i magnitude_bits = _mm256_set1_epi32(0x7fffffff);
  const __m256i largest_finite = _mm256_set1_epi32(0x7f7fffff);
  __m256 v[4];
  __m256 high = _mm256_setzero_ps();
  __m256 minus_low = _mm256_setzero_ps();
  __m256i not_finite = _mm256_setzero_si256();
  LANTERN_UNROLL
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_loadu_ps(x + 8 * i);
    // NaNs in max() do not matter: `not_finite` finds them.
    high = _mm256_max_ps(high, v[i]);
    minus_low = _mm256_max_ps(minus_low, _mm256_xor_ps(v[i], _mm256_set1_ps(-0.0f)));
    const __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude_bits);
    not_finite = _mm256_or_si256(not_finite, _mm256_cmpgt_epi32(magnitude, largest_finite));
  }
  const float below = largest_lane(minus_low);
  const float range = largest_lane(high) + below;
  const bool finite = _mm256_testz_si256(not_finite, not_finite) && range <= 0x1.fffffep127f;
  const bool plain = finite && range >= kMinActivationRange;

  __m256i codes[4];
  int zero = 0;
  if (plain) {
    const float inverse = 255.0f / range;
    zero = _mm_cvtss_si32(_mm_set_ss(below * inverse));
    LANTERN_UNROLL
    for (int i = 0; i < 4; ++i) {
      __m256i c = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], _mm256_set1_ps(inverse)));
      c = _mm256_add_epi32(c, _mm256_set1_epi32(zero));
      codes[i] =
          _mm256_min_epi32(_mm256_max_epi32(c, _mm256_setzero_si256()), _mm256_set1_epi32(255));
    }
    block.scale = range / 255.0f;
  } else {
    LANTERN_UNROLL
    for (int i = 0; i < 4; ++i) codes[i] = _mm256_setzero_si256();
    block.scale = finite ? 0.0f : __builtin_nanf("");
  }

  const int first = sum_lanes(_mm256_add_epi32(codes[0], codes[1])) - 16 * zero;
  const int second = sum_lanes(_mm256_add_epi32(codes[2], codes[3])) - 16 * zero;
  // Packing works within 128-bit halves; the permutation puts the fours of bytes in order.
  const __m256i words = _mm256_packs_epi32(codes[0], codes[1]);
  const __m256i more_words = _mm256_packs_epi32(codes[2], codes[3]);
  const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(words, more_words),
                                                    _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(block.codes),
                      _mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(0x80))));
  block.sum = static_cast<float>(first + second);
  block.half_sums[0] = static_cast<float>(first);
  block.half_sums[1] = static_cast<float>(second);
  const auto minus_zero = static_cast<int16_t>(128 - zero);
  block.term[0] = minus_zero;
  block.term[1] = static_cast<int16_t>(-(first + second));
  block.half_terms[0][0] = minus_zero;
  block.half_terms[0][1] = static_cast<int16_t>(-first);
  block.half_terms[1][0] = minus_zero;
  block.half_terms[1][1] = static_cast<int16_t>(-second);
  block.unused = 0;
}

void quantize(const float* x, int64_t n_blocks, ActivationBlock* blocks) {
  for (int64_t i = 0; i < n_blocks; ++i)
    quantize_block(x + i * kActivationColumns, blocks[i * kTileTokens]);
}

}  // namespace
}  // namespace lantern::kernels
