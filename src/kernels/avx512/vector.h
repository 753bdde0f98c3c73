// Sixteen lanes in one AVX-512 register: what vector/*.h is written in. avx2/vector.h has the same
// operations. For files of this folder alone.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#define LANTERN_INLINE static inline __attribute__((always_inline))

namespace lantern::kernels {
namespace {

struct Floats {
  __m512 v;
};
struct Ints {
  __m512i v;
};
struct Mask {
  __mmask16 v;
};

// Rows that attention's products keep in registers.
constexpr int kMicroRows = 8;
// Vectors of columns beside so many rows: 16 sums hide the latency of the multiply-adds.
constexpr int micro_columns(int rows) { return rows > 4 ? 2 : 4; }

LANTERN_INLINE Floats load(const float* p) { return {_mm512_loadu_ps(p)}; }
LANTERN_INLINE Floats load(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}
LANTERN_INLINE Floats load(const int8_t* p) {
  return {_mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
LANTERN_INLINE void store(float* p, Floats x) { _mm512_storeu_ps(p, x.v); }
LANTERN_INLINE void store_half(uint16_t* p, Floats x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      _mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/// To the nearest integers, which lie in int8.
LANTERN_INLINE void store_int8(int8_t* p, Floats x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(x.v)));
}

/// Lanes low..high - 1.
LANTERN_INLINE Mask lanes_between(int64_t low, int64_t high) {
  uint32_t below = high >= 16 ? 0xffffu : high <= 0 ? 0u : (1u << high) - 1u;
  uint32_t cut = low >= 16 ? 0xffffu : low <= 0 ? 0u : (1u << low) - 1u;
  return {static_cast<__mmask16>(below & ~cut)};
}
/// Lanes outside the mask are 0 and not read.
LANTERN_INLINE Floats load_masked(Mask m, const float* p) {
  return {_mm512_maskz_loadu_ps(m.v, p)};
}
LANTERN_INLINE void store_masked(Mask m, float* p, Floats x) { _mm512_mask_storeu_ps(p, m.v, x.v); }

LANTERN_INLINE Floats broadcast(float x) { return {_mm512_set1_ps(x)}; }
LANTERN_INLINE Floats add(Floats a, Floats b) { return {_mm512_add_ps(a.v, b.v)}; }
LANTERN_INLINE Floats sub(Floats a, Floats b) { return {_mm512_sub_ps(a.v, b.v)}; }
LANTERN_INLINE Floats mul(Floats a, Floats b) { return {_mm512_mul_ps(a.v, b.v)}; }
LANTERN_INLINE Floats div(Floats a, Floats b) { return {_mm512_div_ps(a.v, b.v)}; }
/// a * b + c, a * b - c and c - a * b, rounded once.
LANTERN_INLINE Floats fma(Floats a, Floats b, Floats c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
LANTERN_INLINE Floats fms(Floats a, Floats b, Floats c) { return {_mm512_fmsub_ps(a.v, b.v, c.v)}; }
LANTERN_INLINE Floats fnma(Floats a, Floats b, Floats c) {
  return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}
/// a > b ? a : b, so a NaN in b stays.
LANTERN_INLINE Floats max(Floats a, Floats b) { return {_mm512_max_ps(a.v, b.v)}; }
LANTERN_INLINE Floats min(Floats a, Floats b) { return {_mm512_min_ps(a.v, b.v)}; }
LANTERN_INLINE Floats abs(Floats a) { return {_mm512_abs_ps(a.v)}; }
LANTERN_INLINE Floats copy_sign(Floats magnitude, Floats sign) {
  __m512 bit = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(magnitude.v, _mm512_and_ps(sign.v, bit))};
}
LANTERN_INLINE Mask less(Floats a, Floats b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
LANTERN_INLINE Mask is_nan(Floats a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }
LANTERN_INLINE Floats select(Mask m, Floats yes, Floats no) {
  return {_mm512_mask_blend_ps(m.v, no.v, yes.v)};
}
LANTERN_INLINE bool all(Mask m) { return m.v == 0xffff; }
LANTERN_INLINE bool none(Mask m) { return m.v == 0; }

LANTERN_INLINE Ints bits(Floats a) { return {_mm512_castps_si512(a.v)}; }
LANTERN_INLINE Floats from_bits(Ints a) { return {_mm512_castsi512_ps(a.v)}; }
LANTERN_INLINE Ints broadcast_bits(int32_t x) { return {_mm512_set1_epi32(x)}; }
LANTERN_INLINE Ints add(Ints a, Ints b) { return {_mm512_add_epi32(a.v, b.v)}; }
LANTERN_INLINE Ints sub(Ints a, Ints b) { return {_mm512_sub_epi32(a.v, b.v)}; }
LANTERN_INLINE Ints max(Ints a, Ints b) { return {_mm512_max_epi32(a.v, b.v)}; }
template <int kBits>
LANTERN_INLINE Ints shift_left(Ints a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
template <int kBits>
LANTERN_INLINE Ints shift_right(Ints a) {  // arithmetic
  return {_mm512_srai_epi32(a.v, kBits)};
}

/// s[i] + s[i + 8], then + 4, + 2, + 1.
LANTERN_INLINE float fold_add(Floats s) {
  __m256 a = _mm256_add_ps(_mm512_castps512_ps256(s.v), _mm512_extractf32x8_ps(s.v, 1));
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
LANTERN_INLINE float fold_max(Floats s) {
  __m256 a = _mm256_max_ps(_mm512_castps512_ps256(s.v), _mm512_extractf32x8_ps(s.v, 1));
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}
LANTERN_INLINE int32_t fold_max(Ints s) { return _mm512_reduce_max_epi32(s.v); }

LANTERN_INLINE uint16_t half_of(float x) {
  return static_cast<uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(x), 0)));
}
LANTERN_INLINE float float_of(uint16_t half) {
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(half)));
}

}  // namespace
}  // namespace lantern::kernels
