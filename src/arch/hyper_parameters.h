// What distinguishes one transformer from another, as numbers.
//
// Every field has a default that means "not there"; an architecture's Spec (spec.h) sets
// what differs. All of it comes from a file, so every value is checked against the limits
// below before anything is computed from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "arch/pooling.h"
#include "base/result.h"
#include "format/metadata.h"
#include "kernels/ops.h"

namespace lantern::arch {

// Limits on what a file may ask for: several times the largest published models, small enough
// that no product of two of them overflows 64 bits.
inline constexpr int64_t kLayersMax = 1024;
inline constexpr int64_t kHeadsMax = 1024;
inline constexpr int64_t kHeadDimMax = 1024;
inline constexpr int64_t kWidthMax = int64_t{1} << 18;  // n_embd and n_ff
inline constexpr int64_t kVocabMax = int64_t{1} << 24;
inline constexpr int64_t kExpertsMax = 4096;
inline constexpr int64_t kContextMax = int64_t{1} << 30;

/// How positions become angles: inverse frequencies and the factor on cos and sin.
struct RopeParameters {
  enum class Scaling { kNone, kLinear, kYarn };

  int64_t n_rot = 0;  // dimensions of a head that are rotated, from its first on; even
  double theta = 10000.0;
  double theta_local = 0.0;  // of layers with a sliding window; 0: the same as all others
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;
  int64_t n_context_original = 0;  // before scaling (YaRN, LongRoPE)
  double beta_fast = 32.0;         // YaRN's ramp, in rotations over the original context
  double beta_slow = 1.0;
  double magnitude = 1.0;  // of cos and sin (YaRN, LongRoPE)
};

/// Norms by the root mean square alone, or by mean and deviation, with a bias.
enum class NormKind { kRms, kLayer };

/// Where a token's position enters: turned into queries and keys, or added as a learned vector.
enum class Positions { kRope, kLearned };

struct LayerParameters {
  int64_t n_heads = 0;
  int64_t n_kv_heads = 0;
  int64_t n_ff = 0;
  int64_t window = 0;       // positions seen, the query's own included; 0: all
  bool rope_local = false;  // rotated by theta_local
};

struct HyperParameters {
  std::string architecture;
  int64_t n_context_train = 0;
  int64_t n_embd = 0;
  int64_t head_dim = 0;   // of queries and keys
  int64_t value_dim = 0;  // of values
  std::vector<LayerParameters> layers;
  RopeParameters rope;

  NormKind norm = NormKind::kRms;
  float norm_eps = 1e-5f;
  Positions positions = Positions::kRope;
  float embedding_scale = 1.0f;
  float residual_scale = 1.0f;  // of what a block adds to the residual stream
  float logit_scale = 1.0f;
  float attention_scale = 0.0f;    // 1 / sqrt(head_dim) where the file says nothing
  float attention_softcap = 0.0f;  // 0: none
  float logit_softcap = 0.0f;      // 0: none
  /// Queries at position p are multiplied by 1 + scale * log(1 + floor(p / n_context_original))
  /// (Llama 4, Ministral 3); 0: none.
  float temperature_scale = 0.0f;

  kernels::Activation activation = kernels::Activation::kSilu;
  bool qk_norm = false;     // RMS norm of each head's queries and keys, before rope
  bool post_norms = false;  // norms of the blocks' outputs too (Gemma)
  bool gated = true;        // the feed-forward: activation(gate) * up, or activation(up)
  /// Norms of the residual stream behind each block, and none before it (BERT).
  bool output_norms = false;
  /// Every token sees all others; there is no head, states are what comes out.
  bool is_encoder = false;
  Pooling pooling = Pooling::kNone;

  int64_t n_experts = 0;  // 0: dense
  int64_t n_experts_used = 0;
  int64_t n_ff_expert = 0;
  bool expert_weights_norm = false;  // the chosen experts' weights sum to 1
  float expert_weights_scale = 1.0f;
};

struct Spec;

/// Reads the keys "<architecture>.<name>" of a model's metadata. A missing key without default
/// is kCorrupt, and every message names the whole key.
class Keys {
 public:
  Keys(const format::Metadata& metadata, std::string_view architecture)
      : metadata_(metadata), architecture_(architecture) {}

  [[nodiscard]] bool has(std::string_view name) const { return metadata_.has(key(name)); }
  [[nodiscard]] std::string key(std::string_view name) const;

  Result<int64_t> integer(std::string_view name, int64_t min, int64_t max) const;
  Result<int64_t> integer_or(std::string_view name, int64_t min, int64_t max,
                             int64_t otherwise) const;
  /// Within [min, max], finite.
  Result<double> real(std::string_view name, double min, double max) const;
  Result<double> real_or(std::string_view name, double min, double max, double otherwise) const;
  Result<bool> boolean_or(std::string_view name, bool otherwise) const;
  Result<std::string> text_or(std::string_view name, std::string otherwise) const;
  /// One integer for all layers, or an array of n_layers of them.
  Result<std::vector<int64_t>> per_layer(std::string_view name, int64_t n_layers, int64_t min,
                                         int64_t max) const;
  /// A period (every n-th layer sees everything, the others a window) or an array of n_layers
  /// booleans (true: a window). Returns true where a layer has a window.
  Result<std::vector<bool>> window_pattern(std::string_view name, int64_t n_layers,
                                           int64_t period_default) const;

 private:
  const format::Metadata& metadata_;
  std::string_view architecture_;
};

/// The keys that all architectures share: sizes, heads, norms, rope and its scaling, experts,
/// pooling.
/// Errors: kCorrupt (naming the key), kUnsupported rope scalings.
Result<HyperParameters> read_common(const Keys& keys, const Spec& spec);

/// Gives the window to the layers of `pattern` and everything to the others.
void set_windows(HyperParameters& hyper, int64_t window, const std::vector<bool>& pattern);

/// What the fields must be to each other, whoever set them. kCorrupt.
Status check(const HyperParameters& hyper, const Keys& keys);

}  // namespace lantern::arch
