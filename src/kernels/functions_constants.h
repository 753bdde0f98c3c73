// Constants of the elementary functions, shared by the scalar definitions (ref/functions.cc) and
// the vector versions (vector/functions.h). Plain data. The polynomials are minimax fits, derived
// and printed by tools/golden/function_polynomials.py.
#pragma once

namespace lantern::kernels {

// Adding 1.5 * 2^23 rounds |x| < 2^22 to an integer, which then stands in the low bits.
constexpr float kRoundMagic = 0x1.8p23f;

constexpr float kLog2E = 0x1.715476p0f;
constexpr float kLn2High = 0x1.62e43p-1f;    // float32(ln 2)
constexpr float kLn2Low = -0x1.05c610p-29f;  // ln 2 - kLn2High

// e^x is 0 below -104 (half the least denormal is e^-103.97) and infinite above 89.
constexpr float kExpLow = -104.0f;
constexpr float kExpHigh = 89.0f;
// e^r = 1 + r + r^2 q(r), |r| <= ln 2 / 2: error 3.1e-9.
constexpr float kExpQ0 = 0x1.fffffcp-2f;
constexpr float kExpQ1 = 0x1.555492p-3f;
constexpr float kExpQ2 = 0x1.5558f2p-5f;
constexpr float kExpQ3 = 0x1.1239e2p-7f;
constexpr float kExpQ4 = 0x1.6a2434p-10f;

// 2^f = 1 + f g(f), |f| <= 1/2: error 3.9e-9.
constexpr float kExp2G0 = 0x1.62e432p-1f;
constexpr float kExp2G1 = 0x1.ebfbe0p-3f;
constexpr float kExp2G2 = 0x1.c6ae2cp-5f;
constexpr float kExp2G3 = 0x1.3b29e4p-7f;
constexpr float kExp2G4 = 0x1.5f88fep-10f;
constexpr float kExp2G5 = 0x1.446c7ep-13f;
// At and below 2^-127 the scale's exponent bits are 0, and so is the product.
constexpr float kExp2Low = -127.0f;
// kRoundMagic + 127: leaves the biased exponent in the low bits.
constexpr float kExp2Magic = 0x1.8000fep23f;

// tanh(x) = x + x^3 t(x^2), |x| < 0.625: error 4.4e-9.
constexpr float kTanhSmall = 0.625f;
constexpr float kTanhT0 = -0x1.555532p-2f;
constexpr float kTanhT1 = 0x1.110726p-3f;
constexpr float kTanhT2 = -0x1.b83c5ap-5f;
constexpr float kTanhT3 = 0x1.52269cp-6f;
constexpr float kTanhT4 = -0x1.75e1ccp-8f;

// erf(x) = x + x s(x^2), |x| < 0.9375: error 5.2e-10.
constexpr float kErfSmall = 0.9375f;
constexpr float kErfS0 = 0x1.06eba8p-3f;
constexpr float kErfS1 = -0x1.812742p-2f;
constexpr float kErfS2 = 0x1.ce2df8p-4f;
constexpr float kErfS3 = -0x1.b80cfap-6f;
constexpr float kErfS4 = 0x1.54b7f4p-8f;
constexpr float kErfS5 = -0x1.a9addp-11f;
constexpr float kErfS6 = 0x1.5aec78p-14f;
// erf(x) = 1 - e^u(x), 0.9375 <= x <= 4: error 3.7e-11; past 4 the result is 1.
constexpr float kErfOne = 4.0f;
constexpr float kErfU0 = 0x1.77fbfep-13f;
constexpr float kErfU1 = -0x1.212956p+0f;
constexpr float kErfU2 = -0x1.44403cp-1f;
constexpr float kErfU3 = -0x1.bbb6e2p-4f;
constexpr float kErfU4 = 0x1.9c11f8p-6f;
constexpr float kErfU5 = -0x1.1221fp-8f;
constexpr float kErfU6 = 0x1.ca211p-12f;
constexpr float kErfU7 = -0x1.657454p-16f;

// Sines and cosines are computed in double: angles reach 2^30, and float32 results come out
// correctly rounded but for one case in a million. x = n pi/2 + r, pi/2 in two parts.
constexpr float kAngleMax = 0x1p30f;
constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
constexpr double kHalfPiHigh = 0x1.921fb54442d18p0;
constexpr double kHalfPiLow = 0x1.1a62633145c07p-54;
// Taylor's series: sin r = r + r^3 (s0 + s1 r^2 ...), cos r = 1 + r^2 (c0 + c1 r^2 ...), whose next
// terms are below 2e-14 for |r| <= pi/4.
constexpr double kSin0 = -1.0 / 6;
constexpr double kSin1 = 1.0 / 120;
constexpr double kSin2 = -1.0 / 5040;
constexpr double kSin3 = 1.0 / 362880;
constexpr double kSin4 = -1.0 / 39916800;
constexpr double kSin5 = 1.0 / 6227020800;
constexpr double kCos0 = -1.0 / 2;
constexpr double kCos1 = 1.0 / 24;
constexpr double kCos2 = -1.0 / 720;
constexpr double kCos3 = 1.0 / 40320;
constexpr double kCos4 = -1.0 / 3628800;
constexpr double kCos5 = 1.0 / 479001600;
constexpr double kCos6 = -1.0 / 87178291200;

// gelu's tanh form: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
constexpr float kGeluRoot = 0x1.988454p-1f;   // sqrt(2 / pi)
constexpr float kGeluCubic = 0x1.6e4e26p-5f;  // 0.044715
constexpr float kHalfRoot = 0x1.6a09e6p-1f;   // 1 / sqrt(2)

}  // namespace lantern::kernels
