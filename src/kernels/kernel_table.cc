#include "kernels/kernel_table.h"

namespace lantern::kernels {

// AVX-VNNI adds integer dot products alone, so its rows are AVX2's.

const ElementwiseKernels& elementwise_kernels(Isa isa) {
  switch (isa) {
    case Isa::kRef:
      break;
    case Isa::kAvx2:
    case Isa::kAvxVnni:
      return kAvx2Elementwise;
    case Isa::kAvx512:
      return kAvx512Elementwise;
  }
  return kRefElementwise;
}

const AttentionKernels& attention_kernels(Isa isa) {
  switch (isa) {
    case Isa::kRef:
      break;
    case Isa::kAvx2:
    case Isa::kAvxVnni:
      return kAvx2Attention;
    case Isa::kAvx512:
      return kAvx512Attention;
  }
  return kRefAttention;
}

}  // namespace lantern::kernels
