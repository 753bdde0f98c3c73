// Low-rank changes to a model's matrices, kept beside them and added at run time:
//
//   y = (W x + bias) + B (s (A x))
//
// THE BITS. A and B are float32 matrices of the kernels' (matrix.h: one fused multiply-add per
// column, in order, from +0), s (A x) is rounded once per element, and the sum is one addition per
// element, behind W's own bias. Every step of it treats a row by itself, so that an answer does not
// depend on what else is in the batch, nor on the adapters of the others; a row without an adapter
// is not touched.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "arch/model.h"
#include "arch/network.h"
#include "arch/spec.h"
#include "base/result.h"
#include "format/admitted_model.h"
#include "kernels/matrix.h"

namespace lantern::arch {

/// A change to one matrix [out, in].
struct LowRank {
  kernels::Matrix a;   // [rank, in]
  kernels::Matrix b;   // [out, rank]
  float scale = 1.0f;  // s
};

/// The matrices of a layer that may be changed.
enum class LoraTarget { kQ, kK, kV, kOutput, kGate, kUp, kDown };
inline constexpr size_t kNLoraTargets = 7;

/// Null: not changed.
struct LayerChanges {
  std::array<std::unique_ptr<LowRank>, kNLoraTargets> changes;

  [[nodiscard]] const LowRank* find(LoraTarget target) const {
    return changes[static_cast<size_t>(target)].get();
  }
};

struct LoraWeights {
  const Network* network = nullptr;                  // the model's, which outlives it
  std::shared_ptr<const format::Standing> standing;  // asked before each layer
  std::vector<LayerChanges> layers;
  uint64_t bytes = 0;  // memory held
};

struct LoraOptions {
  double scale = 1.0;  // on top of the file's own, finite
};

/// Errors: read_lora_file()'s; kInvalidArgument for shapes that are not this model's; kUnsupported
/// for matrices that cannot be changed here (embeddings, the head, experts), each by name;
/// kExhausted memory.
Result<LoraWeights> load_lora(const format::AdmittedModel& adapter, const Network& network,
                              const Spec& spec, const LoraOptions& options);

struct Adapter::Impl {
  LoraWeights weights;
};

/// A product whose result an adapter changes: y [rows, out], `y_stride` floats from row to row.
struct ChangedProduct {
  LoraTarget target = LoraTarget::kQ;
  float* y = nullptr;
  int64_t y_stride = 0;
};

/// Scratch memory of add_changes().
struct LoraScratch {
  kernels::Activations x, inner;
  std::vector<int32_t> rows;
  std::vector<float> low, added;  // [rows, rank] of each change, [rows, out]
  std::vector<kernels::Product> products;
};

/// Adds a layer's changes to the results `changed` of the same input x [n, k], in the given rows of
/// x and y (ascending).
void add_changes(const kernels::Context& context, const LayerChanges& layer,
                 std::span<const int32_t> rows, const float* x, int64_t n, int64_t k,
                 std::span<const ChangedProduct> changed, LoraScratch& scratch);

}  // namespace lantern::arch
