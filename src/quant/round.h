// Rounding that encoders share, total for every float.
#pragma once

#include <cstdint>

namespace lantern::quant {

/// To nearest, ties away from zero, clamped to [low, high]; NaN gives 0.
inline int round_half_away(float x, int low, int high) {
  if (!(x == x)) return 0;
  if (x <= static_cast<float>(low)) return low;
  if (x >= static_cast<float>(high)) return high;
  // x - floor(x) is exact, so 0.49999997 does not round up as x + 0.5f would.
  const float magnitude = x < 0 ? -x : x;
  const auto floored = static_cast<int>(magnitude);
  const int rounded = floored + (magnitude - static_cast<float>(floored) >= 0.5f ? 1 : 0);
  return x < 0 ? -rounded : rounded;
}

/// Towards zero, clamped to [low, high]; NaN gives 0.
inline int truncate(float x, int low, int high) {
  if (!(x == x)) return 0;
  if (x <= static_cast<float>(low)) return low;
  if (x >= static_cast<float>(high)) return high;
  return static_cast<int>(x);
}

}  // namespace lantern::quant
