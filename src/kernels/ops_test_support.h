// What the tests of operations share: data, instruction sets that run here, equality of bits.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kernels/isa.h"

namespace lantern::kernels {

/// Instruction sets beside ref that this processor runs.
inline std::vector<Isa> vector_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512})
    if (isa_supported(isa)) isas.push_back(isa);
  return isas;
}

inline std::vector<float> normal_floats(size_t n, uint32_t seed, float deviation = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(0.0f, deviation);
  std::vector<float> x(n);
  for (float& v : x) v = distribution(generator);
  return x;
}

/// Any finite float32, all exponents alike: denormals and numbers whose squares overflow.
inline std::vector<float> extreme_floats(size_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<float> x(n);
  for (float& v : x) {
    uint32_t bits = static_cast<uint32_t>(generator());
    if ((bits & 0x7f800000u) == 0x7f800000u) bits ^= 0x40000000u;
    v = std::bit_cast<float>(bits);
  }
  return x;
}

/// Normal floats of which some are infinite or NaN.
inline std::vector<float> broken_floats(size_t n, uint32_t seed) {
  std::vector<float> x = normal_floats(n, seed, 10.0f);
  for (size_t i = seed % 7; i < n; i += 7)
    x[i] = i % 3 == 0   ? std::numeric_limits<float>::infinity()
           : i % 3 == 1 ? -std::numeric_limits<float>::infinity()
                        : std::numeric_limits<float>::quiet_NaN();
  return x;
}

/// Equal bits; NaNs equal one another, since processors choose their payloads.
inline ::testing::AssertionResult same_bits(const std::vector<float>& got,
                                            const std::vector<float>& want) {
  if (got.size() != want.size()) return ::testing::AssertionFailure() << "sizes differ";
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] != got[i] && want[i] != want[i]) continue;
    if (std::bit_cast<uint32_t>(got[i]) != std::bit_cast<uint32_t>(want[i]))
      return ::testing::AssertionFailure() << "element " << i << " of " << got.size() << ": "
                                           << got[i] << " instead of " << want[i];
  }
  return ::testing::AssertionSuccess();
}

}  // namespace lantern::kernels
