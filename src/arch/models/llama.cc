// Llama 1 to 3.x, SmolLM, and Mistral up to 7B v0.3, whose GGUF files say llama too (a sliding
// window where the file has one).
// Touvron et al., LLaMA, 2023; Dubey et al., The Llama 3 Herd of Models, 2024; Jiang et al.,
// Mistral 7B, 2023.
#include "arch/spec.h"

namespace lantern::arch {
namespace {

constexpr std::string_view kHfArchitectures[] = {"LlamaForCausalLM", "MistralForCausalLM"};

Status read(const Keys& keys, HyperParameters& hyper) {
  // Mixtral's files say llama too: its router's softmax is over the chosen experts alone.
  LANTERN_ASSIGN(hyper.expert_weights_norm, keys.boolean_or("expert_weights_norm", true));
  return {};
}

}  // namespace

extern const Spec k_llama;
const Spec k_llama{
    .name = "llama",
    .qk_order = QkOrder::kAdjacentPairs,
    .read = read,
    .hf_architectures = kHfArchitectures,
};

}  // namespace lantern::arch
