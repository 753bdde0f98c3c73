// Matrix products with AVX2 and FMA.
#include "kernels/matmul_kernels.h"
#include "kernels/vector/matmul_vector_256.h"

namespace lantern::kernels {
namespace {

constexpr int kTokensAlone = 4;
constexpr int kTokensInPair = 4;
constexpr int kFloatTokens = 4;

LANTERN_INLINE VI dot_ones(VI acc, VI w) {
  const VI pairs = _mm256_maddubs_epi16(w, _mm256_set1_epi8(1));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// Codes up to 15: a whole block's pairs of products, 8 * 2 * 15 * 128 = 30720 at most, add up in 16
// bits and are widened once.
template <int kMaxCode>
constexpr bool kSumsIn16Bits = kMaxCode <= 15;

/// What a block's sum starts from, and its 32-bit sum when all products are in.
template <int kMaxCode>
LANTERN_INLINE VI start_sum() {
  return set_ints(kSumsIn16Bits<kMaxCode> ? 0 : kSumMagicBits);
}
template <int kMaxCode>
LANTERN_INLINE VI finish_sum(VI acc) {
  if constexpr (!kSumsIn16Bits<kMaxCode>) return acc;
  return _mm256_add_epi32(set_ints(kSumMagicBits), _mm256_madd_epi16(acc, _mm256_set1_epi16(1)));
}

/// acc + the lanes' sums of four products of unsigned bytes of w and signed codes.
template <int kMaxCode>
LANTERN_INLINE VI dot_codes(VI acc, VI w, VI x) {
  if constexpr (kSumsIn16Bits<kMaxCode>) {
    return _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x));
  } else if constexpr (kMaxCode <= 127) {
    // Codes up to 127: a pair of products is at most 2 * 127 * 128 < 2^15.
    const VI pairs = _mm256_maddubs_epi16(w, x);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  } else {
    // Up to 255 the pairs would saturate: 16-bit products, of the even bytes and of the odd.
    const VI even = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(0xff)),
                                      _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8));
    const VI odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), _mm256_srai_epi16(x, 8));
    return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
  }
}
template <int kMaxCode>
LANTERN_INLINE VI dot(VI acc, VI w, const int8_t* codes) {
  return dot_codes<kMaxCode>(acc, w, broadcast_codes(codes));
}
LANTERN_INLINE VI dot_pairs(VI acc, VI w, const int16_t* pair) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(w, broadcast_codes(pair)));
}

}  // namespace
}  // namespace lantern::kernels

#include "kernels/vector/matmul_products.h"
#include "kernels/vector/matmul_quantize.h"
#include "kernels/vector/matmul_table.h"

namespace lantern::kernels {

const MatmulKernels kAvx2Matmul = {quantize, {LANTERN_VECTOR_PRODUCTS}};

}  // namespace lantern::kernels
