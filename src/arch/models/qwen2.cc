// Qwen 2 and 2.5: a Llama with biases on Q, K and V.
// Yang et al., Qwen2 Technical Report, 2024.
#include "arch/spec.h"

namespace lantern::arch {
namespace {

constexpr std::string_view kHfArchitectures[] = {"Qwen2ForCausalLM"};

}  // namespace

extern const Spec k_qwen2;
const Spec k_qwen2{
    .name = "qwen2",
    .requires_qkv_bias = true,
    .hf_architectures = kHfArchitectures,
};

}  // namespace lantern::arch
