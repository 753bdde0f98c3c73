// Weight matrices and their products: the arithmetic that defines an answer's bits.
//
// LAYOUT. A matrix [rows, cols] is kept row-interleaved by 16: a vector lane is an output
// row and the sum over cols runs in order inside the lane, so every instruction set, any
// number of threads and any number of tokens adds in the same order. Rows past the last
// multiple of 16 are zeros that never reach an output.
//
// QUANTIZED WEIGHTS. Activations are quantized per token and block of 32 columns (ActivationBlock
// in layout.h):
//   lo = min(0, min x), hi = max(0, max x), range = hi - lo, a = range / 255, inv = 255 / range
//   z = rint(-lo * inv), c = clamp(rint(x * inv) + z, 0, 255), so x ~ a (c - z) and zero is exact
// with IEEE divisions and rint to nearest, ties to even. A range below 2^-100 counts as zeros (a =
// 0, all c = z); an x that is not finite, or a range that overflows, makes a NaN and so the token's
// outputs. Weights are w = D (q - offset) + N for each sub-block of 32 columns or 16, with integer
// codes q and D, N the float32 products that dequantizing forms (K quants: D = d * scale,
// N = -(dmin * min)). Then, K = 1.5 * 2^23 and i_h = sum (q - offset) (c - z) exact in int32:
// clang-format off
//   t = fma(D_0, K + i_0, -(K * D_0))   = D_0 i_0 rounded once: K + i_0 and K D_0 are exact
//   t = fma(D_1, i_1, t)                types with sub-blocks of 16: columns 16..31
//   t = fma(N_h, sum_h (c - z), t)      types with a minimum, h in order
//   y = fma(a, t, y)                    from +0, blocks in order of columns
// clang-format on
// (K lets a vector kernel start its accumulators at the bits of K and use the integer sums as
// floats, without converting them.)
//
// FLOAT WEIGHTS (F32, F16, BF16). Activations stay float32: y = fma(w, x, y), columns in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "base/thread_pool.h"
#include "kernels/isa.h"
#include "quant/dtype.h"

namespace lantern::kernels {

/// The version of the arithmetic: goes into receipts, saved sessions and golden files.
inline constexpr int kArithmeticVersion = 1;

/// What every operation runs on. The pool is borrowed.
struct Context {
  Isa isa = Isa::kRef;
  base::ThreadPool* pool = nullptr;
};

/// A weight matrix [rows, cols], row-interleaved, immutable, movable.
class Matrix {
 public:
  Matrix();
  ~Matrix();
  Matrix(Matrix&&) noexcept;
  Matrix& operator=(Matrix&&) noexcept;

  /// Fills `out` with the bytes of source rows [first, first + n), row-major in `type`'s own block
  /// format.
  using RowReader = Status (*)(void* context, int64_t first, int64_t n, std::byte* out);

  struct Shape {
    quant::DType type;
    int64_t rows;
    int64_t cols;
  };

  /// Interleaves row by row, reading slices through `read` so that the source is never held
  /// whole. Errors: kUnsupported type, kInvalidArgument shape, kExhausted memory, the reader's own.
  static Result<Matrix> pack(const Context& context, Shape shape, RowReader read, void* reader);

  [[nodiscard]] int64_t rows() const;
  [[nodiscard]] int64_t cols() const;
  [[nodiscard]] quant::DType type() const;
  [[nodiscard]] uint64_t bytes() const;  // memory held

  /// Row r dequantized to out[cols] (an embedding look-up).
  void row(int64_t r, float* out) const;
  /// The source bytes of row r (row-major), as pack() read them.
  void source_row(int64_t r, std::byte* out) const;

  struct Impl;
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// n tokens of k activations, prepared once and used by several products (q, k and v; gate and up).
/// Keeps its memory between uses.
class Activations {
 public:
  Activations();
  ~Activations();
  Activations(Activations&&) noexcept;
  Activations& operator=(Activations&&) noexcept;

  /// x[n_tokens, k], rows `stride` floats apart, borrowed until the next assign. Quantized at once
  /// if some weight will need it (`quantize`); float weights read x itself.
  void assign(const Context& context, const float* x, int64_t n_tokens, int64_t k, int64_t stride,
              bool quantize = true);

  [[nodiscard]] int64_t n_tokens() const;
  [[nodiscard]] int64_t k() const;

  struct Impl;
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// True where products with this type want quantized activations.
bool wants_quantized_activations(quant::DType type);

/// One product y[n_tokens, rows] = x[n_tokens, cols] * w^T. `y_stride` floats from token to token.
struct Product {
  const Matrix* weight = nullptr;
  float* y = nullptr;
  int64_t y_stride = 0;
};

/// Several products of the same activations in one parallel region.
void matmul(const Context& context, const Activations& x, std::span<const Product> products);

/// For experts: as matmul, but of the activations' rows `tokens` only: y row i belongs to
/// tokens[i].
void matmul_gathered(const Context& context, const Activations& x, std::span<const int32_t> tokens,
                     std::span<const Product> products);

}  // namespace lantern::kernels
