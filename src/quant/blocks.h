// The block layouts, byte for byte as GGUF stores them. Plain data: little-endian, no
// padding; 16-bit fields are binary16 unless said otherwise. Columns are numbered within
// the block. A "nibble pair" byte holds one column in its lower four bits and another in its upper.
#pragma once

#include <cstdint>

namespace lantern::quant {

struct BlockQ4_0 {  // w = d (q - 8)
  uint16_t d;
  uint8_t qs[16];  // columns j, j + 16
};
struct BlockQ4_1 {  // w = d q + m
  uint16_t d;
  uint16_t m;
  uint8_t qs[16];  // as Q4_0
};
struct BlockQ5_0 {  // w = d (q - 16)
  uint16_t d;
  uint8_t qh[4];   // bit j: the fifth bit of column j
  uint8_t qs[16];  // as Q4_0
};
struct BlockQ5_1 {  // w = d q + m
  uint16_t d;
  uint16_t m;
  uint8_t qh[4];
  uint8_t qs[16];
};
struct BlockQ8_0 {  // w = d q
  uint16_t d;
  int8_t qs[32];
};
// Two-bit planes (Q2_K, Q3_K): each half of 128 columns has 32 bytes; bits 2s, 2s + 1 of byte l
// belong to column 32 s + l of the half.
struct BlockQ2_K {     // w = (d scale) q - (dmin min), per 16 columns
  uint8_t scales[16];  // scale in the lower nibble, min in the upper
  uint8_t qs[64];
  uint16_t d;
  uint16_t dmin;
};
struct BlockQ3_K {    // w = (d (scale - 32)) (q - 4), per 16 columns
  uint8_t hmask[32];  // bit i of byte l: the third bit of column 32 i + l
  uint8_t qs[64];
  uint8_t scales[12];  // 16 of six bits: see unpack_scales_q3
  uint16_t d;
};
struct BlockQ4_K {  // w = (d scale) q - (dmin min), per 32 columns
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];  // 8 scales and 8 mins of six bits: see unpack_scales_q4
  uint8_t qs[128];     // byte 32 g + l: columns 64 g + l, 64 g + 32 + l
};
struct BlockQ5_K {  // as Q4_K
  uint16_t d;
  uint16_t dmin;
  uint8_t scales[12];
  uint8_t qh[32];  // bit i of byte l: the fifth bit of column 32 i + l
  uint8_t qs[128];
};
struct BlockQ6_K {  // w = (d scale) (q - 32), per 16 columns
  uint8_t ql[128];  // byte 64 h + 32 s + l: columns 128 h + 32 s + l and that + 64
  uint8_t qh[64];   // bits 2s, 2s + 1 of byte 32 h + l: upper bits of column 128 h + 32 s + l
  int8_t scales[16];
  uint16_t d;
};
struct BlockIQ4_NL {  // w = d kValuesIq4[q]
  uint16_t d;
  uint8_t qs[16];  // as Q4_0
};
struct BlockIQ4_XS {  // w = (d (scale - 32)) kValuesIq4[q], per 32 columns
  uint16_t d;
  uint16_t scales_h;    // an integer: bits 2i, 2i + 1 are the upper bits of scale i
  uint8_t scales_l[4];  // nibble i: the lower bits of scale i
  uint8_t qs[128];      // 8 times as Q4_0
};
struct BlockMXFP4 {  // w = 2^(e - 128) kValuesMxfp4[q]
  uint8_t e;
  uint8_t qs[16];  // as Q4_0
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 &&
              sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockQ2_K) == 84 &&
              sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176 &&
              sizeof(BlockQ6_K) == 210 && sizeof(BlockIQ4_NL) == 18 && sizeof(BlockIQ4_XS) == 136 &&
              sizeof(BlockMXFP4) == 17);

// The IQ4 code book: a non-uniform grid fitted to weights' usual distribution.
inline constexpr int8_t kValuesIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// E2M1 values, doubled so that they are integers (OCP Microscaling Formats 1.0, 5.3.3).
inline constexpr int8_t kValuesMxfp4[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                            0, -1, -2, -3, -4, -6, -8, -12};

/// The bits of 2^(e - 128), half of what E8M0 says because kValuesMxfp4 is doubled.
constexpr uint32_t mxfp4_scale_bits(uint8_t e) {
  return e < 2 ? 0x00200000u << e : (static_cast<uint32_t>(e) - 1) << 23;
}

/// Q4_K, Q5_K: byte i < 4 holds scale i, byte 4 + i min i, in its lower six bits; the upper two are
/// the upper bits of scale (min) 4 + i, whose lower four stand in byte 8 + i (scale low nibble).
constexpr void unpack_scales_q4(const uint8_t (&packed)[12], uint8_t (&scale)[8],
                                uint8_t (&min)[8]) {
  for (int i = 0; i < 4; ++i) {
    scale[i] = packed[i] & 0x3f;
    min[i] = packed[4 + i] & 0x3f;
    scale[4 + i] = static_cast<uint8_t>((packed[8 + i] & 0x0f) | ((packed[i] >> 2) & 0x30));
    min[4 + i] = static_cast<uint8_t>((packed[8 + i] >> 4) | ((packed[4 + i] >> 2) & 0x30));
  }
}

/// Q3_K: the lower four bits of scale i < 8 in the lower nibble of byte i, of scale 8 + i in its
/// upper; the upper two of scale i in bits 2 (i / 4).. of byte 8 + i % 4. 32 is subtracted here.
constexpr void unpack_scales_q3(const uint8_t (&packed)[12], int8_t (&scale)[16]) {
  for (int i = 0; i < 16; ++i) {
    int low = i < 8 ? packed[i] & 0x0f : packed[i - 8] >> 4;
    int high = (packed[8 + i % 4] >> (2 * (i / 4))) & 3;
    scale[i] = static_cast<int8_t>((low | (high << 4)) - 32);
  }
}

}  // namespace lantern::quant
