// The rows of ref/elementwise.cc over sixteen lanes. Included after an instruction set's vector.h,
// by its files alone.
#pragma once

#include "kernels/elementwise_kernels.h"
#include "kernels/lanes.h"
#include "kernels/vector/functions.h"

namespace lantern::kernels {
namespace {

/// x[i] = f(x[i], y[i]) over n floats; y may be x.
template <typename F>
LANTERN_INLINE void transform(int64_t n, const float* y, float* x, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(x + i, f(load(x + i), load(y + i)));
  if (i < n) {
    Mask tail = lanes_between(0, n - i);
    store_masked(tail, x + i, f(load_masked(tail, x + i), load_masked(tail, y + i)));
  }
}

void rms_norm(int64_t k, const float* x, const float* weight, float eps, float* y) {
  Floats sums = broadcast(0.0f);
  int64_t whole = k / kLanes * kLanes;
  Mask tail = lanes_between(0, k - whole);
  for (int64_t i = 0; i < whole; i += kLanes) {
    Floats v = load(x + i);
    sums = fma(v, v, sums);
  }
  Floats last = load_masked(tail, x + whole);
  sums = fma(last, last, sums);
  float mean = fold_add(sums) / static_cast<float>(k);
  Floats factor = broadcast(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps))));
  if (weight == nullptr) {
    for (int64_t i = 0; i < whole; i += kLanes) store(y + i, mul(load(x + i), factor));
    store_masked(tail, y + whole, mul(last, factor));
    return;
  }
  for (int64_t i = 0; i < whole; i += kLanes)
    store(y + i, mul(mul(load(x + i), factor), load(weight + i)));
  store_masked(tail, y + whole, mul(mul(last, factor), load_masked(tail, weight + whole)));
}

void layer_norm(int64_t k, const float* x, const float* weight, const float* bias, float eps,
                float* y) {
  int64_t whole = k / kLanes * kLanes;
  Mask tail = lanes_between(0, k - whole);
  Floats zero = broadcast(0.0f);
  Floats sums = zero;
  for (int64_t i = 0; i < whole; i += kLanes) sums = add(sums, load(x + i));
  Floats last = load_masked(tail, x + whole);
  sums = add(sums, select(tail, last, zero));
  Floats mean = broadcast(fold_add(sums) / static_cast<float>(k));
  Floats squares = zero;
  for (int64_t i = 0; i < whole; i += kLanes) {
    Floats d = sub(load(x + i), mean);
    squares = fma(d, d, squares);
  }
  last = select(tail, sub(last, mean), zero);
  squares = fma(last, last, squares);
  float variance = fold_add(squares) / static_cast<float>(k);
  Floats factor = broadcast(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(variance + eps))));
  for (int64_t i = 0; i < whole; i += kLanes) {
    Floats v = mul(sub(load(x + i), mean), factor);
    store(y + i, fma(v, load(weight + i), load(bias + i)));
  }
  store_masked(
      tail, y + whole,
      fma(mul(last, factor), load_masked(tail, weight + whole), load_masked(tail, bias + whole)));
}

/// One angle, as ref's cos_sin(); loops of it turn into vectors of doubles.
LANTERN_INLINE void cos_sin(float angle, float* cosine, float* sine) {
  constexpr double kMagic = 0x1.8p52;
  double x = angle;
  double t = __builtin_fma(x, kTwoOverPi, kMagic);
  double n = t - kMagic;
  double r = __builtin_fma(-n, kHalfPiHigh, x);
  r = __builtin_fma(-n, kHalfPiLow, r);
  double z = r * r;
  double s = __builtin_fma(z, kSin5, kSin4);
  s = __builtin_fma(z, s, kSin3);
  s = __builtin_fma(z, s, kSin2);
  s = __builtin_fma(z, s, kSin1);
  s = __builtin_fma(z, s, kSin0);
  s = __builtin_fma(r * z, s, r);
  double c = __builtin_fma(z, kCos6, kCos5);
  c = __builtin_fma(z, c, kCos4);
  c = __builtin_fma(z, c, kCos3);
  c = __builtin_fma(z, c, kCos2);
  c = __builtin_fma(z, c, kCos1);
  c = __builtin_fma(z, c, kCos0);
  c = __builtin_fma(z, c, 1.0);
  int64_t quadrant;
  __builtin_memcpy(&quadrant, &t, sizeof quadrant);
  bool odd = (quadrant & 1) != 0;
  double cos_odd = odd ? -s : c;
  double sin_odd = odd ? c : s;
  bool turned = (quadrant & 2) != 0;
  bool valid = __builtin_fabsf(angle) <= kAngleMax;
  *cosine = valid ? static_cast<float>(turned ? -cos_odd : cos_odd) : __builtin_nanf("");
  *sine = valid ? static_cast<float>(turned ? -sin_odd : sin_odd) : __builtin_nanf("");
}

void rope_angles(int64_t n, const float* inverse_frequency, float magnitude, float position,
                 float* __restrict cosines, float* __restrict sines) {
  for (int64_t i = 0; i < n; ++i) {
    float cosine;
    float sine;
    cos_sin(position * inverse_frequency[i], &cosine, &sine);
    cosines[i] = cosine * magnitude;
    sines[i] = sine * magnitude;
  }
}

void rope(int64_t n_heads, int64_t head_dim, int64_t n_pairs, const float* cosines,
          const float* sines, float* x) {
  for (int64_t i = 0; i < n_pairs; i += kLanes) {
    Mask lanes = lanes_between(0, n_pairs - i);
    Floats c = load_masked(lanes, cosines + i);
    Floats s = load_masked(lanes, sines + i);
    for (int64_t h = 0; h < n_heads; ++h) {
      float* low = x + h * head_dim + i;
      float* high = low + n_pairs;
      Floats a = load_masked(lanes, low);
      Floats b = load_masked(lanes, high);
      store_masked(lanes, low, fnma(b, s, mul(a, c)));
      store_masked(lanes, high, fma(a, s, mul(b, c)));
    }
  }
}

void add(int64_t n, const float* x, float* y) {
  transform(n, x, y, [](Floats a, Floats b) { return add(a, b); });
}

void scale(int64_t n, float factor, float* x) {
  transform(n, x, x, [=](Floats a, Floats) { return mul(a, broadcast(factor)); });
}

void softcap(int64_t n, float cap, float* x) {
  Floats c = broadcast(cap);
  transform(n, x, x, [=](Floats a, Floats) { return mul(c, tanh_v(div(a, c))); });
}

void silu(int64_t n, const float* up, float* gate) {
  transform(n, up, gate, [](Floats g, Floats u) {
    Floats below = add(exp_v(sub(broadcast(0.0f), g)), broadcast(1.0f));
    return mul(div(g, below), u);
  });
}

void gelu_tanh(int64_t n, const float* up, float* gate) {
  transform(n, up, gate, [](Floats g, Floats u) {
    Floats cubic = mul(mul(broadcast(kGeluCubic), g), g);
    Floats inner = mul(broadcast(kGeluRoot), fma(cubic, g, g));
    Floats h = mul(broadcast(0.5f), g);
    return mul(fma(h, tanh_v(inner), h), u);
  });
}

void gelu_erf(int64_t n, const float* up, float* gate) {
  transform(n, up, gate, [](Floats g, Floats u) {
    Floats h = mul(broadcast(0.5f), g);
    return mul(fma(h, erf_v(mul(g, broadcast(kHalfRoot))), h), u);
  });
}

void softmax(int64_t k, float* x) {
  int64_t whole = k / kLanes * kLanes;
  Mask tail = lanes_between(0, k - whole);
  Floats lowest = broadcast(-__builtin_inff());
  Floats greatest = select(tail, load_masked(tail, x + whole), lowest);
  for (int64_t i = 0; i < whole; i += kLanes) greatest = max(load(x + i), greatest);
  Floats maximum = broadcast(fold_max(greatest));
  Floats sums = broadcast(0.0f);
  for (int64_t i = 0; i < whole; i += kLanes) {
    Floats e = exp_v(sub(load(x + i), maximum));
    store(x + i, e);
    sums = add(sums, e);
  }
  Floats e = exp_v(sub(load_masked(tail, x + whole), maximum));
  store_masked(tail, x + whole, e);
  sums = add(sums, select(tail, e, broadcast(0.0f)));
  Floats sum = broadcast(fold_add(sums));
  for (int64_t i = 0; i < whole; i += kLanes) store(x + i, div(load(x + i), sum));
  store_masked(tail, x + whole, div(e, sum));
}

constexpr ElementwiseKernels kElementwise = {
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

}  // namespace
}  // namespace lantern::kernels
