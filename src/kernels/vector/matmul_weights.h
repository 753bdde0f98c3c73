// Unpacking of interleaved weights into registers, for every quantized type and vector width.
//
// Included by one file of each instruction set, after it has defined (in an anonymous namespace)
// the vectors VI (integers) and VF (floats) of kVectorLanes = 8 or 16 lanes and their operations;
// see avx512/matmul_vector.h for the list. All of this stays in anonymous namespaces: nothing
// compiled for one processor may be shared with another by the linker.
#pragma once

#include "kernels/layout.h"

namespace lantern::kernels {
namespace {

/// 32 columns of kVectorLanes rows: w = scale[h] (q - offset) + minimum[h].
template <int kSubBlocks, bool kMinimum>
struct Weights {
  VI q[8];               // lane: row, its byte i of q[k]: the code of column 4 k + i
  VI pair[kSubBlocks];   // lane: sum q in the lower half, the offset in the upper
  VF scale[kSubBlocks];  // D
  VF minus_k_scale;      // -(K * D_0)
  VF minimum[kMinimum ? kSubBlocks : 1];  // N
};

/// A group's segments from one of its vectors of rows on.
struct Stream {
  const uint8_t* segment[4];
};

// --- parts that types share ---

LANTERN_INLINE VI low_nibbles(VI v) { return and_bits(v, set_bytes(0x0f)); }
LANTERN_INLINE VI high_nibbles(VI v) { return and_bits(shift<-4>(v), set_bytes(0x0f)); }

/// Column j in the lower nibble of byte j, j + 16 in the upper.
LANTERN_INLINE void load_nibbles_16(const uint8_t* qs, VI* q) {
  LANTERN_UNROLL
  for (int k = 0; k < 4; ++k) {
    const VI v = load(qs + 64 * k);
    q[k] = low_nibbles(v);
    q[k + 4] = high_nibbles(v);
  }
}

/// Byte i of a unit of four, as an integer in each lane.
template <int kByte>
LANTERN_INLINE VI byte_of(VI v) {
  return and_bits(shift<-8 * kByte>(v), set_ints(0xff));
}

// Codes up to 63 in halves, up to 31 over 8 vectors: their byte sums fit a byte.
LANTERN_INLINE VI sum_small_4(const VI* q) {
  return dot_ones(set_ints(0), add_bytes(add_bytes(q[0], q[1]), add_bytes(q[2], q[3])));
}
LANTERN_INLINE VI sum_small_8(const VI* q) {
  return dot_ones(set_ints(0), add_bytes(add_bytes(add_bytes(q[0], q[1]), add_bytes(q[2], q[3])),
                                         add_bytes(add_bytes(q[4], q[5]), add_bytes(q[6], q[7]))));
}
LANTERN_INLINE VI sum_large_8(const VI* q) {
  VI a = set_ints(0);
  VI b = set_ints(0);
  LANTERN_UNROLL
  for (int k = 0; k < 4; ++k) {
    a = dot_ones(a, q[k]);
    b = dot_ones(b, q[k + 4]);
  }
  return add_ints(a, b);
}
template <int kOffset>
LANTERN_INLINE VI make_pair(VI sum) {
  return or_bits(sum, set_ints(kOffset << 16));
}

template <int kSubBlocks, bool kMinimum>
LANTERN_INLINE void set_scale(Weights<kSubBlocks, kMinimum>& w, VF scale) {
  w.scale[0] = scale;
  w.minus_k_scale = mul(scale, set_floats(-kSumMagic));
}

// --- the types: load<kPart>() unpacks columns 32 kPart .. 32 kPart + 31 of block `b` ---

struct Q4_0 {
  using W = Weights<1, false>;
  static constexpr bool kMinimum = false;
  static constexpr int kParts = 1;
  static constexpr int kMaxCode = 15;
  static constexpr WeightLayout kLayout = {32, 18, 2, {{2, 16, 4}, {0, 2, 2}}};
  template <int>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_nibbles_16(s.segment[0] + b * 256, w.q);
    w.pair[0] = make_pair<8>(sum_small_8(w.q));
    set_scale(w, load_halves(s.segment[1] + b * 32));
  }
};

struct Q4_1 {
  using W = Weights<1, true>;
  static constexpr bool kMinimum = true;
  static constexpr int kParts = 1;
  static constexpr int kMaxCode = 15;
  static constexpr WeightLayout kLayout = {32, 20, 2, {{4, 16, 4}, {0, 4, 2}}};
  template <int>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_nibbles_16(s.segment[0] + b * 256, w.q);
    w.pair[0] = make_pair<0>(sum_small_8(w.q));
    set_scale(w, load_halves(s.segment[1] + b * 64));
    w.minimum[0] = load_halves(s.segment[1] + b * 64 + 32);
  }
};

/// Adds 16 where bit 4 k + i of a row's 32 bits is set, to byte i of q[k].
LANTERN_INLINE void add_fifth_bits(VI bits, VI* q) {
  LANTERN_UNROLL
  for (int k = 0; k < 8; ++k) {
    const VI mine = k % 2 ? set_ints(static_cast<int>(0x80402010)) : set_ints(0x08040201);
    q[k] = or_bits(q[k], bytes_where(repeat_byte(bits, k / 2), mine, set_bytes(0x10)));
  }
}

struct Q5_0 {
  using W = Weights<1, false>;
  static constexpr bool kMinimum = false;
  static constexpr int kParts = 1;
  static constexpr int kMaxCode = 31;
  static constexpr WeightLayout kLayout = {32, 22, 3, {{6, 16, 4}, {2, 4, 4}, {0, 2, 2}}};
  template <int>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_nibbles_16(s.segment[0] + b * 256, w.q);
    add_fifth_bits(load(s.segment[1] + b * 64), w.q);
    w.pair[0] = make_pair<16>(sum_small_8(w.q));
    set_scale(w, load_halves(s.segment[2] + b * 32));
  }
};

struct Q5_1 {
  using W = Weights<1, true>;
  static constexpr bool kMinimum = true;
  static constexpr int kParts = 1;
  static constexpr int kMaxCode = 31;
  static constexpr WeightLayout kLayout = {32, 24, 3, {{8, 16, 4}, {4, 4, 4}, {0, 4, 2}}};
  template <int>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_nibbles_16(s.segment[0] + b * 256, w.q);
    add_fifth_bits(load(s.segment[1] + b * 64), w.q);
    w.pair[0] = make_pair<0>(sum_small_8(w.q));
    set_scale(w, load_halves(s.segment[2] + b * 64));
    w.minimum[0] = load_halves(s.segment[2] + b * 64 + 32);
  }
};

struct Q8_0 {
  using W = Weights<1, false>;
  static constexpr bool kMinimum = false;
  static constexpr int kParts = 1;
  static constexpr int kMaxCode = 255;
  static constexpr WeightLayout kLayout = {32, 34, 2, {{2, 32, 4}, {0, 2, 2}}};
  template <int>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    LANTERN_UNROLL
    for (int k = 0; k < 8; ++k)
      w.q[k] = xor_bits(load(s.segment[0] + b * 512 + 64 * k), set_bytes(0x80));
    w.pair[0] = make_pair<128>(sum_large_8(w.q));
    set_scale(w, load_halves(s.segment[1] + b * 32));
  }
};

/// q + 128 of IQ4's code book.
LANTERN_INLINE VI iq4_codes(VI nibbles) {
  return look_up(nibbles, 1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241);
}

struct Iq4Nl {
  using W = Weights<1, false>;
  static constexpr bool kMinimum = false;
  static constexpr int kParts = 1;
  static constexpr int kMaxCode = 255;
  static constexpr WeightLayout kLayout = {32, 18, 2, {{2, 16, 4}, {0, 2, 2}}};
  template <int>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_nibbles_16(s.segment[0] + b * 256, w.q);
    LANTERN_UNROLL
    for (int k = 0; k < 8; ++k) w.q[k] = iq4_codes(w.q[k]);
    w.pair[0] = make_pair<128>(sum_large_8(w.q));
    set_scale(w, load_halves(s.segment[1] + b * 32));
  }
};

struct Iq4Xs {
  using W = Weights<1, false>;
  static constexpr bool kMinimum = false;
  static constexpr int kParts = 8;
  static constexpr int kMaxCode = 255;
  static constexpr WeightLayout kLayout = {256, 136, 3, {{8, 128, 4}, {4, 4, 4}, {0, 4, 2}}};
  template <int kPart>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_nibbles_16(s.segment[0] + b * 2048 + 256 * kPart, w.q);
    LANTERN_UNROLL
    for (int k = 0; k < 8; ++k) w.q[k] = iq4_codes(w.q[k]);
    w.pair[0] = make_pair<128>(sum_large_8(w.q));
    const VI low = and_bits(shift<-4 * kPart>(load(s.segment[1] + b * 64)), set_ints(15));
    const VI high =
        and_bits(shift<4 - 2 * kPart>(load_u16(s.segment[2] + b * 64 + 32)), set_ints(48));
    const VI scale = add_ints(or_bits(low, high), set_ints(-32));
    set_scale(w, mul(load_halves(s.segment[2] + b * 64), to_floats(scale)));
  }
};

struct Mxfp4 {
  using W = Weights<1, false>;
  static constexpr bool kMinimum = false;
  static constexpr int kParts = 1;
  static constexpr int kMaxCode = 24;
  static constexpr WeightLayout kLayout = {32, 17, 2, {{1, 16, 4}, {0, 1, 1}}};
  template <int>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_nibbles_16(s.segment[0] + b * 256, w.q);
    LANTERN_UNROLL
    for (int k = 0; k < 8; ++k)  // E2M1 doubled, + 12
      w.q[k] = look_up(w.q[k], 12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
    w.pair[0] = make_pair<12>(sum_small_8(w.q));
    // 2^(e - 128): subnormal for e < 2, where doubling 2^-128 e times is a shift, too.
    const VI e = load_u8(s.segment[1] + b * 16);
    const VI normal = shift<23>(add_ints(e, set_ints(-1)));
    const VI subnormal = add_ints(set_ints(0x00200000), shift<21>(e));
    set_scale(w, as_floats(where_less(e, set_ints(2), subnormal, normal)));
  }
};

/// Two-bit plane kPart % 4 of half kPart / 4 (Q2_K, Q3_K).
template <int kPart>
LANTERN_INLINE void load_two_bits(const uint8_t* qs, VI* q) {
  LANTERN_UNROLL
  for (int k = 0; k < 8; ++k)
    q[k] = and_bits(shift<-2 * (kPart % 4)>(load(qs + 512 * (kPart / 4) + 64 * k)), set_bytes(3));
}

struct Q2K {
  using W = Weights<2, true>;
  static constexpr bool kMinimum = true;
  static constexpr int kParts = 8;
  static constexpr int kMaxCode = 3;
  static constexpr WeightLayout kLayout = {256, 84, 3, {{16, 64, 4}, {0, 16, 4}, {80, 4, 2}}};
  template <int kPart>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_two_bits<kPart>(s.segment[0] + b * 1024, w.q);
    w.pair[0] = sum_small_4(w.q);
    w.pair[1] = sum_small_4(w.q + 4);
    const VI scales = load(s.segment[1] + b * 256 + 64 * (kPart / 2));
    const VF d = load_halves(s.segment[2] + b * 64);
    const VF minus_dmin = xor_sign(load_halves(s.segment[2] + b * 64 + 32));
    const VI first = byte_of<2 * (kPart % 2)>(scales);
    const VI second = byte_of<2 * (kPart % 2) + 1>(scales);
    set_scale(w, mul(d, to_floats(and_bits(first, set_ints(15)))));
    w.scale[1] = mul(d, to_floats(and_bits(second, set_ints(15))));
    w.minimum[0] = mul(minus_dmin, to_floats(shift<-4>(first)));
    w.minimum[1] = mul(minus_dmin, to_floats(shift<-4>(second)));
  }
};

struct Q3K {
  using W = Weights<2, false>;
  static constexpr bool kMinimum = false;
  static constexpr int kParts = 8;
  static constexpr int kMaxCode = 7;
  static constexpr WeightLayout kLayout = {
      256, 110, 4, {{32, 64, 4}, {0, 32, 4}, {96, 12, 4}, {108, 2, 2}}};
  template <int kIndex>
  LANTERN_INLINE static VF scale(const uint8_t* scales) {
    constexpr int kByte = kIndex % 4;
    const VI low_unit = load(scales + 64 * (kIndex / 4 % 2));
    const VI low = and_bits(shift<-8 * kByte - (kIndex < 8 ? 0 : 4)>(low_unit), set_ints(15));
    const VI high =
        and_bits(shift<4 - 8 * kByte - 2 * (kIndex / 4)>(load(scales + 128)), set_ints(48));
    return to_floats(add_ints(or_bits(low, high), set_ints(-32)));
  }
  template <int kPart>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_two_bits<kPart>(s.segment[0] + b * 1024, w.q);
    LANTERN_UNROLL
    for (int k = 0; k < 8; ++k)
      w.q[k] = or_bits(
          w.q[k], and_bits(shift<2 - kPart>(load(s.segment[1] + b * 512 + 64 * k)), set_bytes(4)));
    w.pair[0] = make_pair<4>(sum_small_4(w.q));
    w.pair[1] = make_pair<4>(sum_small_4(w.q + 4));
    const VF d = load_halves(s.segment[3] + b * 32);
    set_scale(w, mul(d, scale<2 * kPart>(s.segment[2] + b * 192)));
    w.scale[1] = mul(d, scale<2 * kPart + 1>(s.segment[2] + b * 192));
  }
};

/// Q4_K's and Q5_K's scale and minimum of part kPart, from 12 bytes of each row.
template <int kPart>
LANTERN_INLINE void set_scales_q4(Weights<1, true>& w, const uint8_t* scales, const uint8_t* d) {
  constexpr int kByte = kPart % 4;
  const VI low = load(scales);
  const VI mid = load(scales + 64);
  VI scale;
  VI minimum;
  if constexpr (kPart < 4) {
    scale = and_bits(shift<-8 * kByte>(low), set_ints(63));
    minimum = and_bits(shift<-8 * kByte>(mid), set_ints(63));
  } else {
    const VI high = load(scales + 128);
    scale = or_bits(and_bits(shift<-8 * kByte>(high), set_ints(15)),
                    and_bits(shift<-8 * kByte - 2>(low), set_ints(48)));
    minimum = or_bits(and_bits(shift<-8 * kByte - 4>(high), set_ints(15)),
                      and_bits(shift<-8 * kByte - 2>(mid), set_ints(48)));
  }
  set_scale(w, mul(load_halves(d), to_floats(scale)));
  w.minimum[0] = mul(xor_sign(load_halves(d + 32)), to_floats(minimum));
}

template <int kPart>
LANTERN_INLINE void load_nibbles_64(const uint8_t* qs, VI* q) {
  LANTERN_UNROLL
  for (int k = 0; k < 8; ++k) {
    const VI v = load(qs + 512 * (kPart / 2) + 64 * k);
    q[k] = kPart % 2 ? high_nibbles(v) : low_nibbles(v);
  }
}

struct Q4K {
  using W = Weights<1, true>;
  static constexpr bool kMinimum = true;
  static constexpr int kParts = 8;
  static constexpr int kMaxCode = 15;
  static constexpr WeightLayout kLayout = {256, 144, 3, {{16, 128, 4}, {4, 12, 4}, {0, 4, 2}}};
  template <int kPart>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_nibbles_64<kPart>(s.segment[0] + b * 2048, w.q);
    w.pair[0] = make_pair<0>(sum_small_8(w.q));
    set_scales_q4<kPart>(w, s.segment[1] + b * 192, s.segment[2] + b * 64);
  }
};

struct Q5K {
  using W = Weights<1, true>;
  static constexpr bool kMinimum = true;
  static constexpr int kParts = 8;
  static constexpr int kMaxCode = 31;
  static constexpr WeightLayout kLayout = {
      256, 176, 4, {{48, 128, 4}, {16, 32, 4}, {4, 12, 4}, {0, 4, 2}}};
  template <int kPart>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    load_nibbles_64<kPart>(s.segment[0] + b * 2048, w.q);
    LANTERN_UNROLL
    for (int k = 0; k < 8; ++k)
      w.q[k] = or_bits(w.q[k], and_bits(shift<4 - kPart>(load(s.segment[1] + b * 512 + 64 * k)),
                                        set_bytes(0x10)));
    w.pair[0] = make_pair<0>(sum_small_8(w.q));
    set_scales_q4<kPart>(w, s.segment[2] + b * 192, s.segment[3] + b * 64);
  }
};

struct Q6K {
  using W = Weights<2, false>;
  static constexpr bool kMinimum = false;
  static constexpr int kParts = 8;
  static constexpr int kMaxCode = 63;
  static constexpr WeightLayout kLayout = {
      256, 210, 4, {{0, 128, 4}, {128, 64, 4}, {192, 16, 4}, {208, 2, 2}}};
  template <int kByte>
  LANTERN_INLINE static VF scale(VI scales) {
    return to_floats(shift_signed<-24>(shift<24 - 8 * kByte>(scales)));
  }
  template <int kPart>
  LANTERN_INLINE static void load_part(const Stream& s, int64_t b, W& w) {
    constexpr int kHalf = kPart / 4;
    constexpr int kPlane = kPart % 4;
    const uint8_t* ql = s.segment[0] + b * 2048 + 1024 * kHalf + 512 * (kPlane % 2);
    const uint8_t* qh = s.segment[1] + b * 1024 + 512 * kHalf;
    LANTERN_UNROLL
    for (int k = 0; k < 8; ++k) {
      const VI low = load(ql + 64 * k);
      const VI high = and_bits(shift<4 - 2 * kPlane>(load(qh + 64 * k)), set_bytes(0x30));
      w.q[k] = or_bits(kPlane < 2 ? low_nibbles(low) : high_nibbles(low), high);
    }
    w.pair[0] = make_pair<32>(sum_small_4(w.q));
    w.pair[1] = make_pair<32>(sum_small_4(w.q + 4));
    const VI scales = load(s.segment[2] + b * 256 + 64 * (kPart / 2));
    const VF d = load_halves(s.segment[3] + b * 32);
    set_scale(w, mul(d, scale<2 * (kPart % 2)>(scales)));
    w.scale[1] = mul(d, scale<2 * (kPart % 2) + 1>(scales));
  }
};

}  // namespace
}  // namespace lantern::kernels
