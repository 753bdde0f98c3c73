// The vectors that vector/matmul_weights.h and matmul_products.h are written in: 16 lanes.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#include "kernels/layout.h"

#define LANTERN_INLINE __attribute__((always_inline)) inline
#define LANTERN_UNROLL _Pragma("GCC unroll 16")

namespace lantern::kernels {
namespace {

using VI = __m512i;
using VF = __m512;
constexpr int kVectorLanes = 16;

LANTERN_INLINE VI load(const void* p) { return _mm512_loadu_si512(p); }
LANTERN_INLINE VI load_u16(const uint8_t* p) {
  return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
LANTERN_INLINE VI load_u8(const uint8_t* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
LANTERN_INLINE VF load_floats(const float* p) { return _mm512_loadu_ps(p); }
LANTERN_INLINE void store_floats(float* p, VF v) { _mm512_storeu_ps(p, v); }
LANTERN_INLINE VF load_halves(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
LANTERN_INLINE VI set_ints(int v) { return _mm512_set1_epi32(v); }
LANTERN_INLINE VI set_bytes(int v) { return _mm512_set1_epi8(static_cast<char>(v)); }
LANTERN_INLINE VF set_floats(float v) { return _mm512_set1_ps(v); }
LANTERN_INLINE VI broadcast_codes(const int8_t* p) {
  return _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(p));
}
LANTERN_INLINE VF broadcast(const float* p) { return _mm512_set1_ps(*p); }

LANTERN_INLINE VI and_bits(VI a, VI b) { return _mm512_and_si512(a, b); }
LANTERN_INLINE VI or_bits(VI a, VI b) { return _mm512_or_si512(a, b); }
LANTERN_INLINE VI xor_bits(VI a, VI b) { return _mm512_xor_si512(a, b); }
LANTERN_INLINE VI add_bytes(VI a, VI b) { return _mm512_add_epi8(a, b); }
LANTERN_INLINE VI add_ints(VI a, VI b) { return _mm512_add_epi32(a, b); }
/// Of each 32-bit lane: left, or right (zeros come in) where kBits < 0.
template <int kBits>
LANTERN_INLINE VI shift(VI v) {
  if constexpr (kBits > 0) return _mm512_slli_epi32(v, kBits);
  if constexpr (kBits < 0) return _mm512_srli_epi32(v, -kBits);
  return v;
}
template <int kBits>
LANTERN_INLINE VI shift_signed(VI v) {
  static_assert(kBits < 0);
  return _mm512_srai_epi32(v, -kBits);
}
LANTERN_INLINE VI where_less(VI a, VI b, VI yes, VI no) {
  return _mm512_mask_mov_epi32(no, _mm512_cmplt_epi32_mask(a, b), yes);
}
/// Bytes of `yes` where (v & bits) is not 0, else 0.
LANTERN_INLINE VI bytes_where(VI v, VI bits, VI yes) {
  return _mm512_maskz_mov_epi8(_mm512_test_epi8_mask(v, bits), yes);
}
/// Byte i of each lane in all four of its bytes.
LANTERN_INLINE VI repeat_byte(VI v, int i) {
  const int first = 0x01010101 * i;
  return _mm512_shuffle_epi8(
      v, _mm512_broadcast_i32x4(
             _mm_setr_epi32(first, first + 0x04040404, first + 0x08080808, first + 0x0c0c0c0c)));
}
LANTERN_INLINE VI look_up(VI i, char a, char b, char c, char d, char e, char f, char g, char h,
                          int j, int k, int l, int m, int n, int o, int p, int q) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_setr_epi8(
                                 a, b, c, d, e, f, g, h, static_cast<char>(j), static_cast<char>(k),
                                 static_cast<char>(l), static_cast<char>(m), static_cast<char>(n),
                                 static_cast<char>(o), static_cast<char>(p), static_cast<char>(q))),
                             i);
}

LANTERN_INLINE VF mul(VF a, VF b) { return _mm512_mul_ps(a, b); }
LANTERN_INLINE VF sub(VF a, VF b) { return _mm512_sub_ps(a, b); }
LANTERN_INLINE VF fma(VF a, VF b, VF c) { return _mm512_fmadd_ps(a, b, c); }
LANTERN_INLINE VF as_floats(VI v) { return _mm512_castsi512_ps(v); }
LANTERN_INLINE VF to_floats(VI v) { return _mm512_cvtepi32_ps(v); }
LANTERN_INLINE VF xor_sign(VF v) { return _mm512_xor_ps(v, _mm512_set1_ps(-0.0f)); }

/// acc + the lanes' sums of four unsigned bytes of w.
LANTERN_INLINE VI dot_ones(VI acc, VI w) { return _mm512_dpbusd_epi32(acc, w, set_bytes(1)); }

/// What a block's integer sum starts from, and what it is when all products are in.
template <int kMaxCode>
LANTERN_INLINE VI start_sum() {
  return set_ints(kSumMagicBits);
}
template <int kMaxCode>
LANTERN_INLINE VI finish_sum(VI acc) {
  return acc;
}

// The compiler loads and broadcasts apart; written out, the broadcast is part of the instruction.
template <int kMaxCode>
LANTERN_INLINE VI dot(VI acc, VI w, const int8_t* codes) {
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(acc)
      : "v"(w), "m"(*reinterpret_cast<const int32_t*>(codes)));
  return acc;
}
template <int kMaxCode>
LANTERN_INLINE VI dot_codes(VI acc, VI w, VI codes) {
  return _mm512_dpbusd_epi32(acc, w, codes);
}
LANTERN_INLINE VI dot_pairs(VI acc, VI w, const int16_t* pair) {
  asm("vpdpwssd %2%{1to16%}, %1, %0"
      : "+v"(acc)
      : "v"(w), "m"(*reinterpret_cast<const int32_t*>(pair)));
  return acc;
}

/// Into the second cache.
LANTERN_INLINE void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1);
}

/// The first n lanes' floats; the others are 0 or untouched.
LANTERN_INLINE __mmask16 lanes(int64_t n) {
  return static_cast<__mmask16>(n >= 16 ? 0xffff : (1 << n) - 1);
}
LANTERN_INLINE VF load_first(const float* p, int64_t n) {
  return _mm512_maskz_loadu_ps(lanes(n), p);
}
LANTERN_INLINE void store_first(float* p, int64_t n, VF v) {
  _mm512_mask_storeu_ps(p, lanes(n), v);
}

}  // namespace
}  // namespace lantern::kernels
