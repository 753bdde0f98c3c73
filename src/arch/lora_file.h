// What a LoRA adapter's file says, read without its weights: which matrices of the model it
// changes, with which pair of tensors, and by how much.
//
//   GGUF   general.type "adapter", adapter.type "lora", adapter.lora.alpha, tensors
//          blk.N.attn_q.weight.lora_a [rank, in] and .lora_b [out, rank], rows in the order of the
//          architecture's GGUF files
//   PEFT   adapter_config.json, tensors base_model.model.model.layers.N.self_attn.q_proj
//          .lora_A.weight and .lora_B.weight, rows as transformers has them
//
// y = W x + s B A x with s = alpha / rank (Hu et al., LoRA, 2021) or, rank-stabilized, alpha /
// sqrt(rank) (Kalajdzievski, 2023). A GGUF file has no room for the second: who writes one puts
// alpha * sqrt(rank) there. As llama.cpp reads the format, an alpha of 0 means s = 1.
//
// What would make another function of it (DoRA, biases, whole modules, activated adapters,
// initializations that change the model's own weights) is kUnsupported by its name: an answer
// without it would be a wrong one. So is a key of adapter_config.json that nothing is known of,
// unless it says nothing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arch/spec.h"
#include "base/result.h"
#include "format/checkpoint.h"

namespace lantern::arch {

/// Published adapters have ranks of 4 to 512.
inline constexpr int64_t kLoraRankMax = 4096;

struct LoraPart {
  std::string target;                 // the matrix, by its GGUF name: "blk.3.attn_q.weight"
  const format::Tensor* a = nullptr;  // [rank, in]
  const format::Tensor* b = nullptr;  // [out, rank]
  double scale = 1.0;
};

struct LoraFile {
  /// Whether rows of queries and keys stand as the architecture's GGUF files have them (QkOrder);
  /// otherwise in halves.
  bool rows_as_in_gguf = false;
  std::vector<LoraPart> parts;  // by target, each once
};

/// Whether the checkpoint is an adapter of either kind, rather than a model.
bool is_adapter(const format::Checkpoint& checkpoint);

/// Of an adapter that is for a model of architecture `spec`. The parts point into `checkpoint`.
/// Errors name the file and the key or tensor: kInvalidArgument for a model in the place of an
/// adapter, and for one of another architecture; kCorrupt, kUnsupported.
Result<LoraFile> read_lora_file(const format::Checkpoint& checkpoint, const Spec& spec);

}  // namespace lantern::arch
