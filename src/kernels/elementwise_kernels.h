// What each instruction set gives elementwise.cc: operations on one row. Plain data, since
// instruction set files include it.
#pragma once

#include <stdint.h>

namespace lantern::kernels {

struct ElementwiseKernels {
  /// y[k] = x / sqrt(mean(x^2) + eps) * weight; weight may be null.
  void (*rms_norm)(int64_t k, const float* x, const float* weight, float eps, float* y);
  /// y[k] = (x - mean(x)) / sqrt(mean((x - mean)^2) + eps) * weight + bias.
  void (*layer_norm)(int64_t k, const float* x, const float* weight, const float* bias, float eps,
                     float* y);
  /// cosines and sines [n] of position * inverse_frequency, times magnitude.
  void (*rope_angles)(int64_t n, const float* inverse_frequency, float magnitude, float position,
                      float* cosines, float* sines);
  /// Rotates the pairs of each head of one token.
  void (*rope)(int64_t n_heads, int64_t head_dim, int64_t n_pairs, const float* cosines,
               const float* sines, float* x);
  void (*add)(int64_t n, const float* x, float* y);
  void (*scale)(int64_t n, float factor, float* x);
  void (*softcap)(int64_t n, float cap, float* x);
  /// gate = activation(gate) * up; indexed by Activation.
  void (*gated_activation[3])(int64_t n, const float* up, float* gate);
  void (*softmax)(int64_t k, float* x);
};

extern const ElementwiseKernels kRefElementwise;
extern const ElementwiseKernels kAvx2Elementwise;
extern const ElementwiseKernels kAvx512Elementwise;

}  // namespace lantern::kernels
