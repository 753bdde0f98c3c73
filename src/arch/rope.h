// Rotary position embedding's inverse frequencies, as transformers computes them (in float32,
// operation by operation), from powers of our own: no libm function reaches the logits.
//
// Su et al., RoFormer, 2021; YaRN: Peng et al., 2023; LongRoPE: Ding et al., 2024.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "arch/hyper_parameters.h"

namespace lantern::arch {

// Double precision elementary functions with fixed bits: plain products and sums, so equal on
// every processor. Relative error below 1e-15 where used here (a float32 result rounds right
// except within that of a tie).
double log_f64(double x);            // x > 0, finite
double exp_f64(double x);            // |x| < 700
double pow_f64(double x, double y);  // x > 0

/// YaRN's magnitude of cos and sin: 0.1 m ln(factor) + 1, for factors above 1.
double yarn_magnitude(double factor, double mscale);

/// LongRoPE's: sqrt(1 + ln(factor) / ln(original)), for factors above 1.
double longrope_magnitude(double factor, double n_context_original);

/// Llama 3's long-context factors, by which the inverse frequencies are divided: what converters
/// write as the tensor rope_freqs.weight [n_rot / 2].
struct Llama3Scaling {
  double factor = 8.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  double n_context_original = 8192.0;
};
std::vector<float> llama3_factors(int64_t n_rot, double theta, const Llama3Scaling& scaling);

/// theta^(-2i / n_rot), scaled as `rope` says; [n_rot / 2]. `factors` (empty: none) divide.
std::vector<float> inverse_frequencies(const RopeParameters& rope, std::span<const float> factors);
/// The same with theta_local, which no scaling touches.
std::vector<float> local_inverse_frequencies(const RopeParameters& rope);

}  // namespace lantern::arch
