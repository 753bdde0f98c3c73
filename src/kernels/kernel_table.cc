#include "kernels/kernel_table.h"

namespace lantern::kernels {

const ElementwiseKernels& elementwise_kernels(Isa) { return kRefElementwise; }
const AttentionKernels& attention_kernels(Isa) { return kRefAttention; }

}  // namespace lantern::kernels
