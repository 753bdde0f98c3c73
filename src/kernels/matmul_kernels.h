// The tables of matrix product kernels, one for each instruction set.
#pragma once

#include <stdint.h>

#include "kernels/layout.h"

namespace lantern::kernels {

/// Index into MatmulKernels::product.
enum WeightKind : int {
  kWeightF32,
  kWeightF16,
  kWeightBf16,
  kWeightQ4_0,
  kWeightQ4_1,
  kWeightQ5_0,
  kWeightQ5_1,
  kWeightQ8_0,
  kWeightQ2K,
  kWeightQ3K,
  kWeightQ4K,
  kWeightQ5K,
  kWeightQ6K,
  kWeightIq4Nl,
  kWeightIq4Xs,
  kWeightMxfp4,
  kNWeightKinds,
};

struct MatmulKernels {
  /// x[32 n_blocks] of one token -> blocks[i * kTileTokens].
  void (*quantize)(const float* x, int64_t n_blocks, ActivationBlock* blocks);
  void (*product[kNWeightKinds])(const MatmulJob& job);
};

extern const MatmulKernels kRefMatmul;
extern const MatmulKernels kAvx2Matmul;
extern const MatmulKernels kAvxVnniMatmul;
extern const MatmulKernels kAvx512Matmul;

}  // namespace lantern::kernels
