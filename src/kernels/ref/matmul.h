// The reference kernels of matrix products.
#pragma once

#include <cstdint>

#include "kernels/layout.h"
#include "kernels/matmul_kernels.h"

namespace lantern::kernels {

void ref_quantize(const float* x, int64_t n_blocks, ActivationBlock* blocks);

}  // namespace lantern::kernels
