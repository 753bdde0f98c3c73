// The elementary functions against glibc's long double ones: measured errors and special values.
#include "kernels/functions.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

namespace lantern::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// |got - want| in units of the last place of `want` as a float32.
double ulp_error(float got, long double want) {
  auto rounded = static_cast<float>(want);
  if (std::isinf(rounded) || std::isinf(got)) return got == rounded ? 0.0 : 1e9;
  int exponent = 0;
  std::frexp(want, &exponent);
  long double ulp = std::ldexp(1.0L, std::max(exponent, -125) - 24);
  return static_cast<double>(std::fabs(static_cast<long double>(got) - want) / ulp);
}

/// The greatest error over float32s whose bits step by `step` from `low` to `high` (both positive),
/// and their negatives where `both`.
double greatest_error(float low, float high, uint32_t step, bool both,
                      const std::function<float(float)>& function,
                      const std::function<long double(long double)>& reference) {
  double greatest = 0.0;
  float where = 0.0f;
  for (auto bits = std::bit_cast<uint32_t>(low); bits <= std::bit_cast<uint32_t>(high);
       bits += step) {
    for (float x : {std::bit_cast<float>(bits), -std::bit_cast<float>(bits)}) {
      if (x < 0.0f && !both) continue;
      double error = ulp_error(function(x), reference(x));
      if (error > greatest) {
        greatest = error;
        where = x;
      }
    }
  }
  std::printf("greatest error %.3f ulp at %a\n", greatest, static_cast<double>(where));
  return greatest;
}

constexpr float kLeast = std::numeric_limits<float>::denorm_min();

TEST(Functions, ExpIsWithinItsBound) {
  EXPECT_LE(
      greatest_error(kLeast, 110.0f, 2503, true, exp_f32, [](long double x) { return expl(x); }),
      1.1);
}

TEST(Functions, Exp2FlushedIsWithinItsBound) {
  EXPECT_LE(greatest_error(kLeast, 125.5f, 2503, true, exp2_flushed_f32,
                           [](long double x) { return exp2l(x); }),
            1.1);
}

TEST(Functions, LogIsWithinItsBound) {
  EXPECT_LE(greatest_error(kLeast, std::numeric_limits<float>::max(), 5009, false, log_f32,
                           [](long double x) { return logl(x); }),
            0.51);
}

TEST(Functions, SinAndCosAreWithinTheirBoundUpToTheGreatestAngle) {
  EXPECT_LE(
      greatest_error(kLeast, 0x1p30f, 5009, true, sin_f32, [](long double x) { return sinl(x); }),
      0.51);
  EXPECT_LE(
      greatest_error(kLeast, 0x1p30f, 5009, true, cos_f32, [](long double x) { return cosl(x); }),
      0.51);
}

TEST(Functions, TanhIsWithinItsBound) {
  EXPECT_LE(
      greatest_error(kLeast, 20.0f, 2503, true, tanh_f32, [](long double x) { return tanhl(x); }),
      2.0);
}

TEST(Functions, ErfIsWithinItsBound) {
  EXPECT_LE(
      greatest_error(kLeast, 6.0f, 2503, true, erf_f32, [](long double x) { return erfl(x); }),
      2.0);
}

TEST(Functions, PowIsWithinItsBound) {
  for (float y : {-3.75f, -1.0f, -1e-3f, 0.25f, 0.5f, 1.0f, 1.7f, 31.0f})
    EXPECT_LE(greatest_error(
                  1e-30f, 1e30f, 100003, false, [=](float x) { return pow_f32(x, y); },
                  [=](long double x) { return powl(x, static_cast<long double>(y)); }),
              0.51);
}

TEST(Functions, SpecialValues) {
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
  EXPECT_EQ(exp_f32(kInfinity), kInfinity);
  EXPECT_EQ(exp_f32(88.73f), kInfinity);
  EXPECT_EQ(exp_f32(-kInfinity), 0.0f);
  EXPECT_EQ(exp_f32(-103.0f), 0x1p-149f);
  EXPECT_EQ(exp2_flushed_f32(0.0f), 1.0f);
  EXPECT_EQ(exp2_flushed_f32(-0.0f), 1.0f);
  EXPECT_EQ(exp2_flushed_f32(-kInfinity), 0.0f);
  EXPECT_EQ(exp2_flushed_f32(-128.0f), 0.0f);
  EXPECT_EQ(exp2_flushed_f32(-126.0f), 0x1p-126f);
  EXPECT_EQ(log_f32(1.0f), 0.0f);
  EXPECT_EQ(log_f32(0.0f), -kInfinity);
  EXPECT_EQ(log_f32(-0.0f), -kInfinity);
  EXPECT_EQ(log_f32(kInfinity), kInfinity);
  EXPECT_EQ(sin_f32(0.0f), 0.0f);
  EXPECT_EQ(cos_f32(0.0f), 1.0f);
  EXPECT_EQ(tanh_f32(kInfinity), 1.0f);
  EXPECT_EQ(tanh_f32(-kInfinity), -1.0f);
  EXPECT_TRUE(std::signbit(tanh_f32(-0.0f)));
  EXPECT_EQ(erf_f32(kInfinity), 1.0f);
  EXPECT_EQ(erf_f32(-kInfinity), -1.0f);
  EXPECT_TRUE(std::signbit(erf_f32(-0.0f)));
  EXPECT_EQ(pow_f32(0.0f, 2.0f), 0.0f);
  EXPECT_EQ(pow_f32(0.0f, -2.0f), kInfinity);
  EXPECT_EQ(pow_f32(0.0f, 0.0f), 1.0f);
  EXPECT_EQ(pow_f32(10.0f, 39.0f), kInfinity);
  EXPECT_EQ(pow_f32(10.0f, -50.0f), 0.0f);
  EXPECT_EQ(pow_f32(10.0f, -45.0f), std::pow(10.0f, -45.0f));
  EXPECT_EQ(pow_f32(2.0f, -kInfinity), 0.0f);
  EXPECT_EQ(pow_f32(0.5f, -kInfinity), kInfinity);
  EXPECT_EQ(pow_f32(kInfinity, -1.0f), 0.0f);
}

TEST(Functions, NanGivesTheCanonicalNan) {
  for (uint32_t bits : {0x7fc00000u, 0xffc00001u, 0x7f800001u, 0xff812345u}) {
    auto x = std::bit_cast<float>(bits);
    for (float y : {exp_f32(x), exp2_flushed_f32(x), log_f32(x), sin_f32(x), cos_f32(x),
                    tanh_f32(x), erf_f32(x), pow_f32(x, 2.0f), pow_f32(2.0f, x)})
      EXPECT_EQ(std::bit_cast<uint32_t>(y), 0x7fc00000u);
  }
  for (float y : {log_f32(-1.0f), sin_f32(kInfinity), cos_f32(0x1.1p30f), pow_f32(-1.0f, 2.0f)})
    EXPECT_EQ(std::bit_cast<uint32_t>(y), std::bit_cast<uint32_t>(kNan));
}

}  // namespace
}  // namespace lantern::kernels
