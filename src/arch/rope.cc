#include "arch/rope.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace lantern::arch {
namespace {

// ln 2 in two parts: the high one has 21 trailing zero bits, so an exponent times it is exact.
constexpr double kLn2High = 0x1.62e42fee00000p-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

/// theta^(2i / n_rot), one float32 rounding of the exponent and one of the power.
std::vector<float> powers(double theta, int64_t n_rot) {
  std::vector<float> out(static_cast<size_t>(n_rot / 2));
  for (size_t i = 0; i < out.size(); ++i) {
    float exponent = static_cast<float>(2 * i) / static_cast<float>(n_rot);
    double base = static_cast<double>(static_cast<float>(theta));
    out[i] = static_cast<float>(pow_f64(base, static_cast<double>(exponent)));
  }
  return out;
}

/// The dimension that turns `n_rotations` times over the original context.
double correction_dimension(double n_rotations, const RopeParameters& rope) {
  double context = static_cast<double>(rope.n_context_original);
  return static_cast<double>(rope.n_rot) *
         log_f64(context / (n_rotations * 2.0 * std::numbers::pi)) / (2.0 * log_f64(rope.theta));
}

/// YaRN: dimensions that turn fast keep their frequency, slow ones are divided by the factor,
/// with a linear ramp between.
void apply_yarn(const RopeParameters& rope, std::span<const float> pos_freqs,
                std::span<float> inverse) {
  double low = std::max(std::floor(correction_dimension(rope.beta_fast, rope)), 0.0);
  double high = std::min(std::ceil(correction_dimension(rope.beta_slow, rope)),
                         static_cast<double>(rope.n_rot - 1));
  if (low == high) high += 0.001;  // no division by zero, as in transformers
  auto low_f32 = static_cast<float>(low);
  auto width_f32 = static_cast<float>(high - low);
  auto factor_f32 = static_cast<float>(rope.factor);
  for (size_t i = 0; i < inverse.size(); ++i) {
    float ramp = std::clamp((static_cast<float>(i) - low_f32) / width_f32, 0.0f, 1.0f);
    float extrapolated_part = 1.0f - ramp;
    float extrapolated = 1.0f / pos_freqs[i];
    float interpolated = 1.0f / (factor_f32 * pos_freqs[i]);
    inverse[i] = interpolated * (1.0f - extrapolated_part) + extrapolated * extrapolated_part;
  }
}

}  // namespace

double log_f64(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // [0.5, 1)
  if (m < std::numbers::sqrt2 / 2) {
    m *= 2;
    --exponent;
  }
  // ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.1716: 12 terms reach 1e-18.
  double s = (m - 1) / (m + 1);
  double square = s * s;
  double sum = 0;
  for (int k = 12; k >= 1; --k) sum = (sum + 1.0 / (2 * k + 1)) * square;
  double e = exponent;
  return e * kLn2High + (2 * s + (2 * s * sum + e * kLn2Low));
}

double exp_f64(double x) {
  double n = std::nearbyint(x / std::numbers::ln2);
  double r = (x - n * kLn2High) - n * kLn2Low;  // |r| < 0.347: 15 terms reach 1e-19
  double sum = 1;
  for (int k = 15; k >= 1; --k) sum = 1 + r / k * sum;
  return std::ldexp(sum, static_cast<int>(n));
}

double pow_f64(double x, double y) { return y == 0 ? 1.0 : exp_f64(y * log_f64(x)); }

double yarn_magnitude(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * log_f64(factor) + 1.0;
}

double longrope_magnitude(double factor, double n_context_original) {
  if (factor <= 1.0) return 1.0;
  return std::sqrt(1.0 + log_f64(factor) / log_f64(n_context_original));
}

std::vector<float> llama3_factors(int64_t n_rot, double theta, const Llama3Scaling& scaling) {
  std::vector<float> out = powers(theta, n_rot);
  double longest = scaling.n_context_original / scaling.low_freq_factor;
  double shortest = scaling.n_context_original / scaling.high_freq_factor;
  auto low = static_cast<float>(scaling.low_freq_factor);
  auto width = static_cast<float>(scaling.high_freq_factor - scaling.low_freq_factor);
  auto factor = static_cast<float>(scaling.factor);
  auto context = static_cast<float>(scaling.n_context_original);
  for (float& value : out) {
    float frequency = 1.0f / value;
    float wavelength = static_cast<float>(2 * std::numbers::pi) / frequency;
    if (wavelength < static_cast<float>(shortest)) {
      value = 1.0f;
    } else if (wavelength > static_cast<float>(longest)) {
      value = factor;
    } else {
      float smooth = (context / wavelength - low) / width;
      value = 1.0f / ((1.0f - smooth) / factor + smooth);
    }
  }
  return out;
}

std::vector<float> inverse_frequencies(const RopeParameters& rope, std::span<const float> factors) {
  std::vector<float> pos_freqs = powers(rope.theta, rope.n_rot);
  for (size_t i = 0; i < factors.size(); ++i) pos_freqs[i] = factors[i] * pos_freqs[i];
  std::vector<float> inverse(pos_freqs.size());
  for (size_t i = 0; i < inverse.size(); ++i) inverse[i] = 1.0f / pos_freqs[i];
  if (rope.scaling == RopeParameters::Scaling::kLinear)
    for (float& value : inverse) value /= static_cast<float>(rope.factor);
  if (rope.scaling == RopeParameters::Scaling::kYarn) apply_yarn(rope, pos_freqs, inverse);
  return inverse;
}

std::vector<float> local_inverse_frequencies(const RopeParameters& rope) {
  RopeParameters local{.n_rot = rope.n_rot, .theta = rope.theta_local};
  return inverse_frequencies(local, {});
}

}  // namespace lantern::arch
