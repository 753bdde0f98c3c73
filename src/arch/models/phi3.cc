// Phi 3, 3.5 and 4: fused projections, LongRoPE (tensors rope_factors_long and _short).
// Abdin et al., Phi-3 Technical Report, 2024; Ding et al., LongRoPE, 2024.
#include "arch/spec.h"

namespace lantern::arch {
namespace {

constexpr std::string_view kHfArchitectures[] = {"Phi3ForCausalLM"};

constexpr TensorName kTensorNames[] = {
    {"model.layers.{}.self_attn.qkv_proj.weight", "blk.{}.attn_qkv.weight"},
    {"model.layers.{}.mlp.gate_up_proj.weight", "blk.{}.ffn_up.weight"},
};

}  // namespace

extern const Spec k_phi3;
const Spec k_phi3{
    .name = "phi3",
    .hf_architectures = kHfArchitectures,
    .tensor_names = kTensorNames,
};

}  // namespace lantern::arch
