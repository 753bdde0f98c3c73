// The width that every instruction set computes in. Plain data.
#pragma once

#include <stdint.h>

namespace lantern::kernels {

/// Floats of a vector, on every instruction set: partial sums, padding and page layouts follow it.
constexpr int64_t kLanes = 16;

static constexpr int64_t round_up_to_lanes(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

}  // namespace lantern::kernels
