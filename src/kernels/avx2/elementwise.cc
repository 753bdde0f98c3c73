#include "kernels/avx2/vector.h"
// vector.h first: what follows is written in it.
#include "kernels/vector/elementwise.h"

namespace lantern::kernels {

const ElementwiseKernels kAvx2Elementwise = kElementwise;

}  // namespace lantern::kernels
