// What Matrix and Activations hold.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/huge_buffer.h"
#include "kernels/layout.h"
#include "kernels/matmul_kernels.h"
#include "kernels/matrix.h"
#include "quant/dtype.h"

namespace lantern::kernels {

struct Matrix::Impl {
  Shape shape{};
  const quant::Format* format = nullptr;
  const WeightLayout* layout = nullptr;
  WeightKind kind = kNWeightKinds;
  int64_t n_groups = 0;
  int64_t n_blocks = 0;  // of the format, in a row
  int64_t group_bytes = 0;
  HugeBuffer memory;

  [[nodiscard]] const std::byte* group(int64_t i) const { return memory.data() + i * group_bytes; }
};

struct Activations::Impl {
  const float* x = nullptr;
  int64_t n_tokens = 0;
  int64_t k = 0;
  int64_t stride = 0;
  bool quantized = false;
  HugeBuffer blocks;  // ActivationBlock, as activation_index() says
  // What matmul_gathered() copies together.
  HugeBuffer gathered_blocks;
  HugeBuffer gathered_x;
};

const MatmulKernels& matmul_kernels(Isa isa);

}  // namespace lantern::kernels
