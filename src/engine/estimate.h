// `lantern fit`: what a model costs, from its header alone, and how fast this machine would
// run it. No weights are read and no digest is needed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arch/model.h"
#include "base/result.h"
#include "format/checkpoint.h"
#include "kernels/isa.h"
#include "kernels/ops.h"
#include "quant/dtype.h"

namespace lantern::engine {

struct ModelCost {
  std::string architecture;
  int64_t n_layers = 0;
  int64_t n_context_train = 0;
  uint64_t n_parameters = 0;
  uint64_t weight_bytes = 0;  // held in memory: the tensors' bytes
  /// Read for each token that is decoded: all weights, of an embedding that is not the head too one
  /// row, of experts those that are used.
  uint64_t bytes_per_token = 0;
  /// Multiplications and additions in matrix products: of a prompt's token (the head is only
  /// needed for the last), and of a decoded one.
  double prefill_operations_per_token = 0;
  double decode_operations_per_token = 0;
  /// Attention's share for each position that is in the cache.
  double operations_per_position = 0;
  quant::DType main_type = quant::DType::kF32;  // that most of the bytes are in
  bool is_made_to_embed = false;
  std::vector<arch::ModelInfo::Layer> layers;

  /// Bytes of a cache of `n` positions. kUnsupported where the type does not fit the widths.
  [[nodiscard]] Result<uint64_t> kv_bytes(kernels::KvType type, int64_t n) const;
  /// Weights, cache and what it takes to work (kScratchBytes).
  [[nodiscard]] Result<uint64_t> memory_bytes(kernels::KvType type, int64_t n) const;
};

/// Errors: the architecture's, kCorrupt and kUnsupported.
Result<ModelCost> model_cost(const format::Checkpoint& checkpoint);

struct MachineSpeed {
  double memory_bytes_per_second = 0;
  double operations_per_second = 0;  // of a prompt's matrix products in the given type
  /// Other programs took so much of the machine meanwhile that the figures may be too low.
  bool disturbed = false;
  int threads = 1;
  kernels::Isa isa = kernels::Isa::kRef;
};

struct MeasureOptions {
  int threads = 0;  // 0: as the engine's default
  quant::DType type = quant::DType::kQ4_0;
};
/// Reads a large buffer and multiplies a matrix with the engine's own kernels, and takes the best
/// pass of each: for 0.3 s, on a busy machine up to 2 s, until passes no longer get better.
/// kExhausted memory; LANTERN_ISA's errors.
Result<MachineSpeed> measure_machine(const MeasureOptions& options);

/// Tokens per second with `depth` positions in the cache, at the memory's and the arithmetic's
/// limit, whichever is lower.
struct ExpectedSpeed {
  double prefill = 0;
  double decode = 0;
};
Result<ExpectedSpeed> expected_speed(const ModelCost& cost, const MachineSpeed& machine,
                                     kernels::KvType kv_type, int64_t depth);

}  // namespace lantern::engine
