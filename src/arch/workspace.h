// What a step needs beside the weights. Buffers grow to the largest step seen and stay, so that
// decoding allocates nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "arch/lora.h"
#include "arch/model.h"
#include "kernels/matrix.h"
#include "kernels/ops.h"

namespace lantern::arch {

/// Memory for at least n elements; contents are whatever was there.
template <typename T>
T* room(std::vector<T>& buffer, int64_t n) {
  if (buffer.size() < static_cast<size_t>(n)) buffer.resize(static_cast<size_t>(n));
  return buffer.data();
}

/// A mixture of experts' own part of the workspace.
struct ExpertScratch {
  std::vector<float> scores;    // [n_tokens, n_experts]
  std::vector<int32_t> chosen;  // [n_tokens, n_used], best first
  std::vector<float> weights;   // [n_tokens, n_used]
  std::vector<int32_t> tokens;  // [n_tokens * n_used], an expert's tokens together
  std::vector<int32_t> slots;   // [n_tokens, n_used]: where in `tokens` the choice stands
  std::vector<int64_t> begins;  // [n_experts + 1] into `tokens`
  std::vector<float> gate, up;  // [tokens of one expert, n_ff_expert]
  std::vector<float> outputs;   // [n_tokens * n_used, n_embd]
  std::vector<kernels::Product> products;
  kernels::Activations activations;
};

/// The rows of a step whose sequences run with one adapter, of those that are still computed.
struct AdaptedRows {
  const LoraWeights* adapter = nullptr;
  std::vector<int32_t> rows;  // ascending
};

struct Workspace::Impl {
  std::vector<float> residual;  // [n_tokens, n_embd]
  std::vector<float> normed;    // [n_tokens, n_embd]
  std::vector<float> q, k, v;   // [n_tokens, heads * dim]; q alone holds all three where one
                                // product's rows lie side by side (see transformer.cc)
  std::vector<float> attended;  // [n_tokens, n_heads * value_dim]
  std::vector<float> block;     // [n_tokens, n_embd], what a block adds
  std::vector<float> gate, up;  // [n_tokens, n_ff]
  std::vector<float> logits;    // [rows of one slice, n_vocab]
  std::vector<int32_t> positions;
  std::vector<float> temperatures;                                // [n_tokens]
  std::vector<float> cosines, sines, local_cosines, local_sines;  // [n_tokens, n_rot / 2]
  std::vector<int64_t> wanted;                                    // rows whose logits are wanted
  std::vector<float*> destinations;                               // of those
  std::vector<kernels::AttentionSequence> sequences;
  kernels::Activations activations, ff_activations;
  ExpertScratch experts;
  std::vector<AdaptedRows> adapted;  // the first n_adapted of them
  size_t n_adapted = 0;
  LoraScratch lora;
};

}  // namespace lantern::arch
