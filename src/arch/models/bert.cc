// BERT: an encoder. Tokens see those before and after them, positions are learned vectors, norms
// (with mean and bias) stand behind each block, the feed-forward has no gate. Its states are pooled
// into embeddings; a head that writes is not kept.
// Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers, 2019.
#include "arch/spec.h"

namespace lantern::arch {
namespace {

constexpr std::string_view kHfArchitectures[] = {"BertModel", "BertForMaskedLM",
                                                 "BertForPreTraining"};

constexpr TensorName kTensorNames[] = {
    {"embeddings.word_embeddings.weight", "token_embd.weight"},
    {"embeddings.position_embeddings.weight", "position_embd.weight"},
    {"embeddings.token_type_embeddings.weight", "token_types.weight"},
    {"embeddings.LayerNorm.weight", "token_embd_norm.weight"},
    {"embeddings.LayerNorm.bias", "token_embd_norm.bias"},
    {"encoder.layer.{}.attention.self.query.weight", "blk.{}.attn_q.weight"},
    {"encoder.layer.{}.attention.self.query.bias", "blk.{}.attn_q.bias"},
    {"encoder.layer.{}.attention.self.key.weight", "blk.{}.attn_k.weight"},
    {"encoder.layer.{}.attention.self.key.bias", "blk.{}.attn_k.bias"},
    {"encoder.layer.{}.attention.self.value.weight", "blk.{}.attn_v.weight"},
    {"encoder.layer.{}.attention.self.value.bias", "blk.{}.attn_v.bias"},
    {"encoder.layer.{}.attention.output.dense.weight", "blk.{}.attn_output.weight"},
    {"encoder.layer.{}.attention.output.dense.bias", "blk.{}.attn_output.bias"},
    {"encoder.layer.{}.attention.output.LayerNorm.weight", "blk.{}.attn_output_norm.weight"},
    {"encoder.layer.{}.attention.output.LayerNorm.bias", "blk.{}.attn_output_norm.bias"},
    {"encoder.layer.{}.intermediate.dense.weight", "blk.{}.ffn_up.weight"},
    {"encoder.layer.{}.intermediate.dense.bias", "blk.{}.ffn_up.bias"},
    {"encoder.layer.{}.output.dense.weight", "blk.{}.ffn_down.weight"},
    {"encoder.layer.{}.output.dense.bias", "blk.{}.ffn_down.bias"},
    {"encoder.layer.{}.output.LayerNorm.weight", "blk.{}.layer_output_norm.weight"},
    {"encoder.layer.{}.output.LayerNorm.bias", "blk.{}.layer_output_norm.bias"},
    // As the first checkpoints call them.
    {"embeddings.LayerNorm.gamma", "token_embd_norm.weight"},
    {"embeddings.LayerNorm.beta", "token_embd_norm.bias"},
    {"encoder.layer.{}.attention.output.LayerNorm.gamma", "blk.{}.attn_output_norm.weight"},
    {"encoder.layer.{}.attention.output.LayerNorm.beta", "blk.{}.attn_output_norm.bias"},
    {"encoder.layer.{}.output.LayerNorm.gamma", "blk.{}.layer_output_norm.weight"},
    {"encoder.layer.{}.output.LayerNorm.beta", "blk.{}.layer_output_norm.bias"},
};

constexpr std::string_view kUnused[] = {"pooler.", "cls.", "embeddings.position_ids"};

Status read(const Keys& keys, HyperParameters& hyper) {
  hyper.activation = kernels::Activation::kGeluErf;
  hyper.is_encoder = true;
  hyper.gated = false;
  hyper.output_norms = true;
  LANTERN_ASSIGN(const bool causal, keys.boolean_or("attention.causal", false));
  if (causal)
    return make_error(ErrorCode::kUnsupported,
                      "metadata key {}: a BERT that sees earlier tokens alone is not supported",
                      keys.key("attention.causal"));
  return {};
}

Status from_config(const HfConfig& config, MetadataWriter& keys) {
  LANTERN_ASSIGN(const std::string positions,
                 config.text_or("position_embedding_type", "absolute"));
  if (positions != "absolute")
    return make_error(ErrorCode::kUnsupported,
                      "config.json: position_embedding_type \"{}\" is not \"absolute\"", positions);
  LANTERN_ASSIGN(const bool decodes, config.boolean_or("is_decoder", false));
  if (decodes)
    return make_error(ErrorCode::kUnsupported, "config.json: is_decoder: only encoders are read");
  keys.boolean("attention.causal", false);
  return {};
}

}  // namespace

extern const Spec k_bert;
const Spec k_bert{
    .name = "bert",
    .norm = NormKind::kLayer,
    .positions = Positions::kLearned,
    .requires_qkv_bias = true,
    .read = read,
    .hf_architectures = kHfArchitectures,
    .from_config = from_config,
    .tensor_names = kTensorNames,
    .hf_prefix = "bert.",
    .hf_unused = kUnused,
    .hf_activation = "gelu",
    .hf_defaults = R"({"layer_norm_eps": 1e-12})",
};

}  // namespace lantern::arch
