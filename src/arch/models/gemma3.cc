// Gemma 3: Gemma 2 with norms of queries and keys instead of soft caps, five layers with a sliding
// window (and a theta of their own) to one that sees everything.
// Gemma Team, Gemma 3 Technical Report, 2025.
#include <cmath>

#include "arch/spec.h"

namespace lantern::arch {
namespace {

constexpr std::string_view kHfArchitectures[] = {"Gemma3ForCausalLM",
                                                 "Gemma3ForConditionalGeneration"};

constexpr TensorName kTensorNames[] = {
    {"model.layers.{}.post_attention_layernorm.weight", "blk.{}.post_attention_norm.weight"},
    {"model.layers.{}.pre_feedforward_layernorm.weight", "blk.{}.ffn_norm.weight"},
    {"model.layers.{}.post_feedforward_layernorm.weight", "blk.{}.post_ffw_norm.weight"},
};

Status read(const Keys& keys, HyperParameters& hyper) {
  hyper.activation = kernels::Activation::kGeluTanh;
  hyper.qk_norm = true;
  hyper.post_norms = true;
  hyper.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(hyper.n_embd)));
  LANTERN_ASSIGN(double logits, keys.real_or("final_logit_softcapping", 0.0, 1e6, 0.0));
  LANTERN_ASSIGN(double scores, keys.real_or("attn_logit_softcapping", 0.0, 1e6, 0.0));
  hyper.logit_softcap = static_cast<float>(logits);
  hyper.attention_softcap = static_cast<float>(scores);
  LANTERN_ASSIGN(hyper.rope.theta_local,
                 keys.real_or("rope.freq_base_swa", 1.0 + 1e-6, 1e18, 10000.0));
  for (LayerParameters& layer : hyper.layers) layer.rope_local = layer.window != 0;
  // The 27B model alone scales scores by n_embd / n_heads; files without the key are told by
  // their depth.
  if (!keys.has("attention.scale") && hyper.layers.size() == 62)
    hyper.attention_scale =
        static_cast<float>(1.0 / std::sqrt(static_cast<double>(hyper.n_embd) /
                                           static_cast<double>(hyper.layers[0].n_heads)));
  return {};
}

Status from_config(const HfConfig& config, MetadataWriter& keys) {
  LANTERN_ASSIGN(double logits, config.real_or("final_logit_softcapping", 0.0));
  LANTERN_ASSIGN(double scores, config.real_or("attn_logit_softcapping", 0.0));
  if (logits != 0.0) keys.real("final_logit_softcapping", logits);
  if (scores != 0.0) keys.real("attn_logit_softcapping", scores);
  LANTERN_ASSIGN(int64_t scalar, config.integer("query_pre_attn_scalar", 1, kWidthMax));
  keys.real("attention.scale", 1.0 / std::sqrt(static_cast<double>(scalar)));
  return {};
}

}  // namespace

extern const Spec k_gemma3;
const Spec k_gemma3{
    .name = "gemma3",
    .window_period = 6,
    .read = read,
    .hf_architectures = kHfArchitectures,
    .from_config = from_config,
    .tensor_names = kTensorNames,
    .hf_activation = "gelu_pytorch_tanh",
    .hf_defaults = R"({"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
                       "rms_norm_eps": 1e-06, "max_position_embeddings": 131072,
                       "vocab_size": 262208, "query_pre_attn_scalar": 256,
                       "sliding_window": 4096, "rope_theta": 1000000.0})",
    .hf_norm_plus_one = true,
};

}  // namespace lantern::arch
