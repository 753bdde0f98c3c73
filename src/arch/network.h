// A loaded model: hyper-parameters, weights in the kernels' layout, rope's frequencies.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arch/hyper_parameters.h"
#include "format/admitted_model.h"
#include "kernels/matrix.h"

namespace lantern::arch {

/// Vectors that a model does not have are empty, matrices nothing, and are not asked.
struct LayerWeights {
  std::vector<float> attn_norm;                                  // [n_embd]
  std::vector<float> attn_post_norm;                             // [n_embd]
  std::vector<float> ffn_norm;                                   // [n_embd]
  std::vector<float> ffn_post_norm;                              // [n_embd]
  std::vector<float> q_norm, k_norm;                             // [head_dim]
  std::vector<float> attn_output_norm, attn_output_norm_bias;    // [n_embd]
  std::vector<float> layer_output_norm, layer_output_norm_bias;  // [n_embd]

  kernels::Matrix q;               // [n_heads * head_dim, n_embd]
  kernels::Matrix k;               // [n_kv_heads * head_dim, n_embd]
  kernels::Matrix v;               // [n_kv_heads * value_dim, n_embd]
  kernels::Matrix output;          // [n_embd, n_heads * value_dim]
  std::vector<float> qkv_bias;     // q's, k's and v's, one after the other
  std::vector<float> output_bias;  // [n_embd]

  kernels::Matrix gate, up;  // [n_ff, n_embd]
  kernels::Matrix down;      // [n_embd, n_ff]
  std::vector<float> gate_bias, up_bias, down_bias;

  kernels::Matrix router;                               // [n_experts, n_embd]
  std::vector<kernels::Matrix> expert_gate, expert_up;  // each [n_ff_expert, n_embd]
  std::vector<kernels::Matrix> expert_down;             // each [n_embd, n_ff_expert]

  [[nodiscard]] bool has_experts() const { return !expert_gate.empty(); }
};

/// Inverse frequencies [n_rot / 2] of each kind of layer; `global_long` where LongRoPE has a
/// second set for sequences planned past the original context.
struct RopeFrequencies {
  std::vector<float> global, global_long, local;
};

struct Network {
  std::shared_ptr<const format::Standing> standing;  // asked before each layer
  HyperParameters hyper;
  int64_t n_vocab = 0;
  kernels::Matrix embedding;    // [n_vocab, n_embd]
  kernels::Matrix untied_head;  // [n_vocab, n_embd]; nothing where the embedding serves
  bool tied = true;
  std::vector<float> output_norm;  // [n_embd]; none in an encoder
  kernels::Matrix positions;       // [n_context_train, n_embd], where they are learned
  std::vector<float> token_type;   // [n_embd], of the first type, where there are types
  std::vector<float> embedding_norm, embedding_norm_bias;  // [n_embd]
  std::vector<LayerWeights> layers;
  RopeFrequencies rope;
  uint64_t bytes = 0;                // memory held by weights
  std::vector<std::string> notices;  // what a person should know: tensors that nothing uses

  [[nodiscard]] const kernels::Matrix& head() const { return tied ? embedding : untied_head; }
};

}  // namespace lantern::arch
