#include "kernels/avx2/vector.h"
// vector.h first: what follows is written in it.
#include "kernels/vector/attention.h"

namespace lantern::kernels {

const AttentionKernels kAvx2Attention = kAttention;

}  // namespace lantern::kernels
