#include "kernels/matmul_kernels.h"
#include "kernels/matrix_impl.h"

namespace lantern::kernels {

const MatmulKernels& matmul_kernels(Isa) { return kRefMatmul; }

}  // namespace lantern::kernels
