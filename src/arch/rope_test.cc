#include "arch/rope.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

namespace lantern::arch {
namespace {

// Expected values are Python's (math.log, math.exp).
TEST(Rope, FunctionsAreWithinAFewUlp) {
  const struct {
    double x, log;
  } logs[] = {{1.0, 0.0},
              {2.0, 0x1.62e42fefa39efp-1},
              {10000.0, 0x1.26bb1bbb55516p+3},
              {1e-300, -0x1.5963447f87fb5p+9},
              {0.70710678, -0x1.62e4300c77ae8p-2},
              {1000000.0, 0x1.ba18a998fffa0p+3}};
  for (const auto& [x, log] : logs)
    EXPECT_NEAR(log_f64(x), log, 4e-16 * std::max(1.0, std::abs(log))) << x;
  EXPECT_EQ(log_f64(1.0), 0.0);
  EXPECT_EQ(exp_f64(0.0), 1.0);
  EXPECT_NEAR(exp_f64(1.0), 0x1.5bf0a8b145769p+1, 1e-15);
  EXPECT_NEAR(exp_f64(-20.0) / 0x1.1b48655f37267p-29, 1.0, 2e-15);
  EXPECT_NEAR(pow_f64(10000.0, 0.5), 100.0, 1e-13);
  EXPECT_NEAR(pow_f64(1e6, 0.984375), 805842.1877614819, 1e-9);
}

// transformers' float32 tables, as torch computes them.
TEST(Rope, DefaultFrequenciesAreTorchs) {
  const RopeParameters rope{.n_rot = 16, .theta = 10000.0};
  const uint32_t bits[] = {0x3f800000, 0x3ea1e89b, 0x3dcccccd, 0x3d0186e3,
                           0x3c23d70a, 0x3b4f3e38, 0x3a83126f, 0x39a5cb60};
  const std::vector<float> got = inverse_frequencies(rope, {});
  ASSERT_EQ(got.size(), 8u);
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], std::bit_cast<float>(bits[i]), 1.2e-7f * got[i]) << i;
}

TEST(Rope, LinearScalingDividesAndLocalFrequenciesAreNotScaled) {
  const RopeParameters rope{.n_rot = 8,
                            .theta = 1e6,
                            .theta_local = 1e4,
                            .scaling = RopeParameters::Scaling::kLinear,
                            .factor = 8.0};
  EXPECT_EQ(inverse_frequencies(rope, {})[0], 0.125f);
  EXPECT_EQ(local_inverse_frequencies(rope)[0], 1.0f);
  EXPECT_NEAR(local_inverse_frequencies(rope)[2], 0.01f, 1e-9f);
}

TEST(Rope, YarnKeepsFastDimensionsAndDividesSlowOnes) {
  const RopeParameters rope{.n_rot = 64,
                            .theta = 10000.0,
                            .scaling = RopeParameters::Scaling::kYarn,
                            .factor = 16.0,
                            .n_context_original = 4096};
  RopeParameters plain = rope;
  plain.scaling = RopeParameters::Scaling::kNone;
  const std::vector<float> scaled = inverse_frequencies(rope, {});
  const std::vector<float> unscaled = inverse_frequencies(plain, {});
  EXPECT_EQ(scaled.front(), unscaled.front());
  EXPECT_EQ(scaled.back(), unscaled.back() / 16.0f);
}

TEST(Rope, Llama3FactorsGoFromOneToTheFactor) {
  const std::vector<float> factors = llama3_factors(128, 500000.0, {});
  ASSERT_EQ(factors.size(), 64u);
  EXPECT_EQ(factors.front(), 1.0f);
  EXPECT_EQ(factors.back(), 8.0f);
  for (size_t i = 1; i < factors.size(); ++i) EXPECT_GE(factors[i], factors[i - 1]);
}

TEST(Rope, MagnitudesAreOneWithoutExtension) {
  EXPECT_EQ(yarn_magnitude(1.0, 1.0), 1.0);
  EXPECT_EQ(longrope_magnitude(0.5, 4096), 1.0);
  EXPECT_NEAR(yarn_magnitude(4.0, 1.0), 1.138629436111989, 1e-15);
  EXPECT_NEAR(longrope_magnitude(32.0, 4096), 1.1902380714238083, 1e-14);
}

}  // namespace
}  // namespace lantern::arch
