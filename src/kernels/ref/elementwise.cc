// Rows of everything beside matrix products and attention: the definition of the bits.
#include "kernels/elementwise_kernels.h"

#include <cmath>

#include "kernels/functions.h"
#include "kernels/functions_constants.h"
#include "kernels/ref/partial_sums.h"

namespace lantern::kernels {
namespace {

void rms_norm(int64_t k, const float* x, const float* weight, float eps, float* y) {
  PartialSums sums;
  for (int64_t i = 0; i < k; ++i) sums.add_product(i, x[i], x[i]);
  float factor = 1.0f / std::sqrt(sums.fold() / static_cast<float>(k) + eps);
  for (int64_t i = 0; i < k; ++i) {
    float v = x[i] * factor;
    y[i] = weight != nullptr ? v * weight[i] : v;
  }
}

/// Both sums are of 16 partial ones; the squares are of the differences from the rounded mean.
void layer_norm(int64_t k, const float* x, const float* weight, const float* bias, float eps,
                float* y) {
  PartialSums sums;
  for (int64_t i = 0; i < k; ++i) sums.add(i, x[i]);
  float mean = sums.fold() / static_cast<float>(k);
  PartialSums squares;
  for (int64_t i = 0; i < k; ++i) squares.add_product(i, x[i] - mean, x[i] - mean);
  float factor = 1.0f / std::sqrt(squares.fold() / static_cast<float>(k) + eps);
  for (int64_t i = 0; i < k; ++i) y[i] = std::fma((x[i] - mean) * factor, weight[i], bias[i]);
}

void rope_angles(int64_t n, const float* inverse_frequency, float magnitude, float position,
                 float* cosines, float* sines) {
  for (int64_t i = 0; i < n; ++i) {
    float angle = position * inverse_frequency[i];
    cosines[i] = cos_f32(angle) * magnitude;
    sines[i] = sin_f32(angle) * magnitude;
  }
}

void rope(int64_t n_heads, int64_t head_dim, int64_t n_pairs, const float* cosines,
          const float* sines, float* x) {
  for (int64_t h = 0; h < n_heads; ++h) {
    float* low = x + h * head_dim;
    float* high = low + n_pairs;
    for (int64_t i = 0; i < n_pairs; ++i) {
      float a = low[i];
      float b = high[i];
      low[i] = std::fma(-b, sines[i], a * cosines[i]);
      high[i] = std::fma(a, sines[i], b * cosines[i]);
    }
  }
}

void add(int64_t n, const float* x, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = y[i] + x[i];
}

void scale(int64_t n, float factor, float* x) {
  for (int64_t i = 0; i < n; ++i) x[i] = x[i] * factor;
}

void softcap(int64_t n, float cap, float* x) {
  for (int64_t i = 0; i < n; ++i) x[i] = cap * tanh_f32(x[i] / cap);
}

void silu(int64_t n, const float* up, float* gate) {
  for (int64_t i = 0; i < n; ++i) {
    float g = gate[i];
    gate[i] = g / (exp_f32(-g) + 1.0f) * up[i];
  }
}

void gelu_tanh(int64_t n, const float* up, float* gate) {
  for (int64_t i = 0; i < n; ++i) {
    float g = gate[i];
    float inner = kGeluRoot * std::fma(kGeluCubic * g * g, g, g);
    float h = 0.5f * g;
    gate[i] = std::fma(h, tanh_f32(inner), h) * up[i];
  }
}

void gelu_erf(int64_t n, const float* up, float* gate) {
  for (int64_t i = 0; i < n; ++i) {
    float g = gate[i];
    float h = 0.5f * g;
    gate[i] = std::fma(h, erf_f32(g * kHalfRoot), h) * up[i];
  }
}

void softmax(int64_t k, float* x) {
  float maximum = x[0];
  for (int64_t i = 1; i < k; ++i) maximum = x[i] > maximum ? x[i] : maximum;
  PartialSums sums;
  for (int64_t i = 0; i < k; ++i) {
    x[i] = exp_f32(x[i] - maximum);
    sums.add(i, x[i]);
  }
  float sum = sums.fold();
  for (int64_t i = 0; i < k; ++i) x[i] = x[i] / sum;
}

}  // namespace

const ElementwiseKernels kRefElementwise = {
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .rope_angles = rope_angles,
    .rope = rope,
    .add = add,
    .scale = scale,
    .softcap = softcap,
    .gated_activation = {silu, gelu_tanh, gelu_erf},
    .softmax = softmax,
};

}  // namespace lantern::kernels
