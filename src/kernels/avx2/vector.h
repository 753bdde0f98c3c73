// Sixteen lanes in two AVX2 registers: what vector/*.h is written in. avx512/vector.h has the same
// operations. For files of this folder alone.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#define LANTERN_INLINE static inline __attribute__((always_inline))

namespace lantern::kernels {
namespace {

struct Floats {  // lanes 0..7 and 8..15
  __m256 a, b;
};
struct Ints {
  __m256i a, b;
};
struct Mask {  // all bits of a lane or none
  __m256 a, b;
};

// Rows that attention's products keep in registers: 4 x 2 sums hide the latency of the
// multiply-adds and leave registers for a vector of columns and a row's number.
constexpr int kMicroRows = 4;
constexpr int micro_columns(int rows) { return rows > 2 ? 1 : 2; }

LANTERN_INLINE Floats load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
LANTERN_INLINE Floats load(const uint16_t* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
LANTERN_INLINE Floats load(const int8_t* p) {
  auto eight = [](const int8_t* q) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(q))));
  };
  return {eight(p), eight(p + 8)};
}
LANTERN_INLINE void store(float* p, Floats x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
LANTERN_INLINE void store_half(uint16_t* p, Floats x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x.a, 0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(x.b, 0));
}
/// To the nearest integers, which lie in int8.
LANTERN_INLINE void store_int8(int8_t* p, Floats x) {
  // Packing works in halves of 128 bits: the pairs of lanes come out as 0, 2, 1, 3.
  __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b));
  words = _mm256_permute4x64_epi64(words, 0xd8);
  _mm_storeu_si128(
      reinterpret_cast<__m128i*>(p),
      _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

/// Lanes low..high - 1.
LANTERN_INLINE Mask lanes_between(int64_t low, int64_t high) {
  auto clamp = [](int64_t n) {
    return _mm256_set1_epi32(static_cast<int32_t>(n < 0 ? 0 : n > 16 ? 16 : n));
  };
  __m256i first = clamp(low);
  __m256i end = clamp(high);
  auto inside = [&](__m256i lane) {
    return _mm256_castsi256_ps(
        _mm256_andnot_si256(_mm256_cmpgt_epi32(first, lane), _mm256_cmpgt_epi32(end, lane)));
  };
  return {inside(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),
          inside(_mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15))};
}
/// Lanes outside the mask are 0 and not read.
LANTERN_INLINE Floats load_masked(Mask m, const float* p) {
  return {_mm256_maskload_ps(p, _mm256_castps_si256(m.a)),
          _mm256_maskload_ps(p + 8, _mm256_castps_si256(m.b))};
}
LANTERN_INLINE void store_masked(Mask m, float* p, Floats x) {
  _mm256_maskstore_ps(p, _mm256_castps_si256(m.a), x.a);
  _mm256_maskstore_ps(p + 8, _mm256_castps_si256(m.b), x.b);
}

LANTERN_INLINE Floats broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
LANTERN_INLINE Floats add(Floats x, Floats y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
LANTERN_INLINE Floats sub(Floats x, Floats y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
LANTERN_INLINE Floats mul(Floats x, Floats y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
LANTERN_INLINE Floats div(Floats x, Floats y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
/// x * y + z, x * y - z and z - x * y, rounded once.
LANTERN_INLINE Floats fma(Floats x, Floats y, Floats z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
LANTERN_INLINE Floats fms(Floats x, Floats y, Floats z) {
  return {_mm256_fmsub_ps(x.a, y.a, z.a), _mm256_fmsub_ps(x.b, y.b, z.b)};
}
LANTERN_INLINE Floats fnma(Floats x, Floats y, Floats z) {
  return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
/// x > y ? x : y, so a NaN in y stays.
LANTERN_INLINE Floats max(Floats x, Floats y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
LANTERN_INLINE Floats min(Floats x, Floats y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
LANTERN_INLINE Floats abs(Floats x) {
  __m256 bit = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(bit, x.a), _mm256_andnot_ps(bit, x.b)};
}
LANTERN_INLINE Floats copy_sign(Floats magnitude, Floats sign) {
  __m256 bit = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(magnitude.a, _mm256_and_ps(sign.a, bit)),
          _mm256_or_ps(magnitude.b, _mm256_and_ps(sign.b, bit))};
}
LANTERN_INLINE Mask less(Floats x, Floats y) {
  return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
LANTERN_INLINE Mask is_nan(Floats x) {
  return {_mm256_cmp_ps(x.a, x.a, _CMP_UNORD_Q), _mm256_cmp_ps(x.b, x.b, _CMP_UNORD_Q)};
}
LANTERN_INLINE Floats select(Mask m, Floats yes, Floats no) {
  return {_mm256_blendv_ps(no.a, yes.a, m.a), _mm256_blendv_ps(no.b, yes.b, m.b)};
}
LANTERN_INLINE bool all(Mask m) { return _mm256_movemask_ps(_mm256_and_ps(m.a, m.b)) == 0xff; }
LANTERN_INLINE bool none(Mask m) { return _mm256_movemask_ps(_mm256_or_ps(m.a, m.b)) == 0; }

LANTERN_INLINE Ints bits(Floats x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
LANTERN_INLINE Floats from_bits(Ints x) {
  return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)};
}
LANTERN_INLINE Ints broadcast_bits(int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
LANTERN_INLINE Ints add(Ints x, Ints y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
LANTERN_INLINE Ints sub(Ints x, Ints y) {
  return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)};
}
LANTERN_INLINE Ints max(Ints x, Ints y) {
  return {_mm256_max_epi32(x.a, y.a), _mm256_max_epi32(x.b, y.b)};
}
template <int kBits>
LANTERN_INLINE Ints shift_left(Ints x) {
  return {_mm256_slli_epi32(x.a, kBits), _mm256_slli_epi32(x.b, kBits)};
}
template <int kBits>
LANTERN_INLINE Ints shift_right(Ints x) {  // arithmetic
  return {_mm256_srai_epi32(x.a, kBits), _mm256_srai_epi32(x.b, kBits)};
}

/// s[i] + s[i + 8], then + 4, + 2, + 1.
LANTERN_INLINE float fold_add(Floats s) {
  __m256 x = _mm256_add_ps(s.a, s.b);
  __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  y = _mm_add_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_add_ss(y, _mm_movehdup_ps(y)));
}
LANTERN_INLINE float fold_max(Floats s) {
  __m256 x = _mm256_max_ps(s.a, s.b);
  __m128 y = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  y = _mm_max_ps(y, _mm_movehl_ps(y, y));
  return _mm_cvtss_f32(_mm_max_ss(y, _mm_movehdup_ps(y)));
}
LANTERN_INLINE int32_t fold_max(Ints s) {
  __m256i x = _mm256_max_epi32(s.a, s.b);
  __m128i y = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  y = _mm_max_epi32(y, _mm_shuffle_epi32(y, 0x4e));
  return _mm_cvtsi128_si32(_mm_max_epi32(y, _mm_shuffle_epi32(y, 0xb1)));
}

LANTERN_INLINE uint16_t half_of(float x) {
  return static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(x), 0)));
}
LANTERN_INLINE float float_of(uint16_t half) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}

}  // namespace
}  // namespace lantern::kernels
