// Qwen 3 with experts: a softmax over all experts' scores, the best few weighted to sum to 1.
// Yang et al., Qwen3 Technical Report, 2025.
#include "arch/spec.h"

namespace lantern::arch {
namespace {

constexpr std::string_view kHfArchitectures[] = {"Qwen3MoeForCausalLM"};

constexpr TensorName kTensorNames[] = {
    {"model.layers.{}.mlp.gate.weight", "blk.{}.ffn_gate_inp.weight"},
    {"model.layers.{}.mlp.experts.{}.gate_proj.weight", "blk.{}.ffn_gate_exps.weight"},
    {"model.layers.{}.mlp.experts.{}.up_proj.weight", "blk.{}.ffn_up_exps.weight"},
    {"model.layers.{}.mlp.experts.{}.down_proj.weight", "blk.{}.ffn_down_exps.weight"},
    {"model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.ffn_gate_up_exps.weight"},
    {"model.layers.{}.mlp.experts.down_proj", "blk.{}.ffn_down_exps.weight"},
};

Status read(const Keys& keys, HyperParameters& hyper) {
  hyper.qk_norm = true;
  // Every published Qwen 3 does so, and converters leave the key out.
  LANTERN_ASSIGN(hyper.expert_weights_norm, keys.boolean_or("expert_weights_norm", true));
  if (hyper.n_experts == 0)
    return make_error(ErrorCode::kCorrupt, "metadata key {}: a model of experts needs at least one",
                      keys.key("expert_count"));
  return {};
}

Status from_config(const HfConfig& config, MetadataWriter& keys) {
  // transformers 4 and 5 call it differently.
  std::string_view count =
      config.find("num_experts") != nullptr ? "num_experts" : "num_local_experts";
  LANTERN_ASSIGN(int64_t n_experts, config.integer(count, 1, kExpertsMax));
  LANTERN_ASSIGN(int64_t n_used, config.integer("num_experts_per_tok", 1, n_experts));
  LANTERN_ASSIGN(int64_t n_ff, config.integer("moe_intermediate_size", 1, kWidthMax));
  LANTERN_ASSIGN(bool norm, config.boolean_or("norm_topk_prob", false));
  keys.integer("expert_count", n_experts);
  keys.integer("expert_used_count", n_used);
  keys.integer("expert_feed_forward_length", n_ff);
  keys.boolean("expert_weights_norm", norm);
  return {};
}

}  // namespace

extern const Spec k_qwen3moe;
const Spec k_qwen3moe{
    .name = "qwen3moe",
    .read = read,
    .hf_architectures = kHfArchitectures,
    .from_config = from_config,
    .tensor_names = kTensorNames,
};

}  // namespace lantern::arch
