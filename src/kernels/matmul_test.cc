// Matrix products: packing gives the source back, the reference computes what matrix.h says, and
// every instruction set has the reference's bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/layout.h"
#include "kernels/matmul_kernels.h"
#include "kernels/matrix.h"
#include "kernels/matrix_impl.h"
#include "quant/dtype.h"
#include "quant/half.h"

namespace lantern::kernels {
namespace {

using quant::DType;

struct Source {
  std::vector<std::byte> bytes;
  int64_t row_bytes;
  static Status read(void* self, int64_t first, int64_t n, std::byte* out) {
    auto* source = static_cast<Source*>(self);
    std::memcpy(out, source->bytes.data() + first * source->row_bytes,
                static_cast<size_t>(n * source->row_bytes));
    return {};
  }
};

enum class Fill { kRandom, kExtreme, kEqual, kZero };

// The 16-bit scale fields of each block format, by offset.
std::vector<int> scale_offsets(DType type) {
  switch (type) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ2_K:
      return {80, 82};
    case DType::kQ3_K:
      return {108};
    case DType::kQ6_K:
      return {208};
    case DType::kMXFP4:
      return {};
    default:
      return {0};
  }
}

Source make_source(DType type, int64_t rows, int64_t cols, Fill fill, uint32_t seed) {
  const quant::Format* format = quant::find_format(type);
  Source source;
  source.row_bytes = cols / format->block_size * format->block_bytes;
  source.bytes.resize(static_cast<size_t>(rows * source.row_bytes));
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  // Extremes: denormal products, the largest finite scale, both zeros.
  const std::vector<uint16_t> extremes = {0x0001, 0x8001, 0x0000, 0x8000, 0x7bff, 0xfbff, 0x03ff};
  const int64_t n_blocks = rows * cols / format->block_size;
  for (int64_t b = 0; b < n_blocks; ++b) {
    std::byte* block = source.bytes.data() + b * format->block_bytes;
    if (fill == Fill::kZero) continue;
    if (format->block_size == 1) {
      float value = fill == Fill::kEqual ? 0.25f : normal(random);
      if (fill == Fill::kExtreme && b % 3 == 0) value = (b % 2 ? -1e-38f : 6e4f);
      const uint16_t half =
          type == DType::kF16 ? quant::f32_to_f16(value) : quant::f32_to_bf16(value);
      if (type == DType::kF32) {
        std::memcpy(block, &value, 4);
      } else {
        std::memcpy(block, &half, 2);
      }
      continue;
    }
    const auto same =
        static_cast<uint8_t>(fill == Fill::kExtreme ? (random() % 2 ? 0xff : 0x80) : 0x5a);
    for (int i = 0; i < format->block_bytes; ++i)
      block[i] = std::byte{static_cast<uint8_t>(fill == Fill::kRandom ? random() : same)};
    for (int offset : scale_offsets(type)) {
      uint16_t scale = quant::f32_to_f16(0.02f * normal(random));
      if (fill == Fill::kExtreme) scale = extremes[random() % extremes.size()];
      std::memcpy(block + offset, &scale, 2);
    }
    if (type == DType::kMXFP4)
      block[0] = std::byte{
          static_cast<uint8_t>(fill == Fill::kExtreme ? random() % 200 : 118 + random() % 8)};
  }
  return source;
}

std::vector<float> make_activations(int64_t n, Fill fill, uint32_t seed) {
  std::vector<float> x(static_cast<size_t>(n));
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < n; ++i) {
    float value = normal(random);
    if (fill == Fill::kEqual) value = 1.5f;
    if (fill == Fill::kZero) value = 0.0f;
    if (fill == Fill::kExtreme) {
      // Blocks of one sign, of the range's ends (codes 0 and 255 only), of denormals, of huge
      // values.
      switch (i / 32 % 5) {
        case 0:
          value = std::fabs(value) + 3.0f;
          break;
        case 1:
          value = random() % 2 ? 7.0f : -7.0f;
          break;
        case 2:
          value = value * 1e-39f;
          break;
        case 3:
          value = value * 1e30f;
          break;
        default:
          value = -std::fabs(value);
          break;
      }
    }
    x[static_cast<size_t>(i)] = value;
  }
  return x;
}

Matrix pack(const Context& context, DType type, int64_t rows, int64_t cols, Source& source) {
  auto matrix = Matrix::pack(context, {type, rows, cols}, Source::read, &source);
  EXPECT_TRUE(matrix.ok());
  return std::move(matrix).value();
}

std::string describe(DType type, int64_t rows, int64_t cols, int64_t n_tokens) {
  return std::string(quant::find_format(type)->name) + " " + std::to_string(rows) + "x" +
         std::to_string(cols) + ", " + std::to_string(n_tokens) + " tokens";
}

std::vector<DType> all_types() {
  std::vector<DType> types;
  for (const quant::Format* format : quant::all_formats()) types.push_back(format->type);
  return types;
}

std::vector<Isa> fast_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512})
    if (isa_supported(isa)) isas.push_back(isa);
  return isas;
}

// Equal bits; any NaN equals any other (their signs and payloads depend on the processor).
::testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != a[i] && b[i] != b[i]) continue;
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i]))
      return ::testing::AssertionFailure() << "at " << i << ": " << a[i] << " and " << b[i];
  }
  return ::testing::AssertionSuccess();
}

std::vector<float> multiply(const Context& context, const Matrix& w, const std::vector<float>& x,
                            int64_t n_tokens) {
  // Two floats between tokens that nothing may touch.
  const int64_t stride = w.rows() + 2;
  std::vector<float> y(static_cast<size_t>(n_tokens * stride), -77.0f);
  Activations activations;
  activations.assign(context, x.data(), n_tokens, w.cols(), w.cols());
  const Product product{&w, y.data(), stride};
  matmul(context, activations, {&product, 1});
  return y;
}

// The sanitizers' and the debug builds' scalar reference is slow: small shapes, many of them.
struct Shape {
  int64_t rows;
  int64_t blocks;
  int64_t n_tokens;
};

class MatmulTypes : public ::testing::TestWithParam<DType> {
 protected:
  [[nodiscard]] int64_t cols(int64_t blocks) const {
    const int block_size = quant::find_format(GetParam())->block_size;
    return blocks * (block_size == 1 ? 7 : block_size);
  }
  base::ThreadPool one_{1};
  Context ref_{Isa::kRef, &one_};
};

TEST_P(MatmulTypes, PackingGivesTheSourceBack) {
  for (int64_t rows : {1, 15, 16, 17, 50}) {
    for (int64_t blocks : {1, 2, 5}) {
      Source source = make_source(GetParam(), rows, cols(blocks), Fill::kRandom, 3);
      Matrix matrix = pack(ref_, GetParam(), rows, cols(blocks), source);
      const quant::Format* format = quant::find_format(GetParam());
      std::vector<std::byte> bytes(static_cast<size_t>(source.row_bytes));
      std::vector<float> row(static_cast<size_t>(matrix.cols()));
      std::vector<float> expected(row.size());
      for (int64_t r = 0; r < rows; ++r) {
        const std::byte* original = source.bytes.data() + r * source.row_bytes;
        matrix.source_row(r, bytes.data());
        ASSERT_EQ(std::memcmp(bytes.data(), original, bytes.size()), 0) << r;
        matrix.row(r, row.data());
        format->decode(original, matrix.cols() / format->block_size, expected.data());
        ASSERT_TRUE(same_bits(row, expected));
      }
    }
  }
}

// Against a sum in double over the dequantized weights and the activations' own codes: what is left
// is float32's rounding.
TEST_P(MatmulTypes, ReferenceComputesTheProduct) {
  const int64_t rows = 19, n_cols = cols(3), n_tokens = 4;
  Source source = make_source(GetParam(), rows, n_cols, Fill::kRandom, 5);
  Matrix w = pack(ref_, GetParam(), rows, n_cols, source);
  const auto x = make_activations(n_tokens * n_cols, Fill::kRandom, 6);
  const auto y = multiply(ref_, w, x, n_tokens);
  std::vector<float> row(static_cast<size_t>(n_cols));
  const int64_t n_blocks = n_cols / 32;
  for (int64_t t = 0; t < n_tokens; ++t) {
    std::vector<double> used(x.begin() + t * n_cols, x.begin() + (t + 1) * n_cols);
    if (wants_quantized_activations(GetParam())) {
      std::vector<ActivationBlock> blocks(static_cast<size_t>(n_blocks * kTileTokens));
      kRefMatmul.quantize(x.data() + t * n_cols, n_blocks, blocks.data());
      for (int64_t i = 0; i < n_cols; ++i) {
        const ActivationBlock& block = blocks[static_cast<size_t>(i / 32 * kTileTokens)];
        const double code = block.codes[i % 32] + block.term[0];
        const double value = static_cast<double>(block.scale) * code;
        // Half a step from the activation, and a hair for the zero point's own rounding.
        ASSERT_LE(std::fabs(value - used[static_cast<size_t>(i)]),
                  1.01 * static_cast<double>(block.scale));
        used[static_cast<size_t>(i)] = value;
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      w.row(r, row.data());
      double sum = 0, magnitude = 0;
      for (size_t i = 0; i < row.size(); ++i) {
        sum += static_cast<double>(row[i]) * used[i];
        magnitude += std::fabs(static_cast<double>(row[i]) * used[i]);
      }
      ASSERT_NEAR(y[static_cast<size_t>(t * (rows + 2) + r)], sum, 2e-5 * magnitude + 1e-30)
          << describe(GetParam(), rows, n_cols, n_tokens);
    }
    ASSERT_EQ(y[static_cast<size_t>(t * (rows + 2) + rows)], -77.0f);
  }
}

TEST_P(MatmulTypes, EveryInstructionSetHasTheReferencesBits) {
  const std::vector<Shape> shapes = {{1, 1, 1},  {16, 1, 1},  {17, 2, 2},  {33, 3, 3},  {48, 2, 4},
                                     {31, 1, 5}, {95, 3, 16}, {40, 2, 7},  {64, 5, 17}, {18, 3, 33},
                                     {70, 1, 8}, {16, 20, 9}, {161, 2, 12}};
  uint32_t seed = 11;
  for (const Shape& shape : shapes) {
    for (Fill fill : {Fill::kRandom, Fill::kExtreme, Fill::kEqual, Fill::kZero}) {
      const int64_t n_cols = cols(shape.blocks);
      Source source = make_source(GetParam(), shape.rows, n_cols, fill, ++seed);
      Matrix w = pack(ref_, GetParam(), shape.rows, n_cols, source);
      const auto x = make_activations(shape.n_tokens * n_cols, fill, ++seed);
      const auto expected = multiply(ref_, w, x, shape.n_tokens);
      for (Isa isa : fast_isas())
        ASSERT_TRUE(same_bits(multiply({isa, &one_}, w, x, shape.n_tokens), expected))
            << isa_name(isa) << " " << describe(GetParam(), shape.rows, n_cols, shape.n_tokens)
            << " fill " << static_cast<int>(fill);
    }
  }
}

TEST_P(MatmulTypes, ThreadsAndGatheringChangeNothing) {
  const int64_t rows = 150, n_cols = cols(2), n_tokens = 21;
  Source source = make_source(GetParam(), rows, n_cols, Fill::kRandom, 8);
  Matrix w = pack(ref_, GetParam(), rows, n_cols, source);
  const auto x = make_activations(n_tokens * n_cols, Fill::kRandom, 9);
  const auto expected = multiply(ref_, w, x, n_tokens);
  const std::vector<int32_t> some = {20, 3, 3, 0, 17, 16, 9, 5, 11};
  for (Isa isa : fast_isas()) {
    for (int n_threads = 1; n_threads <= 4; ++n_threads) {
      base::ThreadPool pool(n_threads);
      const Context context{isa, &pool};
      ASSERT_TRUE(same_bits(multiply(context, w, x, n_tokens), expected));
      Activations activations;
      activations.assign(context, x.data(), n_tokens, n_cols, n_cols);
      for (size_t n : {size_t{0}, size_t{1}, some.size()}) {
        std::vector<float> a(some.size() * rows), b(some.size() * rows);
        const Product products[] = {{&w, a.data(), rows}, {&w, b.data(), rows}};
        matmul_gathered(context, activations, std::span(some).first(n), products);
        for (size_t i = 0; i < n; ++i)
          for (int64_t r = 0; r < rows; ++r) {
            const float want = expected[static_cast<size_t>(some[i] * (rows + 2) + r)];
            ASSERT_EQ(a[i * rows + static_cast<size_t>(r)], want);
            ASSERT_EQ(b[i * rows + static_cast<size_t>(r)], want);
          }
      }
    }
  }
}

TEST_P(MatmulTypes, WhatIsNotFiniteGivesNaN) {
  const int64_t rows = 20, n_cols = cols(2), n_tokens = 3;
  Source source = make_source(GetParam(), rows, n_cols, Fill::kRandom, 4);
  Matrix w = pack(ref_, GetParam(), rows, n_cols, source);
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity()}) {
    auto x = make_activations(n_tokens * n_cols, Fill::kRandom, 2);
    x[static_cast<size_t>(n_cols + 5)] = bad;
    const auto expected = multiply(ref_, w, x, n_tokens);
    for (int64_t r = 0; r < rows; ++r) {
      EXPECT_TRUE(std::isfinite(expected[static_cast<size_t>(r)]));
      EXPECT_FALSE(std::isfinite(expected[static_cast<size_t>(rows + 2 + r)]));
    }
    for (Isa isa : fast_isas())
      ASSERT_TRUE(same_bits(multiply({isa, &one_}, w, x, n_tokens), expected)) << isa_name(isa);
  }
}

INSTANTIATE_TEST_SUITE_P(, MatmulTypes, ::testing::ValuesIn(all_types()), [](const auto& param) {
  return std::string(quant::find_format(param.param)->name);
});

TEST(Quantize, EveryInstructionSetHasTheReferencesBits) {
  std::vector<std::vector<float>> inputs;
  for (Fill fill : {Fill::kRandom, Fill::kExtreme, Fill::kEqual, Fill::kZero})
    inputs.push_back(make_activations(32 * 10, fill, 21));
  auto special = make_activations(32 * 10, Fill::kRandom, 22);
  const float inf = std::numeric_limits<float>::infinity();
  special[3] = inf;
  special[40] = -inf;
  special[70] = std::nanf("");
  special[96 + 31] = -std::nanf("");
  special[130] = std::numeric_limits<float>::max();  // the range overflows
  special[131] = -std::numeric_limits<float>::max();
  for (int i = 160; i < 192; ++i) special[static_cast<size_t>(i)] = -0.0f;
  for (int i = 192; i < 224; ++i) special[static_cast<size_t>(i)] = 0x1p-100f;  // the least range
  for (int i = 224; i < 256; ++i) special[static_cast<size_t>(i)] = 0x1.fffffep-101f;
  special[300] = std::numeric_limits<float>::max();
  inputs.push_back(special);
  // Ties: with a range of 255 the codes are the values themselves.
  std::vector<float> ties(32 * 10);
  for (size_t i = 0; i < ties.size(); ++i)
    ties[i] = i % 32 == 0 ? -100.5f : i % 32 == 1 ? 154.5f : static_cast<float>(i % 64) + 0.5f;
  inputs.push_back(ties);
  for (const auto& x : inputs) {
    std::vector<ActivationBlock> expected(10 * kTileTokens), got(10 * kTileTokens);
    kRefMatmul.quantize(x.data(), 10, expected.data());
    for (Isa isa : fast_isas()) {
      std::fill(got.begin(), got.end(), ActivationBlock{});
      matmul_kernels(isa).quantize(x.data(), 10, got.data());
      for (size_t b = 0; b < 10; ++b) {
        ActivationBlock want = expected[b * kTileTokens], have = got[b * kTileTokens];
        if (want.scale != want.scale && have.scale != have.scale) want.scale = have.scale = 0;
        ASSERT_EQ(std::memcmp(&want, &have, sizeof want), 0) << isa_name(isa) << " block " << b;
      }
    }
  }
}

TEST(Matrix, RefusesWhatItCannotHold) {
  Source source;
  auto code = [&](DType type, int64_t rows, int64_t n_cols) {
    return Matrix::pack({}, {type, rows, n_cols}, Source::read, &source).error().code;
  };
  EXPECT_EQ(code(static_cast<DType>(99), 1, 32), ErrorCode::kUnsupported);
  EXPECT_EQ(code(DType::kQ4_K, 1, 32), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(DType::kF32, 0, 32), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(DType::kF32, int64_t{1} << 40, int64_t{1} << 40), ErrorCode::kExhausted);
  EXPECT_EQ(code(DType::kF32, int64_t{1} << 29, int64_t{1} << 29), ErrorCode::kExhausted);
}

TEST(Matrix, PassesOnTheReadersError) {
  auto fails = [](void*, int64_t, int64_t, std::byte*) -> Status {
    return make_error(ErrorCode::kIo, "disk");
  };
  auto matrix = Matrix::pack({}, {DType::kF32, 4, 4}, fails, nullptr);
  ASSERT_FALSE(matrix.ok());
  EXPECT_EQ(matrix.error().code, ErrorCode::kIo);
}

}  // namespace
}  // namespace lantern::kernels
