// Each instruction set's tables of row and attention kernels.
#pragma once

#include "kernels/attention_kernels.h"
#include "kernels/elementwise_kernels.h"
#include "kernels/isa.h"

namespace lantern::kernels {

const ElementwiseKernels& elementwise_kernels(Isa isa);
const AttentionKernels& attention_kernels(Isa isa);

}  // namespace lantern::kernels
