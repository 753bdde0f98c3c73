// Matrix products with AVX-VNNI: AVX2's registers, AVX-512's dot products.
#include "kernels/matmul_kernels.h"
#include "kernels/vector/matmul_vector_256.h"

namespace lantern::kernels {
namespace {

constexpr int kTokensAlone = 4;
constexpr int kTokensInPair = 4;
constexpr int kFloatTokens = 4;

LANTERN_INLINE VI dot_ones(VI acc, VI w) {
  return _mm256_dpbusd_avx_epi32(acc, w, _mm256_set1_epi8(1));
}
/// What a block's integer sum starts from, and what it is when all products are in.
template <int kMaxCode>
LANTERN_INLINE VI start_sum() {
  return set_ints(kSumMagicBits);
}
template <int kMaxCode>
LANTERN_INLINE VI finish_sum(VI acc) {
  return acc;
}

/// acc + the lanes' sums of four products of unsigned bytes of w and signed codes.
template <int kMaxCode>
LANTERN_INLINE VI dot_codes(VI acc, VI w, VI codes) {
  return _mm256_dpbusd_avx_epi32(acc, w, codes);
}
template <int kMaxCode>
LANTERN_INLINE VI dot(VI acc, VI w, const int8_t* codes) {
  return dot_codes<kMaxCode>(acc, w, broadcast_codes(codes));
}
LANTERN_INLINE VI dot_pairs(VI acc, VI w, const int16_t* pair) {
  return _mm256_dpwssd_avx_epi32(acc, w, broadcast_codes(pair));
}

}  // namespace
}  // namespace lantern::kernels

#include "kernels/vector/matmul_products.h"
#include "kernels/vector/matmul_quantize.h"
#include "kernels/vector/matmul_table.h"

namespace lantern::kernels {

const MatmulKernels kAvxVnniMatmul = {quantize, {LANTERN_VECTOR_PRODUCTS}};

}  // namespace lantern::kernels
