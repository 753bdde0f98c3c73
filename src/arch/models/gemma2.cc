// Gemma 2: norms before and after each block, soft caps on scores and logits, a sliding window in
// every other layer, embeddings scaled by sqrt(n_embd).
// Gemma Team, Gemma 2: Improving Open Language Models at a Practical Size, 2024.
#include <cmath>

#include "arch/spec.h"

namespace lantern::arch {
namespace {

constexpr std::string_view kHfArchitectures[] = {"Gemma2ForCausalLM"};

constexpr TensorName kTensorNames[] = {
    {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.post_attention_norm.weight"},
    {"model.layers.{}.pre_feedforward_layernorm.weight", "blk.{}.ffn_norm.weight"},
    {"model.layers.{}.post_feedforward_layernorm.weight", "blk.{}.post_ffw_norm.weight"},
};

Status read(const Keys& keys, HyperParameters& hyper) {
  hyper.activation = kernels::Activation::kGeluTanh;
  hyper.post_norms = true;
  hyper.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(hyper.n_embd)));
  LANTERN_ASSIGN(double scores, keys.real_or("attn_logit_softcapping", 0.0, 1e6, 50.0));
  LANTERN_ASSIGN(double logits, keys.real_or("final_logit_softcapping", 0.0, 1e6, 30.0));
  hyper.attention_softcap = static_cast<float>(scores);
  hyper.logit_softcap = static_cast<float>(logits);
  // The 27B model alone scales scores by n_embd / n_heads; files without the key are told by
  // their depth.
  if (!keys.has("attention.scale") && hyper.layers.size() == 46)
    hyper.attention_scale =
        static_cast<float>(1.0 / std::sqrt(static_cast<double>(hyper.n_embd) /
                                           static_cast<double>(hyper.layers[0].n_heads)));
  return {};
}

Status from_config(const HfConfig& config, MetadataWriter& keys) {
  LANTERN_ASSIGN(double scores, config.real_or("attn_logit_softcapping", 0.0));
  LANTERN_ASSIGN(double logits, config.real_or("final_logit_softcapping", 0.0));
  keys.real("attn_logit_softcapping", scores);
  keys.real("final_logit_softcapping", logits);
  LANTERN_ASSIGN(int64_t scalar, config.integer("query_pre_attn_scalar", 1, kWidthMax));
  keys.real("attention.scale", 1.0 / std::sqrt(static_cast<double>(scalar)));
  return {};
}

}  // namespace

extern const Spec k_gemma2;
const Spec k_gemma2{
    .name = "gemma2",
    .window_period = 2,
    .window_default = 4096,
    .read = read,
    .hf_architectures = kHfArchitectures,
    .from_config = from_config,
    .tensor_names = kTensorNames,
    .hf_activation = "gelu_pytorch_tanh",
    .hf_defaults = R"({"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0})",
    .hf_norm_plus_one = true,
};

}  // namespace lantern::arch
