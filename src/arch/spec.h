// A Spec is an architecture as data: its names, what its file says beyond the common keys,
// and how a Hugging Face folder of it reads. One file models/<name>.cc each; CMake collects
// them (registry.cmake). docs/adding-an-architecture.md walks through one.
#pragma once

#include <span>
#include <string_view>

#include "arch/hf_config.h"
#include "arch/hyper_parameters.h"
#include "base/result.h"
#include "format/metadata.h"

namespace lantern::arch {

/// The order of a head's dimensions in the GGUF file's Q and K rows. Lantern rotates pairs
/// (i, i + n_rot/2), as transformers does; files with adjacent pairs are reordered at load.
enum class QkOrder { kHalves, kAdjacentPairs };

/// A tensor's name in a Hugging Face folder and in GGUF; "{}" stands for the layer, and a second
/// one for the expert whose rows it holds.
struct TensorName {
  std::string_view hf;
  std::string_view gguf;
};

struct Spec {
  std::string_view name;  // GGUF's general.architecture
  QkOrder qk_order = QkOrder::kHalves;
  NormKind norm = NormKind::kRms;
  Positions positions = Positions::kRope;
  bool requires_qkv_bias = false;  // otherwise biases are used where the file has them
  /// Sliding windows where the file names no pattern: every window_period-th layer sees
  /// everything; 0: none does. window_default is the window where the file names none.
  int64_t window_period = 0;
  int64_t window_default = 0;

  /// Sets what the common keys (read_common) do not: the architecture's fixed traits and its
  /// own keys.
  Status (*read)(const Keys& keys, HyperParameters& hyper) = nullptr;

  /// Names of config.json's "architectures" entry.
  std::span<const std::string_view> hf_architectures = {};
  /// Adds the keys that map_common() does not.
  Status (*from_config)(const HfConfig& config, MetadataWriter& keys) = nullptr;
  /// Beside, and before, common_tensor_names().
  std::span<const TensorName> tensor_names = {};
  /// In front of tensor names where the model is a part of another class; left off.
  std::string_view hf_prefix = {};
  /// What tensors begin with that belong to heads nobody asks for.
  std::span<const std::string_view> hf_unused = {};
  std::string_view hf_activation = "silu";
  /// What the model class assumes where config.json says nothing: a JSON object. (text_config of
  /// a multimodal checkpoint holds only what differs from it.)
  std::string_view hf_defaults = "{}";
  /// Norm weights w mean 1 + w in transformers; GGUF files hold the sum.
  bool hf_norm_plus_one = false;
};

std::span<const Spec* const> all_specs();

/// The names that nearly every decoder's folder has.
std::span<const TensorName> common_tensor_names();

/// kUnsupported, with the list of what there is.
Result<const Spec*> find_spec(std::string_view architecture);
Result<const Spec*> find_spec_for_hf(std::string_view hf_architecture);

/// The hyper-parameters of a model by its metadata (general.architecture and that architecture's
/// keys), all within limits. Errors: kCorrupt naming the key, kUnsupported.
Result<HyperParameters> read_hyper_parameters(const Spec& spec, const format::Metadata& metadata);

}  // namespace lantern::arch
