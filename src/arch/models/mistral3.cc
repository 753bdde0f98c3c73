// Mistral Small 3.1 and Ministral 3: a Llama whose long contexts come from YaRN and a temperature
// on the queries that grows with the position.
#include "arch/spec.h"

namespace lantern::arch {
namespace {

constexpr std::string_view kHfArchitectures[] = {"Mistral3ForConditionalGeneration",
                                                 "Ministral3ForCausalLM"};

Status read(const Keys& keys, HyperParameters& hyper) {
  LANTERN_ASSIGN(double scale, keys.real_or("attention.temperature_scale", 0.0, 1e3, 0.0));
  hyper.temperature_scale = static_cast<float>(scale);
  if (scale != 0.0 && hyper.rope.n_context_original == 0)
    return make_error(
        ErrorCode::kCorrupt, "metadata key {} is missing, and {} needs it: the file is incomplete",
        keys.key("rope.scaling.original_context_length"), keys.key("attention.temperature_scale"));
  return {};
}

Status from_config(const HfConfig& config, MetadataWriter& keys) {
  LANTERN_ASSIGN(HfRope rope, config.rope());
  if (rope.llama_4_scaling_beta)
    keys.real("attention.temperature_scale", *rope.llama_4_scaling_beta);
  return {};
}

}  // namespace

extern const Spec k_mistral3;
const Spec k_mistral3{
    .name = "mistral3",
    .qk_order = QkOrder::kAdjacentPairs,
    .read = read,
    .hf_architectures = kHfArchitectures,
    .from_config = from_config,
    .hf_defaults = R"({"num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05,
                       "head_dim": 128, "vocab_size": 131072})",
};

}  // namespace lantern::arch
