// Everything a transformer computes beside its matrix products. All of it gives equal
// bits on every instruction set, for any number of threads and any batch.
//
// Reductions use 16 partial sums (element i goes to sum i mod 16) folded by a fixed tree.
// exp, log, sin, cos, tanh, erf and pow are our own polynomials (functions.h), never libm's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/kv_layout.h"
#include "kernels/matrix.h"

namespace lantern::kernels {

/// y[n, k] = x[n, k] / sqrt(mean(x^2) + eps) * weight[k]; weight may be null (all ones). In place
/// allowed. (Gemma's 1 + w is added to the weight at load, as its GGUF files do.)
struct NormShape {
  int64_t n = 0;
  int64_t k = 0;
  int64_t x_stride = 0;
  int64_t y_stride = 0;
};
void rms_norm(const Context& context, NormShape shape, const float* x, const float* weight,
              float eps, float* y);

/// y[n, k] = (x - mean(x)) / sqrt(mean((x - mean)^2) + eps) * weight[k] + bias[k]. In place
/// allowed. Ba et al., Layer Normalization, 2016.
struct LayerNormWeights {
  const float* weight = nullptr;  // [k]
  const float* bias = nullptr;    // [k]
  float eps = 0;
};
void layer_norm(const Context& context, NormShape shape, const float* x,
                const LayerNormWeights& weights, float* y);

/// Rotary position embedding. Pairs (i, i + n_rot/2) of each head's first n_rot dimensions
/// ("NeoX" order, as transformers stores Q and K) are rotated by position * inverse_frequency[i];
/// cos and sin are multiplied by `magnitude` (YaRN, LongRoPE). Su et al., RoFormer, 2021.
struct RopeTable {
  std::span<const float> inverse_frequency;  // [n_rot / 2]
  float magnitude = 1.0f;
};
struct RopeShape {
  int64_t n_tokens = 0;
  int64_t n_heads = 0;
  int64_t head_dim = 0;
  int64_t stride = 0;  // floats from token to token
};
void rope(const Context& context, RopeShape shape, const RopeTable& table, const int32_t* positions,
          float* x);

/// The same in two steps, for the layers of a step that share a table: the angles once, then every
/// layer's rotation. cosines and sines [n_tokens, n_rot / 2] already hold the magnitude. The angle
/// is float(position) * inverse_frequency, rounded to float32, as transformers computes it.
void rope_angles(const Context& context, const RopeTable& table, int64_t n_tokens,
                 const int32_t* positions, float* cosines, float* sines);
struct RopeAngles {
  int64_t n_pairs = 0;  // n_rot / 2
  const float* cosines = nullptr;
  const float* sines = nullptr;
};
void rope(const Context& context, RopeShape shape, const RopeAngles& angles, float* x);

/// y += x, n values.
void add(const Context& context, int64_t n, const float* x, float* y);
/// x *= factor.
void scale(const Context& context, int64_t n, float factor, float* x);
/// x += bias per row: x[n_tokens, k].
void add_bias(const Context& context, int64_t n_tokens, int64_t k, int64_t stride,
              const float* bias, float* x);
/// x = cap * tanh(x / cap) (Gemma 2's soft caps).
void softcap(const Context& context, int64_t n, float cap, float* x);

enum class Activation { kSilu, kGeluTanh, kGeluErf };
/// gate[n] = activation(gate) * up, in place.
void gated_activation(const Context& context, Activation kind, int64_t n, const float* up,
                      float* gate);

/// x[n] = activation(x), in place.
void activation(const Context& context, Activation kind, int64_t n, float* x);

/// Softmax in place over each row of x[n, k].
void softmax(const Context& context, int64_t n, int64_t k, int64_t stride, float* x);

// --- the KV cache's pages and attention over them ---

/// Bytes of one page of keys (or of values) of one layer: n_kv_heads x 128 positions x head_dim.
/// The layout inside is the kernels' own (kv_layout.h). kUnsupported for q8_0 where 32 does not
/// divide head_dim, kInvalidArgument for sizes that make no sense.
Result<uint64_t> kv_page_bytes(KvType type, int64_t n_kv_heads, int64_t head_dim);

/// One sequence's cache in one layer: pages in order of positions. A page may be null where a
/// sliding window has passed it for good.
struct KvView {
  KvType type = KvType::kF16;
  int64_t n_kv_heads = 0;
  int64_t head_dim = 0;   // of keys
  int64_t value_dim = 0;  // of values, usually the same
  std::span<std::byte* const> key_pages;
  std::span<std::byte* const> value_pages;
};

/// Writes k, v [n_tokens, n_kv_heads, dim] (stride floats from token to token) at positions first..
/// of the view.
void kv_write(const Context& context, const KvView& kv, int64_t first_position, int64_t n_tokens,
              const float* k, int64_t k_stride, const float* v, int64_t v_stride);

/// Attention of one sequence's n_tokens queries at positions first_position.. over its cache, which
/// holds those positions already. Scores are q.k * scale, then softcap (0: none), masked past the
/// query (or, where attention is not causal, past the last of the queries) and, with window > 0,
/// where query - key >= window. q[n_tokens, n_heads, head_dim] -> out[n_tokens, n_heads,
/// value_dim].
struct AttentionSequence {
  KvView kv;
  int64_t first_position = 0;
  int64_t n_tokens = 0;
  const float* q = nullptr;
  float* out = nullptr;
};
enum class AttentionMask { kCausal, kNone };
struct AttentionShape {
  AttentionMask mask = AttentionMask::kCausal;
  int64_t n_heads = 0;
  int64_t q_stride = 0;
  int64_t out_stride = 0;
  float scale = 1.0f;  // positive
  float softcap = 0.0f;
  int64_t window = 0;
};
/// All sequences of a batch in one parallel region.
void attention(const Context& context, AttentionShape shape,
               std::span<const AttentionSequence> sequences);

}  // namespace lantern::kernels
