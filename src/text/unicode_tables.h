// The generated tables' layout (tools/unicode/tables.py). Only unicode.cc and nfc.cc read them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lantern::text::tables {

// Two stages: kClassAndFlags[kBlockIndex[c / kBlock] * kBlock + c % kBlock].
inline constexpr int kBlock = 128;
inline constexpr uint8_t kClassBits = 15;
inline constexpr uint8_t kNfcAttention = 16;  // may change, or move, under normal form C
extern const uint16_t kBlockIndex[0x110000 / kBlock];
extern const uint8_t kClassAndFlags[];

struct CombiningClass {
  char32_t first, last;
  uint8_t value;
};
extern const CombiningClass kCombiningClasses[];  // by `first`
extern const size_t kCombiningClassCount;

/// Full canonical decomposition: kDecomposed[offset, offset + length). Hangul is computed.
struct Decomposition {
  char32_t composed;
  uint16_t offset;
  uint8_t length;
};
extern const Decomposition kDecompositions[];  // by `composed`
extern const size_t kDecompositionCount;
extern const char32_t kDecomposed[];

struct Composition {
  char32_t first, second, composed;
};
extern const Composition kCompositions[];  // by `first`, then `second`
extern const size_t kCompositionCount;

}  // namespace lantern::text::tables
