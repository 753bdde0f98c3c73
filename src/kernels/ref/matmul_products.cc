// The definition of every product's bits: see matrix.h. Written for reading, one row at a time.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/ref/matmul.h"
#include "kernels/weight_layout.h"
#include "quant/blocks.h"
#include "quant/half.h"

namespace lantern::kernels {
namespace {

using namespace quant;  // NOLINT: block layouts and number formats

/// 32 columns of a weight row: w = scale[h] (q - offset) + minimum[h], h the half where there are
/// two sub-blocks, else 0.
struct Codes {
  int q[32];
  float scale[2];
  float minimum[2];
};

// --- what each format holds: its block's columns 32 s .. 32 s + 31 ---

struct Q4_0 {
  using Block = BlockQ4_0;
  static constexpr int kSubBlocks = 1, kOffset = 8;
  static constexpr bool kMinimum = false;
  static void expand(const Block& b, int, Codes& codes) {
    codes.scale[0] = f16_to_f32(b.d);
    for (int j = 0; j < 32; ++j) codes.q[j] = j < 16 ? b.qs[j] & 15 : b.qs[j - 16] >> 4;
  }
};

struct Q4_1 {
  using Block = BlockQ4_1;
  static constexpr int kSubBlocks = 1, kOffset = 0;
  static constexpr bool kMinimum = true;
  static void expand(const Block& b, int, Codes& codes) {
    codes.scale[0] = f16_to_f32(b.d);
    codes.minimum[0] = f16_to_f32(b.m);
    for (int j = 0; j < 32; ++j) codes.q[j] = j < 16 ? b.qs[j] & 15 : b.qs[j - 16] >> 4;
  }
};

int fifth_bit(const uint8_t (&qh)[4], int j) { return ((qh[j / 8] >> (j % 8)) & 1) << 4; }

struct Q5_0 {
  using Block = BlockQ5_0;
  static constexpr int kSubBlocks = 1, kOffset = 16;
  static constexpr bool kMinimum = false;
  static void expand(const Block& b, int, Codes& codes) {
    codes.scale[0] = f16_to_f32(b.d);
    for (int j = 0; j < 32; ++j)
      codes.q[j] = (j < 16 ? b.qs[j] & 15 : b.qs[j - 16] >> 4) | fifth_bit(b.qh, j);
  }
};

struct Q5_1 {
  using Block = BlockQ5_1;
  static constexpr int kSubBlocks = 1, kOffset = 0;
  static constexpr bool kMinimum = true;
  static void expand(const Block& b, int, Codes& codes) {
    codes.scale[0] = f16_to_f32(b.d);
    codes.minimum[0] = f16_to_f32(b.m);
    for (int j = 0; j < 32; ++j)
      codes.q[j] = (j < 16 ? b.qs[j] & 15 : b.qs[j - 16] >> 4) | fifth_bit(b.qh, j);
  }
};

struct Q8_0 {
  using Block = BlockQ8_0;
  static constexpr int kSubBlocks = 1, kOffset = 128;
  static constexpr bool kMinimum = false;
  static void expand(const Block& b, int, Codes& codes) {
    codes.scale[0] = f16_to_f32(b.d);
    for (int j = 0; j < 32; ++j) codes.q[j] = b.qs[j] + 128;
  }
};

struct Iq4Nl {
  using Block = BlockIQ4_NL;
  static constexpr int kSubBlocks = 1, kOffset = 128;
  static constexpr bool kMinimum = false;
  static void expand(const Block& b, int, Codes& codes) {
    codes.scale[0] = f16_to_f32(b.d);
    for (int j = 0; j < 32; ++j)
      codes.q[j] = kValuesIq4[j < 16 ? b.qs[j] & 15 : b.qs[j - 16] >> 4] + 128;
  }
};

struct Iq4Xs {
  using Block = BlockIQ4_XS;
  static constexpr int kSubBlocks = 1, kOffset = 128;
  static constexpr bool kMinimum = false;
  static void expand(const Block& b, int s, Codes& codes) {
    const int low = (b.scales_l[s / 2] >> (4 * (s % 2))) & 15;
    const int high = (b.scales_h >> (2 * s)) & 3;
    codes.scale[0] = f16_to_f32(b.d) * static_cast<float>((low | (high << 4)) - 32);
    const uint8_t* qs = b.qs + 16 * s;
    for (int j = 0; j < 32; ++j)
      codes.q[j] = kValuesIq4[j < 16 ? qs[j] & 15 : qs[j - 16] >> 4] + 128;
  }
};

struct Mxfp4 {
  using Block = BlockMXFP4;
  static constexpr int kSubBlocks = 1, kOffset = 12;
  static constexpr bool kMinimum = false;
  static void expand(const Block& b, int, Codes& codes) {
    codes.scale[0] = std::bit_cast<float>(mxfp4_scale_bits(b.e));
    for (int j = 0; j < 32; ++j)
      codes.q[j] = kValuesMxfp4[j < 16 ? b.qs[j] & 15 : b.qs[j - 16] >> 4] + 12;
  }
};

struct Q2K {
  using Block = BlockQ2_K;
  static constexpr int kSubBlocks = 2, kOffset = 0;
  static constexpr bool kMinimum = true;
  static void expand(const Block& b, int s, Codes& codes) {
    for (int h = 0; h < 2; ++h) {
      codes.scale[h] = f16_to_f32(b.d) * static_cast<float>(b.scales[2 * s + h] & 15);
      codes.minimum[h] = -(f16_to_f32(b.dmin) * static_cast<float>(b.scales[2 * s + h] >> 4));
    }
    for (int j = 0; j < 32; ++j) codes.q[j] = (b.qs[32 * (s / 4) + j] >> (2 * (s % 4))) & 3;
  }
};

struct Q3K {
  using Block = BlockQ3_K;
  static constexpr int kSubBlocks = 2, kOffset = 4;
  static constexpr bool kMinimum = false;
  static void expand(const Block& b, int s, Codes& codes) {
    int8_t scales[16];
    unpack_scales_q3(b.scales, scales);
    for (int h = 0; h < 2; ++h)
      codes.scale[h] = f16_to_f32(b.d) * static_cast<float>(scales[2 * s + h]);
    for (int j = 0; j < 32; ++j)
      codes.q[j] = ((b.qs[32 * (s / 4) + j] >> (2 * (s % 4))) & 3) | (((b.hmask[j] >> s) & 1) << 2);
  }
};

struct Q4K {
  using Block = BlockQ4_K;
  static constexpr int kSubBlocks = 1, kOffset = 0;
  static constexpr bool kMinimum = true;
  static void expand(const Block& b, int s, Codes& codes) {
    uint8_t scales[8];
    uint8_t mins[8];
    unpack_scales_q4(b.scales, scales, mins);
    codes.scale[0] = f16_to_f32(b.d) * static_cast<float>(scales[s]);
    codes.minimum[0] = -(f16_to_f32(b.dmin) * static_cast<float>(mins[s]));
    for (int j = 0; j < 32; ++j) codes.q[j] = (b.qs[32 * (s / 2) + j] >> (4 * (s % 2))) & 15;
  }
};

struct Q5K {
  using Block = BlockQ5_K;
  static constexpr int kSubBlocks = 1, kOffset = 0;
  static constexpr bool kMinimum = true;
  static void expand(const Block& b, int s, Codes& codes) {
    uint8_t scales[8];
    uint8_t mins[8];
    unpack_scales_q4(b.scales, scales, mins);
    codes.scale[0] = f16_to_f32(b.d) * static_cast<float>(scales[s]);
    codes.minimum[0] = -(f16_to_f32(b.dmin) * static_cast<float>(mins[s]));
    for (int j = 0; j < 32; ++j)
      codes.q[j] = ((b.qs[32 * (s / 2) + j] >> (4 * (s % 2))) & 15) | (((b.qh[j] >> s) & 1) << 4);
  }
};

struct Q6K {
  using Block = BlockQ6_K;
  static constexpr int kSubBlocks = 2, kOffset = 32;
  static constexpr bool kMinimum = false;
  static void expand(const Block& b, int s, Codes& codes) {
    for (int h = 0; h < 2; ++h)
      codes.scale[h] = f16_to_f32(b.d) * static_cast<float>(b.scales[2 * s + h]);
    const uint8_t* ql = b.ql + 64 * (s / 4) + 32 * (s % 2);
    const uint8_t* qh = b.qh + 32 * (s / 4);
    for (int j = 0; j < 32; ++j)
      codes.q[j] = ((ql[j] >> (4 * ((s % 4) / 2))) & 15) | (((qh[j] >> (2 * (s % 4))) & 3) << 4);
  }
};

// --- the expression trees ---

/// Adds 32 columns' share to y.
template <typename Type>
float add_block(const Codes& w, const ActivationBlock& x, float y) {
  constexpr int kHalf = 32 / Type::kSubBlocks;
  const int zero = 128 - x.term[0];
  int sums[2] = {0, 0};
  for (int j = 0; j < 32; ++j)
    sums[j / kHalf] += (w.q[j] - Type::kOffset) * (x.codes[j] + 128 - zero);

  float t =
      std::fma(w.scale[0], kSumMagic + static_cast<float>(sums[0]), -(kSumMagic * w.scale[0]));
  if constexpr (Type::kSubBlocks == 2) t = std::fma(w.scale[1], static_cast<float>(sums[1]), t);
  if constexpr (Type::kMinimum) {
    if constexpr (Type::kSubBlocks == 1) {
      t = std::fma(w.minimum[0], x.sum, t);
    } else {
      t = std::fma(w.minimum[0], x.half_sums[0], t);
      t = std::fma(w.minimum[1], x.half_sums[1], t);
    }
  }
  return std::fma(x.scale, t, y);
}

template <typename Type>
void product(const MatmulJob& job, const WeightLayout& layout) {
  constexpr int kParts = sizeof(typename Type::Block) < 40 ? 1 : 8;  // of 32 columns
  const int64_t n_columns_blocks = job.n_blocks * kParts;
  for (int64_t row = 0; row < job.n_rows; ++row) {
    const auto* group =
        reinterpret_cast<const std::byte*>(job.weights + row / kGroupRows * job.group_bytes);
    for (int64_t token = 0; token < job.n_tokens; ++token) job.y[token * job.y_stride + row] = 0;
    for (int64_t b = 0; b < job.n_blocks; ++b) {
      typename Type::Block block;
      gather_block(layout, job.n_blocks, group, row % kGroupRows, b,
                   reinterpret_cast<std::byte*>(&block));
      for (int s = 0; s < kParts; ++s) {
        Codes codes;
        Type::expand(block, s, codes);
        for (int64_t token = 0; token < job.n_tokens; ++token) {
          float& y = job.y[token * job.y_stride + row];
          y = add_block<Type>(
              codes, job.activations[activation_index(token, b * kParts + s, n_columns_blocks)], y);
        }
      }
    }
  }
}

template <quant::DType kType, typename Type>
void quantized_product(const MatmulJob& job) {
  static const WeightLayout& layout = *find_weight_layout(kType);
  product<Type>(job, layout);
}

float widen_f32(const uint8_t* p) {
  float value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
uint16_t read_16(const uint8_t* p) {
  uint16_t value;
  std::memcpy(&value, p, sizeof value);
  return value;
}
float widen_f16(const uint8_t* p) { return f16_to_f32(read_16(p)); }
float widen_bf16(const uint8_t* p) { return bf16_to_f32(read_16(p)); }

template <int kBytes, float (*kWiden)(const uint8_t*)>
void float_product(const MatmulJob& job) {
  for (int64_t row = 0; row < job.n_rows; ++row) {
    const uint8_t* w = job.weights + row / kGroupRows * job.group_bytes + row % kGroupRows * kBytes;
    for (int64_t token = 0; token < job.n_tokens; ++token) {
      const float* x = job.x + token * job.x_stride;
      float y = 0;
      for (int64_t column = 0; column < job.n_blocks; ++column)
        y = std::fma(kWiden(w + column * kGroupRows * kBytes), x[column], y);
      job.y[token * job.y_stride + row] = y;
    }
  }
}

}  // namespace

const MatmulKernels kRefMatmul = {ref_quantize,
                                  {
                                      float_product<4, widen_f32>,
                                      float_product<2, widen_f16>,
                                      float_product<2, widen_bf16>,
                                      quantized_product<DType::kQ4_0, Q4_0>,
                                      quantized_product<DType::kQ4_1, Q4_1>,
                                      quantized_product<DType::kQ5_0, Q5_0>,
                                      quantized_product<DType::kQ5_1, Q5_1>,
                                      quantized_product<DType::kQ8_0, Q8_0>,
                                      quantized_product<DType::kQ2_K, Q2K>,
                                      quantized_product<DType::kQ3_K, Q3K>,
                                      quantized_product<DType::kQ4_K, Q4K>,
                                      quantized_product<DType::kQ5_K, Q5K>,
                                      quantized_product<DType::kQ6_K, Q6K>,
                                      quantized_product<DType::kIQ4_NL, Iq4Nl>,
                                      quantized_product<DType::kIQ4_XS, Iq4Xs>,
                                      quantized_product<DType::kMXFP4, Mxfp4>,
                                  }};

}  // namespace lantern::kernels
