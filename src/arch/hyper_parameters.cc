#include "arch/hyper_parameters.h"

#include <cmath>
#include <utility>

#include "arch/rope.h"
#include "arch/spec.h"
#include "base/printable.h"

namespace lantern::arch {
namespace {

/// A missing key is the file's fault here: what is optional is asked for with a default.
template <typename T>
Result<T> required(Result<T> value) {
  if (!value.ok() && value.error().code == ErrorCode::kNotFound) {
    Error error = std::move(value).error();
    error.code = ErrorCode::kCorrupt;
    return error;
  }
  return value;
}

Result<double> within(Result<double> value, const std::string& key, double min, double max) {
  LANTERN_ASSIGN(double number, std::move(value));
  if (!(number >= min && number <= max))
    return make_error(ErrorCode::kCorrupt, "metadata key {}: {} is not within [{}, {}]", key,
                      number, min, max);
  return number;
}

Status read_sizes(const Keys& keys, HyperParameters& hyper) {
  LANTERN_ASSIGN(int64_t n_layers, keys.integer("block_count", 1, kLayersMax));
  LANTERN_ASSIGN(hyper.n_embd, keys.integer("embedding_length", 1, kWidthMax));
  LANTERN_ASSIGN(hyper.n_context_train, keys.integer("context_length", 1, kContextMax));
  LANTERN_ASSIGN(auto n_heads, keys.per_layer("attention.head_count", n_layers, 1, kHeadsMax));
  std::vector<int64_t> n_kv_heads = n_heads;
  if (keys.has("attention.head_count_kv")) {
    LANTERN_ASSIGN(n_kv_heads, keys.per_layer("attention.head_count_kv", n_layers, 1, kHeadsMax));
  }
  std::vector<int64_t> n_ff(static_cast<size_t>(n_layers), 0);
  if (keys.has("feed_forward_length") || !keys.has("expert_count")) {
    LANTERN_ASSIGN(n_ff, keys.per_layer("feed_forward_length", n_layers, 0, kWidthMax));
  }
  for (size_t i = 0; i < static_cast<size_t>(n_layers); ++i)
    hyper.layers.push_back({.n_heads = n_heads[i], .n_kv_heads = n_kv_heads[i], .n_ff = n_ff[i]});
  int64_t head_dim_default = hyper.n_embd / n_heads[0];
  LANTERN_ASSIGN(hyper.head_dim,
                 keys.integer_or("attention.key_length", 2, kHeadDimMax, head_dim_default));
  LANTERN_ASSIGN(hyper.value_dim,
                 keys.integer_or("attention.value_length", 1, kHeadDimMax, head_dim_default));
  return {};
}

Status read_yarn(const Keys& keys, RopeParameters& rope) {
  rope.scaling = RopeParameters::Scaling::kYarn;
  LANTERN_ASSIGN(rope.beta_fast,
                 keys.real_or("rope.scaling.yarn_beta_fast", 1e-3, 1e6, rope.beta_fast));
  LANTERN_ASSIGN(rope.beta_slow,
                 keys.real_or("rope.scaling.yarn_beta_slow", 1e-3, 1e6, rope.beta_slow));
  LANTERN_ASSIGN(double all_dim, keys.real_or("rope.scaling.yarn_log_multiplier", 0.0, 1e3, 0.0));
  double magnitude = yarn_magnitude(rope.factor, 1.0);
  if (all_dim != 0.0) magnitude /= yarn_magnitude(rope.factor, all_dim);
  LANTERN_ASSIGN(rope.magnitude,
                 keys.real_or("rope.scaling.yarn_attn_factor", 1e-3, 1e3, magnitude));
  if (rope.n_context_original == 0)
    return make_error(ErrorCode::kCorrupt,
                      "metadata key {} is missing, and YaRN needs it: the file is incomplete",
                      keys.key("rope.scaling.original_context_length"));
  return {};
}

Status read_rope(const Keys& keys, HyperParameters& hyper) {
  RopeParameters& rope = hyper.rope;
  LANTERN_ASSIGN(rope.n_rot,
                 keys.integer_or("rope.dimension_count", 2, kHeadDimMax, hyper.head_dim));
  LANTERN_ASSIGN(rope.theta, keys.real_or("rope.freq_base", 1.0 + 1e-6, 1e18, 10000.0));
  LANTERN_ASSIGN(rope.n_context_original,
                 keys.integer_or("rope.scaling.original_context_length", 0, kContextMax, 0));
  LANTERN_ASSIGN(std::string kind, keys.text_or("rope.scaling.type", "none"));
  LANTERN_ASSIGN(rope.factor, keys.real_or("rope.scaling.factor", 0.0, 1e6, 1.0));
  if (rope.factor == 0.0) rope.factor = 1.0;  // writers say 0 for "none"
  if (kind == "linear") {
    rope.scaling = RopeParameters::Scaling::kLinear;
  } else if (kind == "yarn") {
    LANTERN_TRY(read_yarn(keys, rope));
  } else if (kind != "none" && kind != "longrope") {
    return make_error(
        ErrorCode::kUnsupported,
        "metadata key {}: rope scaling \"{}\" is none of none, linear, yarn, longrope",
        keys.key("rope.scaling.type"), base::printable(kind, 80));
  }
  LANTERN_ASSIGN(double attn_factor, keys.real_or("rope.scaling.attn_factor", 1e-3, 1e3, 1.0));
  rope.magnitude *= attn_factor;
  return {};
}

Status read_experts(const Keys& keys, HyperParameters& hyper) {
  LANTERN_ASSIGN(hyper.n_experts, keys.integer_or("expert_count", 0, kExpertsMax, 0));
  if (hyper.n_experts == 0) return {};
  LANTERN_ASSIGN(hyper.n_experts_used, keys.integer("expert_used_count", 1, hyper.n_experts));
  LANTERN_ASSIGN(hyper.n_ff_expert,
                 keys.integer_or("expert_feed_forward_length", 1, kWidthMax, hyper.layers[0].n_ff));
  LANTERN_ASSIGN(double scale, keys.real_or("expert_weights_scale", 0.0, 1e6, 1.0));
  hyper.expert_weights_scale = scale == 0.0 ? 1.0f : static_cast<float>(scale);
  LANTERN_ASSIGN(hyper.expert_weights_norm,
                 keys.boolean_or("expert_weights_norm", hyper.expert_weights_norm));
  return {};
}

Status read_pooling(const Keys& keys, HyperParameters& hyper) {
  // GGUF's numbers: none, mean, cls, last, rank.
  LANTERN_ASSIGN(const int64_t kind, keys.integer_or("pooling_type", 0, 4, 0));
  if (kind == 4)
    return make_error(ErrorCode::kUnsupported,
                      "metadata key {}: a model that ranks pairs of texts is not supported",
                      keys.key("pooling_type"));
  hyper.pooling = static_cast<Pooling>(kind);
  return {};
}

}  // namespace

std::string Keys::key(std::string_view name) const {
  return fmt::format("{}.{}", architecture_, name);
}

Result<int64_t> Keys::integer(std::string_view name, int64_t min, int64_t max) const {
  return required(metadata_.get_int(key(name), min, max));
}

Result<int64_t> Keys::integer_or(std::string_view name, int64_t min, int64_t max,
                                 int64_t otherwise) const {
  return metadata_.get_int_or(key(name), min, max, otherwise);
}

Result<double> Keys::real(std::string_view name, double min, double max) const {
  return within(required(metadata_.get_float(key(name))), key(name), min, max);
}

Result<double> Keys::real_or(std::string_view name, double min, double max,
                             double otherwise) const {
  if (!has(name)) return otherwise;
  return real(name, min, max);
}

Result<bool> Keys::boolean_or(std::string_view name, bool otherwise) const {
  return metadata_.get_bool_or(key(name), otherwise);
}

Result<std::string> Keys::text_or(std::string_view name, std::string otherwise) const {
  return metadata_.get_string_or(key(name), std::move(otherwise));
}

Result<std::vector<int64_t>> Keys::per_layer(std::string_view name, int64_t n_layers, int64_t min,
                                             int64_t max) const {
  return required(metadata_.get_ints_per_layer(key(name), static_cast<size_t>(n_layers), min, max));
}

Result<std::vector<bool>> Keys::window_pattern(std::string_view name, int64_t n_layers,
                                               int64_t period_default) const {
  const format::MetadataValue* value = metadata_.find(key(name));
  if (value != nullptr && std::holds_alternative<std::vector<bool>>(*value)) {
    LANTERN_ASSIGN(std::vector<bool> out, metadata_.get_bools(key(name)));
    if (std::cmp_not_equal(out.size(), n_layers))
      return make_error(ErrorCode::kCorrupt,
                        "metadata key {}: needs a period, or one boolean per layer ({})", key(name),
                        n_layers);
    return out;
  }
  LANTERN_ASSIGN(int64_t period, integer_or(name, 0, kLayersMax, period_default));
  std::vector<bool> out(static_cast<size_t>(n_layers));
  for (int64_t i = 0; i < n_layers; ++i)
    out[static_cast<size_t>(i)] = period == 0 || i % period < period - 1;
  return out;
}

Result<HyperParameters> read_common(const Keys& keys, const Spec& spec) {
  HyperParameters hyper;
  hyper.architecture = spec.name;
  hyper.norm = spec.norm;
  hyper.positions = spec.positions;
  LANTERN_TRY(read_sizes(keys, hyper));
  if (spec.positions == Positions::kRope) LANTERN_TRY(read_rope(keys, hyper));
  LANTERN_TRY(read_experts(keys, hyper));
  LANTERN_TRY(read_pooling(keys, hyper));
  const std::string_view eps_key = spec.norm == NormKind::kRms ? "attention.layer_norm_rms_epsilon"
                                                               : "attention.layer_norm_epsilon";
  LANTERN_ASSIGN(double eps, keys.real(eps_key, 0.0, 1.0));
  hyper.norm_eps = static_cast<float>(eps);
  LANTERN_ASSIGN(double scale, keys.real_or("attention.scale", 0.0, 1e6, 0.0));
  if (scale == 0.0) scale = 1.0 / std::sqrt(static_cast<double>(hyper.head_dim));
  hyper.attention_scale = static_cast<float>(scale);
  return hyper;
}

void set_windows(HyperParameters& hyper, int64_t window, const std::vector<bool>& pattern) {
  for (size_t i = 0; i < hyper.layers.size(); ++i) hyper.layers[i].window = pattern[i] ? window : 0;
}

Status check(const HyperParameters& hyper, const Keys& keys) {
  for (const LayerParameters& layer : hyper.layers) {
    if (layer.n_heads % layer.n_kv_heads != 0)
      return make_error(ErrorCode::kCorrupt,
                        "metadata key {}: {} does not divide the {} heads of {}",
                        keys.key("attention.head_count_kv"), layer.n_kv_heads, layer.n_heads,
                        keys.key("attention.head_count"));
    if (hyper.n_experts == 0 ? layer.n_ff == 0 : hyper.n_ff_expert == 0)
      return make_error(ErrorCode::kCorrupt, "metadata key {}: must be at least 1",
                        keys.key("feed_forward_length"));
  }
  if (hyper.head_dim < 2)
    return make_error(ErrorCode::kCorrupt, "metadata key {}: more heads than {}, the {} of them",
                      keys.key("attention.head_count"), keys.key("embedding_length"),
                      hyper.layers[0].n_heads);
  if (hyper.rope.n_rot % 2 != 0 || hyper.rope.n_rot > hyper.head_dim)
    return make_error(ErrorCode::kCorrupt,
                      "metadata key {}: {} must be even and at most the head's {} dimensions",
                      keys.key("rope.dimension_count"), hyper.rope.n_rot, hyper.head_dim);
  return {};
}

}  // namespace lantern::arch
