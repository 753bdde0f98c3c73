#include "kernels/avx512/vector.h"
// vector.h first: what follows is written in it.
#include "kernels/vector/elementwise.h"

namespace lantern::kernels {

const ElementwiseKernels kAvx512Elementwise = kElementwise;

}  // namespace lantern::kernels
