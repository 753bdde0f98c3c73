// The operations of ops.h beside attention: picks the instruction set's rows and splits them over
// threads where that pays.
#include <algorithm>
#include <array>
#include <memory>

#include "kernels/elementwise_kernels.h"
#include "kernels/kernel_table.h"
#include "kernels/lanes.h"
#include "kernels/ops.h"

namespace lantern::kernels {
namespace {

// A parallel region costs about 2 us; a thread alone does so many floats of the cheap operations
// (add, norm: about 4 a cycle from memory) or of the dear ones (exp, tanh, division: about 1 a
// cycle) in several times that.
constexpr int64_t kCheapFloats = 64 * 1024;
constexpr int64_t kDearFloats = 16 * 1024;

/// Calls f(begin, end) on pieces of n items of `size` floats each: the whole on the caller where
/// all of it is below `floats_alone`, else pieces of about a quarter of that.
template <typename F>
void for_pieces(const Context& context, int64_t n, int64_t size, int64_t floats_alone, F&& f) {
  if (n <= 0) return;
  if (context.pool == nullptr) {
    f(int64_t{0}, n);
    return;
  }
  size = std::max<int64_t>(size, 1);
  int64_t grain = n <= floats_alone / size ? n : std::max<int64_t>(1, floats_alone / 4 / size);
  context.pool->parallel_for(n, grain, f);
}

/// The same for n single floats: pieces are multiples of a cache line.
template <typename F>
void for_floats(const Context& context, int64_t n, int64_t floats_alone, F&& f) {
  constexpr int64_t kLine = kLanes;
  for_pieces(context, (n + kLine - 1) / kLine, kLine, floats_alone,
             [&](int64_t begin, int64_t end) {
               f(begin * kLine, std::min(n, end * kLine) - begin * kLine);
             });
}

}  // namespace

void rms_norm(const Context& context, NormShape shape, const float* x, const float* weight,
              float eps, float* y) {
  const ElementwiseKernels& kernels = elementwise_kernels(context.isa);
  for_pieces(context, shape.n, shape.k, kCheapFloats, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      kernels.rms_norm(shape.k, x + i * shape.x_stride, weight, eps, y + i * shape.y_stride);
  });
}

void layer_norm(const Context& context, NormShape shape, const float* x,
                const LayerNormWeights& weights, float* y) {
  const ElementwiseKernels& kernels = elementwise_kernels(context.isa);
  for_pieces(context, shape.n, shape.k, kCheapFloats, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      kernels.layer_norm(shape.k, x + i * shape.x_stride, weights.weight, weights.bias, weights.eps,
                         y + i * shape.y_stride);
  });
}

void rope_angles(const Context& context, const RopeTable& table, int64_t n_tokens,
                 const int32_t* positions, float* cosines, float* sines) {
  const ElementwiseKernels& kernels = elementwise_kernels(context.isa);
  auto n_pairs = static_cast<int64_t>(table.inverse_frequency.size());
  for_pieces(context, n_tokens, n_pairs, kDearFloats, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      kernels.rope_angles(n_pairs, table.inverse_frequency.data(), table.magnitude,
                          static_cast<float>(positions[i]), cosines + i * n_pairs,
                          sines + i * n_pairs);
  });
}

void rope(const Context& context, RopeShape shape, const RopeAngles& angles, float* x) {
  const ElementwiseKernels& kernels = elementwise_kernels(context.isa);
  int64_t size = shape.n_heads * angles.n_pairs * 2;
  for_pieces(context, shape.n_tokens, size, kCheapFloats, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      kernels.rope(shape.n_heads, shape.head_dim, angles.n_pairs,
                   angles.cosines + i * angles.n_pairs, angles.sines + i * angles.n_pairs,
                   x + i * shape.stride);
  });
}

void rope(const Context& context, RopeShape shape, const RopeTable& table, const int32_t* positions,
          float* x) {
  auto n_pairs = static_cast<int64_t>(table.inverse_frequency.size());
  auto angles = std::make_unique_for_overwrite<float[]>(
      static_cast<size_t>(std::max<int64_t>(2 * shape.n_tokens * n_pairs, 1)));
  float* cosines = angles.get();
  float* sines = cosines + shape.n_tokens * n_pairs;
  rope_angles(context, table, shape.n_tokens, positions, cosines, sines);
  rope(context, shape, RopeAngles{.n_pairs = n_pairs, .cosines = cosines, .sines = sines}, x);
}

void add(const Context& context, int64_t n, const float* x, float* y) {
  const ElementwiseKernels& kernels = elementwise_kernels(context.isa);
  for_floats(context, n, kCheapFloats,
             [&](int64_t first, int64_t count) { kernels.add(count, x + first, y + first); });
}

void scale(const Context& context, int64_t n, float factor, float* x) {
  const ElementwiseKernels& kernels = elementwise_kernels(context.isa);
  for_floats(context, n, kCheapFloats,
             [&](int64_t first, int64_t count) { kernels.scale(count, factor, x + first); });
}

void add_bias(const Context& context, int64_t n_tokens, int64_t k, int64_t stride,
              const float* bias, float* x) {
  const ElementwiseKernels& kernels = elementwise_kernels(context.isa);
  for_pieces(context, n_tokens, k, kCheapFloats, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) kernels.add(k, bias, x + i * stride);
  });
}

void softcap(const Context& context, int64_t n, float cap, float* x) {
  const ElementwiseKernels& kernels = elementwise_kernels(context.isa);
  for_floats(context, n, kDearFloats,
             [&](int64_t first, int64_t count) { kernels.softcap(count, cap, x + first); });
}

void gated_activation(const Context& context, Activation kind, int64_t n, const float* up,
                      float* gate) {
  auto* kernel = elementwise_kernels(context.isa).gated_activation[static_cast<int>(kind)];
  for_floats(context, n, kDearFloats,
             [&](int64_t first, int64_t count) { kernel(count, up + first, gate + first); });
}

void activation(const Context& context, Activation kind, int64_t n, float* x) {
  // A product with 1 is exact, so the gated kernel is the plain one too.
  constexpr int64_t kPiece = 1024;
  static constexpr auto kOnes = [] {
    std::array<float, kPiece> ones{};
    ones.fill(1.0f);
    return ones;
  }();
  auto* kernel = elementwise_kernels(context.isa).gated_activation[static_cast<int>(kind)];
  for_floats(context, n, kDearFloats, [&](int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; i += kPiece)
      kernel(std::min(kPiece, count - i), kOnes.data(), x + first + i);
  });
}

void softmax(const Context& context, int64_t n, int64_t k, int64_t stride, float* x) {
  if (k <= 0) return;
  const ElementwiseKernels& kernels = elementwise_kernels(context.isa);
  for_pieces(context, n, k, kDearFloats, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) kernels.softmax(k, x + i * stride);
  });
}

}  // namespace lantern::kernels
