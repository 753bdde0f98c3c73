// The scalar definitions of the elementary functions. vector/functions.h repeats their trees of
// operations over 16 lanes; a change here changes the arithmetic's version.
#include "kernels/functions.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/functions_constants.h"

namespace lantern::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

float pow2(uint32_t n) { return std::bit_cast<float>((n + 127u) << 23); }

/// cos and sin of an angle with |x| <= kAngleMax.
struct CosSin {
  double cos, sin;
};
CosSin cos_sin(double x) {
  constexpr double kMagic = 0x1.8p52;
  double t = std::fma(x, kTwoOverPi, kMagic);
  double n = t - kMagic;
  double r = std::fma(-n, kHalfPiHigh, x);
  r = std::fma(-n, kHalfPiLow, r);
  double z = r * r;
  double s = std::fma(z, kSin5, kSin4);
  s = std::fma(z, s, kSin3);
  s = std::fma(z, s, kSin2);
  s = std::fma(z, s, kSin1);
  s = std::fma(z, s, kSin0);
  s = std::fma(r * z, s, r);
  double c = std::fma(z, kCos6, kCos5);
  c = std::fma(z, c, kCos4);
  c = std::fma(z, c, kCos3);
  c = std::fma(z, c, kCos2);
  c = std::fma(z, c, kCos1);
  c = std::fma(z, c, kCos0);
  c = std::fma(z, c, 1.0);
  auto quadrant = std::bit_cast<uint64_t>(t) & 3;
  if ((quadrant & 1) != 0) {
    double swap = s;
    s = c;
    c = -swap;
  }
  return (quadrant & 2) != 0 ? CosSin{-c, -s} : CosSin{c, s};
}

/// ln x of a positive finite x, to about 2e-16 of 1 + |ln x|.
double log_f64(double x) {
  // x = m 2^e with m in [1/sqrt 2, sqrt 2); every float32 is normal as a double.
  auto bits = std::bit_cast<uint64_t>(x);
  constexpr uint64_t kRootHalf = 0x3fe6a09e667f3bcd;
  uint64_t shifted = bits - kRootHalf;
  int64_t e = static_cast<int64_t>(shifted) >> 52;
  double m = std::bit_cast<double>(bits - (static_cast<uint64_t>(e) << 52));
  // ln m = 2 artanh s = 2 (s + s^3 / 3 + s^5 / 5 ...), |s| <= 0.1716.
  double s = (m - 1.0) / (m + 1.0);
  double z = s * s;
  double p = 1.0 / 19;
  for (int k = 17; k >= 3; k -= 2) p = std::fma(z, p, 1.0 / k);
  p = std::fma(s * z, p, s);
  constexpr double kLn2 = 0x1.62e42fefa39efp-1;
  return std::fma(static_cast<double>(e), kLn2, 2.0 * p);
}

/// e^x for |x| < 700, to about 3e-16.
double exp_f64(double x) {
  constexpr double kMagic = 0x1.8p52;
  constexpr double kLog2EDouble = 0x1.71547652b82fep0;
  constexpr double kLn2HighDouble = 0x1.62e42fefa39efp-1;
  constexpr double kLn2LowDouble = 0x1.abc9e3b39803fp-56;
  double t = std::fma(x, kLog2EDouble, kMagic);
  double n = t - kMagic;
  double r = std::fma(-n, kLn2HighDouble, x);
  r = std::fma(-n, kLn2LowDouble, r);
  // Taylor's series in Horner's form: 1 + r (1 + r/2 (1 + r/3 (...))).
  double p = 1.0;
  for (int k = 13; k >= 1; --k) p = std::fma(r / k, p, 1.0);
  auto exponent = static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52;
  return p * std::bit_cast<double>(exponent);
}

}  // namespace

float exp_f32(float x) {
  if (x != x) return kNan;
  float y = kExpLow > x ? kExpLow : x;
  y = kExpHigh < y ? kExpHigh : y;
  float t = std::fma(y, kLog2E, kRoundMagic);
  float n = t - kRoundMagic;
  float r = std::fma(-n, kLn2High, y);
  r = std::fma(-n, kLn2Low, r);
  float q = std::fma(r, kExpQ4, kExpQ3);
  q = std::fma(r, q, kExpQ2);
  q = std::fma(r, q, kExpQ1);
  q = std::fma(r, q, kExpQ0);
  float p = std::fma(r * r, q, r) + 1.0f;
  // 2^n in two factors: n reaches 128 and -150, and the second product alone rounds.
  int32_t exponent = static_cast<int32_t>(std::bit_cast<uint32_t>(t)) -
                     static_cast<int32_t>(std::bit_cast<uint32_t>(kRoundMagic));
  int32_t half = exponent >> 1;
  return p * pow2(static_cast<uint32_t>(half)) * pow2(static_cast<uint32_t>(exponent - half));
}

float exp2_flushed_f32(float x) {
  if (x != x) return kNan;
  float y = kExp2Low > x ? kExp2Low : x;
  float t = y + kExp2Magic;
  float f = y - (t - kExp2Magic);
  float g = std::fma(f, kExp2G5, kExp2G4);
  g = std::fma(f, g, kExp2G3);
  g = std::fma(f, g, kExp2G2);
  g = std::fma(f, g, kExp2G1);
  g = std::fma(f, g, kExp2G0);
  float p = std::fma(f, g, 1.0f);
  return p * std::bit_cast<float>(std::bit_cast<uint32_t>(t) << 23);
}

float log_f32(float x) {
  if (x != x || x < 0.0f) return kNan;
  if (x == 0.0f) return -kInfinity;
  if (x == kInfinity) return kInfinity;
  return static_cast<float>(log_f64(x));
}

float sin_f32(float x) {
  if (!(std::fabs(x) <= kAngleMax)) return kNan;
  return static_cast<float>(cos_sin(x).sin);
}

float cos_f32(float x) {
  if (!(std::fabs(x) <= kAngleMax)) return kNan;
  return static_cast<float>(cos_sin(x).cos);
}

float tanh_f32(float x) {
  if (x != x) return kNan;
  float a = std::fabs(x);
  float result;
  if (a < kTanhSmall) {
    float z = a * a;
    float t = std::fma(z, kTanhT4, kTanhT3);
    t = std::fma(z, t, kTanhT2);
    t = std::fma(z, t, kTanhT1);
    t = std::fma(z, t, kTanhT0);
    result = std::fma(a * z, t, a);
  } else {
    result = 1.0f - 2.0f / (exp_f32(a + a) + 1.0f);
  }
  return std::copysign(result, x);
}

float erf_f32(float x) {
  if (x != x) return kNan;
  float a = std::fabs(x);
  float result;
  if (a < kErfSmall) {
    float z = a * a;
    float s = std::fma(z, kErfS6, kErfS5);
    s = std::fma(z, s, kErfS4);
    s = std::fma(z, s, kErfS3);
    s = std::fma(z, s, kErfS2);
    s = std::fma(z, s, kErfS1);
    s = std::fma(z, s, kErfS0);
    result = std::fma(a, s, a);
  } else {
    a = kErfOne < a ? kErfOne : a;
    float u = std::fma(a, kErfU7, kErfU6);
    u = std::fma(a, u, kErfU5);
    u = std::fma(a, u, kErfU4);
    u = std::fma(a, u, kErfU3);
    u = std::fma(a, u, kErfU2);
    u = std::fma(a, u, kErfU1);
    u = std::fma(a, u, kErfU0);
    result = 1.0f - exp_f32(u);
  }
  return std::copysign(result, x);
}

float pow_f32(float x, float y) {
  if (y == 0.0f || x == 1.0f) return 1.0f;
  if (x != x || y != y || x < 0.0f) return kNan;
  if (x == 0.0f) return y > 0.0f ? 0.0f : kInfinity;
  if (x == kInfinity) return y > 0.0f ? kInfinity : 0.0f;
  if (y == kInfinity || y == -kInfinity) return (x > 1.0f) == (y > 0.0f) ? kInfinity : 0.0f;
  double exponent = static_cast<double>(y) * log_f64(x);
  if (exponent > 100.0) return kInfinity;
  if (exponent < -110.0) return 0.0f;
  return static_cast<float>(exp_f64(exponent));
}

}  // namespace lantern::kernels
