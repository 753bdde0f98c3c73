// Matrix products with AVX-512 and VNNI.
#include "kernels/avx512/matmul_vector.h"
#include "kernels/matmul_kernels.h"

namespace lantern::kernels {
namespace {

// 16 sums, 8 vectors of codes and the scales fill the 32 registers.
constexpr int kTokensAlone = 16;
// 16 integer sums, in two rows of vectors.
constexpr int kTokensInPair = 8;
constexpr int kFloatTokens = 8;

}  // namespace
}  // namespace lantern::kernels

#include "kernels/vector/matmul_products.h"
#include "kernels/vector/matmul_quantize.h"
#include "kernels/vector/matmul_table.h"

namespace lantern::kernels {

const MatmulKernels kAvx512Matmul = {quantize, {LANTERN_VECTOR_PRODUCTS}};

}  // namespace lantern::kernels
