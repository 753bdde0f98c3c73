// The vectors that matmul_weights.h and matmul_products.h are written in: 8 lanes, AVX2 and
// AVX-VNNI.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/layout.h"

#define LANTERN_INLINE __attribute__((always_inline)) inline
#define LANTERN_UNROLL _Pragma("GCC unroll 16")

namespace lantern::kernels {
namespace {

using VI = __m256i;
using VF = __m256;
constexpr int kVectorLanes = 8;

LANTERN_INLINE VI load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
LANTERN_INLINE VI load_u16(const uint8_t* p) {
  return _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
LANTERN_INLINE VI load_u8(const uint8_t* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
LANTERN_INLINE VF load_floats(const float* p) { return _mm256_loadu_ps(p); }
LANTERN_INLINE void store_floats(float* p, VF v) { _mm256_storeu_ps(p, v); }
LANTERN_INLINE VF load_halves(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
LANTERN_INLINE VI set_ints(int v) { return _mm256_set1_epi32(v); }
LANTERN_INLINE VI set_bytes(int v) { return _mm256_set1_epi8(static_cast<char>(v)); }
LANTERN_INLINE VF set_floats(float v) { return _mm256_set1_ps(v); }
LANTERN_INLINE VF broadcast(const float* p) { return _mm256_broadcast_ss(p); }

LANTERN_INLINE VI and_bits(VI a, VI b) { return _mm256_and_si256(a, b); }
LANTERN_INLINE VI or_bits(VI a, VI b) { return _mm256_or_si256(a, b); }
LANTERN_INLINE VI xor_bits(VI a, VI b) { return _mm256_xor_si256(a, b); }
LANTERN_INLINE VI add_bytes(VI a, VI b) { return _mm256_add_epi8(a, b); }
LANTERN_INLINE VI add_ints(VI a, VI b) { return _mm256_add_epi32(a, b); }
/// Of each 32-bit lane: left, or right (zeros come in) where kBits < 0.
template <int kBits>
LANTERN_INLINE VI shift(VI v) {
  if constexpr (kBits > 0) return _mm256_slli_epi32(v, kBits);
  if constexpr (kBits < 0) return _mm256_srli_epi32(v, -kBits);
  return v;
}
template <int kBits>
LANTERN_INLINE VI shift_signed(VI v) {
  static_assert(kBits < 0);
  return _mm256_srai_epi32(v, -kBits);
}
LANTERN_INLINE VI where_less(VI a, VI b, VI yes, VI no) {
  return _mm256_blendv_epi8(no, yes, _mm256_cmpgt_epi32(b, a));
}
/// Bytes of `yes` where (v & bits) is not 0, else 0. Each byte of `bits` has one bit.
LANTERN_INLINE VI bytes_where(VI v, VI bits, VI yes) {
  return _mm256_and_si256(_mm256_cmpeq_epi8(_mm256_and_si256(v, bits), bits), yes);
}
/// Byte i of each lane in all four of its bytes.
LANTERN_INLINE VI repeat_byte(VI v, int i) {
  const int first = 0x01010101 * i;
  return _mm256_shuffle_epi8(
      v, _mm256_broadcastsi128_si256(
             _mm_setr_epi32(first, first + 0x04040404, first + 0x08080808, first + 0x0c0c0c0c)));
}
LANTERN_INLINE VI look_up(VI i, char a, char b, char c, char d, char e, char f, char g, char h,
                          int j, int k, int l, int m, int n, int o, int p, int q) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_setr_epi8(
                                 a, b, c, d, e, f, g, h, static_cast<char>(j), static_cast<char>(k),
                                 static_cast<char>(l), static_cast<char>(m), static_cast<char>(n),
                                 static_cast<char>(o), static_cast<char>(p), static_cast<char>(q))),
                             i);
}

LANTERN_INLINE VF mul(VF a, VF b) { return _mm256_mul_ps(a, b); }
LANTERN_INLINE VF sub(VF a, VF b) { return _mm256_sub_ps(a, b); }
LANTERN_INLINE VF fma(VF a, VF b, VF c) { return _mm256_fmadd_ps(a, b, c); }
LANTERN_INLINE VF as_floats(VI v) { return _mm256_castsi256_ps(v); }
LANTERN_INLINE VF to_floats(VI v) { return _mm256_cvtepi32_ps(v); }
LANTERN_INLINE VF xor_sign(VF v) { return _mm256_xor_ps(v, _mm256_set1_ps(-0.0f)); }

LANTERN_INLINE VI broadcast_codes(const void* p) {
  return _mm256_set1_epi32(*static_cast<const int32_t*>(p));
}

/// Into the second cache.
LANTERN_INLINE void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}

/// The first n lanes' floats; the others are 0 or untouched.
LANTERN_INLINE VI lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n > 8 ? 8 : n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
LANTERN_INLINE VF load_first(const float* p, int64_t n) { return _mm256_maskload_ps(p, lanes(n)); }
LANTERN_INLINE void store_first(float* p, int64_t n, VF v) { _mm256_maskstore_ps(p, lanes(n), v); }

}  // namespace
}  // namespace lantern::kernels
