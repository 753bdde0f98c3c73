#include "kernels/avx512/vector.h"
// vector.h first: what follows is written in it.
#include "kernels/vector/attention.h"

namespace lantern::kernels {

const AttentionKernels kAvx512Attention = kAttention;

}  // namespace lantern::kernels
