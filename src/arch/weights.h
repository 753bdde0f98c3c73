// Loads a checkpoint's tensors into a Network, one at a time: the source is never held whole.
#pragma once

#include <cstdint>
#include <functional>

#include "arch/network.h"
#include "arch/spec.h"
#include "base/result.h"
#include "format/admitted_model.h"
#include "kernels/matrix.h"

namespace lantern::arch {

struct LoadOptions {
  const kernels::Context* context = nullptr;
  std::function<bool(uint64_t done, uint64_t total)> progress;  // false cancels; may be empty
};

/// Errors: kCorrupt (a tensor is missing or of another shape, by name), kUnsupported tensor types,
/// kExhausted memory, kCancelled, and what reading the file gives.
Result<Network> load_network(const format::AdmittedModel& model, const Spec& spec,
                             HyperParameters hyper, const LoadOptions& options);

}  // namespace lantern::arch
