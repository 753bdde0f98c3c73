#include "arch/hf_config.h"

#include <cmath>

#include "arch/hyper_parameters.h"
#include "arch/rope.h"
#include "arch/spec.h"
#include "base/printable.h"

namespace lantern::arch {
namespace {

using base::Json;

const Json* find_in(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  auto it = object.find(std::string(name));
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

Error wrong(std::string_view name, std::string_view wanted) {
  return make_error(ErrorCode::kCorrupt, "config.json: {} is no {}", name, wanted);
}

Result<double> as_real(const Json& value, std::string_view name) {
  if (!value.is_number()) return wrong(name, "number");
  double number = value.get<double>();
  if (!std::isfinite(number)) return wrong(name, "finite number");
  return number;
}

Status read_optional(const Json& object, std::string_view name, std::optional<double>& out) {
  const Json* value = find_in(object, name);
  if (value == nullptr) return {};
  LANTERN_ASSIGN(out, as_real(*value, name));
  return {};
}

Result<std::vector<float>> read_factors(const Json& object, std::string_view name) {
  std::vector<float> out;
  const Json* list = find_in(object, name);
  if (list == nullptr) return out;
  if (!list->is_array() || list->size() > static_cast<size_t>(kHeadDimMax))
    return wrong(name, "list of factors");
  for (const Json& element : *list) {
    LANTERN_ASSIGN(double number, as_real(element, name));
    out.push_back(static_cast<float>(number));
  }
  return out;
}

/// What stands in one rope object (rope_scaling of transformers 4, rope_parameters of 5).
Status read_rope_object(const Json& object, HfRope& rope) {
  if (!object.is_object()) return wrong("rope_parameters", "object");
  for (std::string_view name : {"type", "rope_type"})
    if (const Json* type = find_in(object, name)) {
      if (!type->is_string()) return wrong(name, "text");
      rope.type = type->get<std::string>();
    }
  std::optional<double> theta, partial;
  LANTERN_TRY(read_optional(object, "rope_theta", theta));
  LANTERN_TRY(read_optional(object, "partial_rotary_factor", partial));
  rope.theta = theta.value_or(rope.theta);
  rope.partial_rotary_factor = partial.value_or(rope.partial_rotary_factor);
  LANTERN_TRY(read_optional(object, "factor", rope.factor));
  LANTERN_TRY(read_optional(object, "attention_factor", rope.attention_factor));
  LANTERN_TRY(read_optional(object, "beta_fast", rope.beta_fast));
  LANTERN_TRY(read_optional(object, "beta_slow", rope.beta_slow));
  LANTERN_TRY(read_optional(object, "mscale", rope.mscale));
  LANTERN_TRY(read_optional(object, "mscale_all_dim", rope.mscale_all_dim));
  LANTERN_TRY(read_optional(object, "low_freq_factor", rope.low_freq_factor));
  LANTERN_TRY(read_optional(object, "high_freq_factor", rope.high_freq_factor));
  LANTERN_TRY(read_optional(object, "llama_4_scaling_beta", rope.llama_4_scaling_beta));
  LANTERN_TRY(read_optional(object, "original_max_position_embeddings", rope.n_context_original));
  LANTERN_ASSIGN(rope.short_factor, read_factors(object, "short_factor"));
  LANTERN_ASSIGN(rope.long_factor, read_factors(object, "long_factor"));
  const Json* rounding = find_in(object, "truncate");
  if (rounding != nullptr && *rounding == Json(false))
    return make_error(ErrorCode::kUnsupported,
                      "config.json: rope parameter truncate = false has no GGUF form");
  return {};
}

Status map_yarn(const HfRope& rope, MetadataWriter& keys) {
  if (!rope.n_context_original)
    return make_error(ErrorCode::kCorrupt,
                      "config.json: yarn rope without original_max_position_embeddings");
  keys.text("rope.scaling.type", "yarn");
  keys.real("rope.scaling.factor", rope.factor.value_or(1.0));
  if (rope.beta_fast) keys.real("rope.scaling.yarn_beta_fast", *rope.beta_fast);
  if (rope.beta_slow) keys.real("rope.scaling.yarn_beta_slow", *rope.beta_slow);
  double mscale = rope.mscale.value_or(0.0);
  double all_dim = rope.mscale_all_dim.value_or(0.0);
  if (rope.attention_factor) {
    keys.real("rope.scaling.yarn_attn_factor", *rope.attention_factor);
  } else if (mscale == 1.0 && all_dim != 0.0) {
    keys.real("rope.scaling.yarn_log_multiplier", all_dim);
  } else if (mscale != 0.0 && all_dim != 0.0) {
    double factor = rope.factor.value_or(1.0);
    keys.real("rope.scaling.yarn_attn_factor",
              yarn_magnitude(factor, mscale) / yarn_magnitude(factor, all_dim));
  }
  return {};
}

Status map_rope(const HfConfig& config, MetadataWriter& keys) {
  LANTERN_ASSIGN(HfRope rope, config.rope());
  LANTERN_ASSIGN(int64_t n_rot, config.n_rot());
  keys.integer("rope.dimension_count", n_rot);
  keys.real("rope.freq_base", rope.theta);
  LANTERN_ASSIGN(std::optional<double> local, config.local_theta());
  if (local) keys.real("rope.freq_base_swa", *local);
  if (rope.n_context_original)
    keys.integer("rope.scaling.original_context_length",
                 static_cast<int64_t>(*rope.n_context_original));
  if (rope.type == "yarn") return map_yarn(rope, keys);
  if (rope.type == "linear") {
    keys.text("rope.scaling.type", "linear");
    keys.real("rope.scaling.factor", rope.factor.value_or(1.0));
  } else if (rope.type == "longrope") {
    LANTERN_ASSIGN(int64_t n_context, config.integer("max_position_embeddings", 1, kContextMax));
    if (!rope.n_context_original || *rope.n_context_original < 2)
      return make_error(ErrorCode::kCorrupt,
                        "config.json: longrope without original_max_position_embeddings");
    double factor = rope.factor.value_or(static_cast<double>(n_context) / *rope.n_context_original);
    keys.text("rope.scaling.type", "longrope");
    keys.real("rope.scaling.attn_factor",
              rope.attention_factor.value_or(longrope_magnitude(factor, *rope.n_context_original)));
  } else if (rope.type != "default" && rope.type != "llama3") {
    return make_error(
        ErrorCode::kUnsupported,
        "config.json: rope type \"{}\" is none of default, linear, llama3, yarn, longrope",
        base::printable(rope.type, 80));
  }
  return {};
}

/// True for layers with a sliding window; empty where no layer has one.
Result<std::vector<bool>> read_window_layers(const HfConfig& config, const Spec& spec,
                                             int64_t n_layers) {
  std::vector<bool> out(static_cast<size_t>(n_layers), true);
  LANTERN_ASSIGN(bool enabled, config.boolean_or("use_sliding_window", true));
  if (!enabled || config.find("sliding_window") == nullptr) return std::vector<bool>{};
  if (const Json* types = config.find("layer_types")) {
    if (!types->is_array() || types->size() != out.size())
      return wrong("layer_types", "list of one entry per layer");
    for (size_t i = 0; i < out.size(); ++i) {
      bool windowed = (*types)[i] == Json("sliding_attention");
      if (!windowed && (*types)[i] != Json("full_attention"))
        return make_error(ErrorCode::kUnsupported,
                          "config.json: layer_types names a kind that is neither sliding_attention "
                          "nor full_attention");
      out[i] = windowed;
    }
    return out;
  }
  LANTERN_ASSIGN(int64_t period,
                 config.integer_or("sliding_window_pattern", 1, kLayersMax, spec.window_period));
  LANTERN_ASSIGN(int64_t first, config.integer_or("max_window_layers", 0, kContextMax, 0));
  for (int64_t i = 0; i < n_layers; ++i)
    out[static_cast<size_t>(i)] = i >= first && (period == 0 || i % period < period - 1);
  return out;
}

Status map_windows(const HfConfig& config, const Spec& spec, int64_t n_layers,
                   MetadataWriter& keys) {
  LANTERN_ASSIGN(std::vector<bool> windowed, read_window_layers(config, spec, n_layers));
  bool any = false;
  bool regular = true;  // as the architecture's readers assume without a pattern
  for (int64_t i = 0; i < std::ssize(windowed); ++i) {
    bool expected = spec.window_period == 0 || i % spec.window_period < spec.window_period - 1;
    any = any || windowed[static_cast<size_t>(i)];
    regular = regular && windowed[static_cast<size_t>(i)] == expected;
  }
  if (!any) {
    if (spec.window_default != 0) keys.integer("attention.sliding_window", 0);
    return {};
  }
  LANTERN_ASSIGN(int64_t window, config.integer("sliding_window", 1, kContextMax));
  keys.integer("attention.sliding_window", window);
  if (!regular) keys.booleans("attention.sliding_window_pattern", std::move(windowed));
  return {};
}

}  // namespace

Result<HfConfig> HfConfig::create(base::Json config) {
  if (!config.is_object()) return wrong("the file", "object");
  HfConfig out;
  const Json* names = find_in(config, "architectures");
  if (names == nullptr || !names->is_array() || names->empty() || !(*names)[0].is_string())
    return make_error(ErrorCode::kCorrupt, "config.json: architectures names no model class");
  out.architecture_ = (*names)[0].get<std::string>();
  if (const Json* quantization = find_in(config, "quantization_config")) {
    const Json* method = find_in(*quantization, "quant_method");
    return make_error(
        ErrorCode::kUnsupported,
        "config.json: weights quantized by {}; use the unquantized folder or a GGUF file",
        method != nullptr && method->is_string() ? method->get<std::string>()
                                                 : "an unknown method");
  }
  const Json* text = find_in(config, "text_config");
  out.multimodal_ = text != nullptr && text->is_object();
  if (find_in(config, "text_config") != nullptr && !out.multimodal_)
    return wrong("text_config", "object");
  out.config_ = std::move(config);
  return out;
}

Status HfConfig::set_defaults(std::string_view json) {
  LANTERN_ASSIGN(defaults_, base::parse_json(json, "an architecture's defaults"));
  return {};
}

const Json* HfConfig::find(std::string_view name) const {
  const std::string key(name);
  const Json* text = multimodal_ ? &*config_.find("text_config") : nullptr;
  for (const Json* object : {text, &config_, &defaults_})
    if (object != nullptr && object->is_object() && object->contains(key))
      return find_in(*object, name);
  return nullptr;
}

Result<int64_t> HfConfig::integer(std::string_view name, int64_t min, int64_t max) const {
  const Json* value = find(name);
  if (value == nullptr) return make_error(ErrorCode::kCorrupt, "config.json: {} is missing", name);
  if (!value->is_number_integer()) return wrong(name, "integer");
  bool fits = !value->is_number_unsigned() || value->get<uint64_t>() <= static_cast<uint64_t>(max);
  int64_t number = value->get<int64_t>();
  if (!fits || number < min || number > max)
    return make_error(ErrorCode::kCorrupt, "config.json: {} is not within [{}, {}]", name, min,
                      max);
  return number;
}

Result<int64_t> HfConfig::integer_or(std::string_view name, int64_t min, int64_t max,
                                     int64_t otherwise) const {
  if (find(name) == nullptr) return otherwise;
  return integer(name, min, max);
}

Result<double> HfConfig::real(std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) return make_error(ErrorCode::kCorrupt, "config.json: {} is missing", name);
  return as_real(*value, name);
}

Result<double> HfConfig::real_or(std::string_view name, double otherwise) const {
  if (find(name) == nullptr) return otherwise;
  return real(name);
}

Result<bool> HfConfig::boolean_or(std::string_view name, bool otherwise) const {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) return wrong(name, "boolean");
  return value->get<bool>();
}

Result<std::string> HfConfig::text_or(std::string_view name, std::string otherwise) const {
  const Json* value = find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_string()) return wrong(name, "text");
  return value->get<std::string>();
}

Result<int64_t> HfConfig::head_dim() const {
  LANTERN_ASSIGN(int64_t n_embd, integer("hidden_size", 1, kWidthMax));
  LANTERN_ASSIGN(int64_t n_heads, integer("num_attention_heads", 1, kHeadsMax));
  return integer_or("head_dim", 2, kHeadDimMax, n_embd / n_heads);
}

Result<HfRope> HfConfig::rope() const {
  HfRope rope;
  LANTERN_ASSIGN(rope.theta, real_or("rope_theta", rope.theta));
  LANTERN_ASSIGN(rope.partial_rotary_factor, real_or("partial_rotary_factor", 1.0));
  if (find("original_max_position_embeddings") != nullptr) {
    LANTERN_ASSIGN(double original, real("original_max_position_embeddings"));
    rope.n_context_original = original;
  }
  if (const Json* scaling = find("rope_scaling")) LANTERN_TRY(read_rope_object(*scaling, rope));
  if (const Json* parameters = find("rope_parameters")) {
    const Json* full = find_in(*parameters, "full_attention");
    LANTERN_TRY(read_rope_object(full != nullptr ? *full : *parameters, rope));
  }
  // Phi-3's first configurations called LongRoPE "su", and "yarn" too.
  if (rope.type == "su" || (rope.type == "yarn" && !rope.long_factor.empty()))
    rope.type = "longrope";
  if (!(rope.theta > 1.0 && rope.theta <= 1e18))
    return make_error(ErrorCode::kCorrupt, "config.json: rope_theta {} is not within (1, 1e18]",
                      rope.theta);
  if (rope.n_context_original &&
      !(*rope.n_context_original >= 1 && *rope.n_context_original <= double{kContextMax}))
    return wrong("original_max_position_embeddings", "length");
  return rope;
}

Result<int64_t> HfConfig::n_rot() const {
  LANTERN_ASSIGN(HfRope entry, rope());
  LANTERN_ASSIGN(int64_t dim, head_dim());
  if (!(entry.partial_rotary_factor > 0 && entry.partial_rotary_factor <= 1))
    return make_error(ErrorCode::kCorrupt,
                      "config.json: partial_rotary_factor is not within (0, 1]");
  return static_cast<int64_t>(static_cast<double>(dim) * entry.partial_rotary_factor);
}

Result<std::optional<double>> HfConfig::local_theta() const {
  if (const Json* parameters = find("rope_parameters")) {
    const Json* sliding = find_in(*parameters, "sliding_attention");
    if (sliding == nullptr) return std::optional<double>{};
    std::optional<double> theta;
    LANTERN_TRY(read_optional(*sliding, "rope_theta", theta));
    return theta;
  }
  if (find("rope_local_base_freq") == nullptr) return std::optional<double>{};
  LANTERN_ASSIGN(double theta, real("rope_local_base_freq"));
  return std::optional<double>(theta);
}

void MetadataWriter::integer(std::string_view name, int64_t value) {
  metadata_.set(fmt::format("{}.{}", architecture_, name), static_cast<uint64_t>(value));
}
void MetadataWriter::real(std::string_view name, double value) {
  metadata_.set(fmt::format("{}.{}", architecture_, name),
                static_cast<double>(static_cast<float>(value)));
}
void MetadataWriter::text(std::string_view name, std::string value) {
  metadata_.set(fmt::format("{}.{}", architecture_, name), std::move(value));
}
void MetadataWriter::boolean(std::string_view name, bool value) {
  metadata_.set(fmt::format("{}.{}", architecture_, name), value);
}
void MetadataWriter::booleans(std::string_view name, std::vector<bool> value) {
  metadata_.set(fmt::format("{}.{}", architecture_, name), std::move(value));
}

Status map_common(const Spec& spec, const HfConfig& config, MetadataWriter& keys) {
  LANTERN_ASSIGN(int64_t n_layers, config.integer("num_hidden_layers", 1, kLayersMax));
  LANTERN_ASSIGN(int64_t n_heads, config.integer("num_attention_heads", 1, kHeadsMax));
  LANTERN_ASSIGN(int64_t n_embd, config.integer("hidden_size", 1, kWidthMax));
  LANTERN_ASSIGN(int64_t n_kv_heads,
                 config.integer_or("num_key_value_heads", 1, kHeadsMax, n_heads));
  LANTERN_ASSIGN(int64_t n_ff, config.integer("intermediate_size", 0, kWidthMax));
  LANTERN_ASSIGN(int64_t n_context, config.integer("max_position_embeddings", 1, kContextMax));
  LANTERN_ASSIGN(int64_t n_vocab, config.integer("vocab_size", 1, kVocabMax));
  LANTERN_ASSIGN(int64_t head_dim, config.head_dim());
  const bool rms = spec.norm == NormKind::kRms;
  LANTERN_ASSIGN(double eps, config.real(rms ? "rms_norm_eps" : "layer_norm_eps"));
  std::string_view activation_key =
      config.find("hidden_activation") != nullptr ? "hidden_activation" : "hidden_act";
  LANTERN_ASSIGN(std::string activation,
                 config.text_or(activation_key, std::string(spec.hf_activation)));
  if (activation != spec.hf_activation)
    return make_error(ErrorCode::kUnsupported, "config.json: {} \"{}\", a {} model has \"{}\"",
                      activation_key, base::printable(activation, 80), spec.name,
                      spec.hf_activation);
  keys.integer("block_count", n_layers);
  keys.integer("context_length", n_context);
  keys.integer("embedding_length", n_embd);
  keys.integer("feed_forward_length", n_ff);
  keys.integer("attention.head_count", n_heads);
  keys.integer("attention.head_count_kv", n_kv_heads);
  keys.integer("attention.key_length", head_dim);
  keys.integer("attention.value_length", head_dim);
  keys.real(rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", eps);
  keys.integer("vocab_size", n_vocab);
  if (spec.positions == Positions::kRope) LANTERN_TRY(map_rope(config, keys));
  return map_windows(config, spec, n_layers, keys);
}

}  // namespace lantern::arch
