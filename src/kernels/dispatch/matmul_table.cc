#include "kernels/matmul_kernels.h"
#include "kernels/matrix_impl.h"

namespace lantern::kernels {

const MatmulKernels& matmul_kernels(Isa isa) {
#if defined(__x86_64__)
  switch (isa) {
    case Isa::kAvx2:
      return kAvx2Matmul;
    case Isa::kAvxVnni:
      return kAvxVnniMatmul;
    case Isa::kAvx512:
      return kAvx512Matmul;
    case Isa::kRef:
      break;
  }
#else
  (void)isa;
#endif
  return kRefMatmul;
}

}  // namespace lantern::kernels
