#include "arch/spec.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/printable.h"

namespace lantern::arch {

std::span<const TensorName> common_tensor_names() {
  static constexpr TensorName kNames[] = {
      {"model.embed_tokens.weight", "token_embd.weight"},
      {"model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "output.weight"},
      {"model.layers.{}.input_layernorm.weight", "blk.{}.attn_norm.weight"},
      {"model.layers.{}.self_attn.q_proj.weight", "blk.{}.attn_q.weight"},
      {"model.layers.{}.self_attn.k_proj.weight", "blk.{}.attn_k.weight"},
      {"model.layers.{}.self_attn.v_proj.weight", "blk.{}.attn_v.weight"},
      {"model.layers.{}.self_attn.o_proj.weight", "blk.{}.attn_output.weight"},
      {"model.layers.{}.self_attn.q_proj.bias", "blk.{}.attn_q.bias"},
      {"model.layers.{}.self_attn.k_proj.bias", "blk.{}.attn_k.bias"},
      {"model.layers.{}.self_attn.v_proj.bias", "blk.{}.attn_v.bias"},
      {"model.layers.{}.self_attn.o_proj.bias", "blk.{}.attn_output.bias"},
      {"model.layers.{}.self_attn.q_norm.weight", "blk.{}.attn_q_norm.weight"},
      {"model.layers.{}.self_attn.k_norm.weight", "blk.{}.attn_k_norm.weight"},
      {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.ffn_norm.weight"},
      {"model.layers.{}.mlp.gate_proj.weight", "blk.{}.ffn_gate.weight"},
      {"model.layers.{}.mlp.up_proj.weight", "blk.{}.ffn_up.weight"},
      {"model.layers.{}.mlp.down_proj.weight", "blk.{}.ffn_down.weight"},
      {"model.layers.{}.mlp.gate_proj.bias", "blk.{}.ffn_gate.bias"},
      {"model.layers.{}.mlp.up_proj.bias", "blk.{}.ffn_up.bias"},
      {"model.layers.{}.mlp.down_proj.bias", "blk.{}.ffn_down.bias"},
  };
  return kNames;
}

Result<const Spec*> find_spec(std::string_view architecture) {
  std::vector<std::string_view> names;
  for (const Spec* spec : all_specs()) {
    if (spec->name == architecture) return spec;
    names.push_back(spec->name);
  }
  return make_error(ErrorCode::kUnsupported,
                    "metadata key general.architecture: \"{}\" is none of {}",
                    base::printable(architecture, 80), fmt::join(names, ", "));
}

Result<const Spec*> find_spec_for_hf(std::string_view hf_architecture) {
  std::vector<std::string_view> names;
  for (const Spec* spec : all_specs()) {
    if (std::ranges::count(spec->hf_architectures, hf_architecture) != 0) return spec;
    names.insert(names.end(), spec->hf_architectures.begin(), spec->hf_architectures.end());
  }
  return make_error(ErrorCode::kUnsupported, "config.json: architecture \"{}\" is none of {}",
                    base::printable(hf_architecture, 80), fmt::join(names, ", "));
}

Result<HyperParameters> read_hyper_parameters(const Spec& spec, const format::Metadata& metadata) {
  Keys keys(metadata, spec.name);
  LANTERN_ASSIGN(HyperParameters hyper, read_common(keys, spec));
  LANTERN_ASSIGN(int64_t window,
                 keys.integer_or("attention.sliding_window", 0, kContextMax, spec.window_default));
  LANTERN_ASSIGN(std::vector<bool> pattern,
                 keys.window_pattern("attention.sliding_window_pattern", std::ssize(hyper.layers),
                                     spec.window_period));
  set_windows(hyper, window, pattern);
  if (spec.read != nullptr) LANTERN_TRY(spec.read(keys, hyper));
  LANTERN_TRY(check(hyper, keys));
  if (spec.qk_order == QkOrder::kAdjacentPairs && hyper.rope.n_rot != hyper.head_dim)
    return make_error(ErrorCode::kUnsupported,
                      "metadata key {}: {} models rotate whole heads of {} dimensions, not {}",
                      keys.key("rope.dimension_count"), spec.name, hyper.head_dim,
                      hyper.rope.n_rot);
  return hyper;
}

}  // namespace lantern::arch
