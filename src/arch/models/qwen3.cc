// Qwen 3: norms on each head's queries and keys instead of Qwen 2's biases.
// Yang et al., Qwen3 Technical Report, 2025.
#include "arch/spec.h"

namespace lantern::arch {
namespace {

constexpr std::string_view kHfArchitectures[] = {"Qwen3ForCausalLM"};

Status read(const Keys&, HyperParameters& hyper) {
  hyper.qk_norm = true;
  return {};
}

}  // namespace

extern const Spec k_qwen3;
const Spec k_qwen3{
    .name = "qwen3",
    .read = read,
    .hf_architectures = kHfArchitectures,
};

}  // namespace lantern::arch
