#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/matrix_impl.h"
#include "kernels/weight_layout.h"

namespace lantern::kernels {
namespace {

// A piece is what a thread takes at once: long beside the cost of taking it (about 0.1 us), short
// beside the whole, so that a thread that is held up does not hold up the others.
constexpr int64_t kMinPieceBytes = 32 << 10;
constexpr int64_t kPiecesPerThread = 16;
// From so many tokens on the arithmetic is what takes time, and groups that go together share the
// loads of activations.
constexpr int64_t kManyTokens = 8;
constexpr int64_t kGroupsTogether = 4;

// Blocks of activations that are quantized (or copied) by one thread at once, about 5 us.
constexpr int64_t kQuantizeGrain = 256;

ActivationBlock* as_blocks(HugeBuffer& buffer) {
  return reinterpret_cast<ActivationBlock*>(buffer.data());
}
const ActivationBlock* as_blocks(const HugeBuffer& buffer) {
  return reinterpret_cast<const ActivationBlock*>(buffer.data());
}

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/// Activations as kernels see them: whole, or gathered.
struct View {
  const ActivationBlock* blocks;
  const float* x;
  int64_t x_stride;
  int64_t n_tokens;
};

/// Groups of one product that make a piece.
int64_t piece_groups(const Matrix::Impl& weight, int64_t n_tokens, int n_threads) {
  const int64_t fair = weight.n_groups / (n_threads * kPiecesPerThread);
  if (n_tokens >= kManyTokens) {
    // Narrow matrices are cut finer: two pieces a thread at least.
    const int64_t few = std::max<int64_t>(weight.n_groups / (n_threads * 2), 1);
    return std::min(kGroupsTogether, few);
  }
  const int64_t least = (kMinPieceBytes + weight.group_bytes - 1) / weight.group_bytes;
  return std::clamp<int64_t>(fair, least, weight.n_groups);
}

void run_piece(const MatmulKernels& kernels, const View& view, const Product& product,
               int64_t first_group, int64_t n_groups) {
  const Matrix::Impl& weight = product.weight->impl();
  const int64_t first_row = first_group * kGroupRows;
  MatmulJob job{};
  job.weights = reinterpret_cast<const uint8_t*>(weight.group(first_group));
  job.group_bytes = weight.group_bytes;
  job.n_groups = n_groups;
  job.n_rows = std::min(n_groups * kGroupRows, weight.shape.rows - first_row);
  job.n_blocks = weight.n_blocks;
  job.n_tokens = view.n_tokens;
  job.activations = view.blocks;
  job.x = view.x;
  job.x_stride = view.x_stride;
  job.y = product.y + first_row;
  job.y_stride = product.y_stride;
  kernels.product[weight.kind](job);
}

void run_products(const Context& context, const View& view, std::span<const Product> products) {
  if (view.n_tokens == 0) return;
  const MatmulKernels& kernels = matmul_kernels(context.isa);
  const int n_threads = context.pool->n_threads();
  int64_t n_pieces = 0;
  for (const Product& product : products) {
    const Matrix::Impl& weight = product.weight->impl();
    const int64_t size = piece_groups(weight, view.n_tokens, n_threads);
    n_pieces += (weight.n_groups + size - 1) / size;
  }
  context.pool->parallel_for(n_pieces, 1, [&](int64_t begin, int64_t end) {
    int64_t before = 0;  // pieces of the products passed so far
    for (const Product& product : products) {
      const Matrix::Impl& weight = product.weight->impl();
      const int64_t size = piece_groups(weight, view.n_tokens, n_threads);
      const int64_t pieces = (weight.n_groups + size - 1) / size;
      for (; begin < end && begin < before + pieces; ++begin) {
        const int64_t first = (begin - before) * size;
        run_piece(kernels, view, product, first, std::min(size, weight.n_groups - first));
      }
      before += pieces;
    }
  });
}

bool any_quantized(std::span<const Product> products) {
  return std::any_of(products.begin(), products.end(), [](const Product& product) {
    return wants_quantized_activations(product.weight->type());
  });
}

void check_products(const Activations::Impl& x, std::span<const Product> products) {
  for (const Product& product : products) LANTERN_CHECK(product.weight->cols() == x.k);
  LANTERN_CHECK(x.quantized || !any_quantized(products));
}

}  // namespace

bool wants_quantized_activations(quant::DType type) { return weight_kind(type) > kWeightBf16; }

Activations::Activations() : impl_(std::make_unique<Impl>()) {}
Activations::~Activations() = default;
Activations::Activations(Activations&&) noexcept = default;
Activations& Activations::operator=(Activations&&) noexcept = default;

int64_t Activations::n_tokens() const { return impl_->n_tokens; }
int64_t Activations::k() const { return impl_->k; }

void Activations::assign(const Context& context, const float* x, int64_t n_tokens, int64_t k,
                         int64_t stride, bool quantize) {
  Impl& impl = *impl_;
  impl.x = x;
  impl.n_tokens = n_tokens;
  impl.k = k;
  impl.stride = stride;
  // Every quantized type has blocks of 32 columns or a multiple.
  impl.quantized = quantize && k % kActivationColumns == 0;
  if (!impl.quantized || n_tokens == 0) return;

  const int64_t n_blocks = k / kActivationColumns;
  const auto bytes =
      static_cast<uint64_t>(round_up(n_tokens, kTileTokens) * n_blocks) * sizeof(ActivationBlock);
  const Status reserved = impl.blocks.reserve(bytes);
  LANTERN_CHECK(reserved.ok());
  ActivationBlock* blocks = as_blocks(impl.blocks);
  const MatmulKernels& kernels = matmul_kernels(context.isa);
  context.pool->parallel_for(n_tokens * n_blocks, kQuantizeGrain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t token = begin / n_blocks;
      const int64_t first = begin % n_blocks;
      const int64_t n = std::min(end - begin, n_blocks - first);
      kernels.quantize(x + token * stride + first * kActivationColumns, n,
                       blocks + activation_index(token, first, n_blocks));
      begin += n;
    }
  });
}

void matmul(const Context& context, const Activations& x, std::span<const Product> products) {
  const Activations::Impl& impl = x.impl();
  check_products(impl, products);
  run_products(context, {as_blocks(impl.blocks), impl.x, impl.stride, impl.n_tokens}, products);
}

void matmul_gathered(const Context& context, const Activations& x, std::span<const int32_t> tokens,
                     std::span<const Product> products) {
  // The gather buffers are scratch: they are no part of the activations' value.
  auto& impl = const_cast<Activations::Impl&>(x.impl());
  check_products(impl, products);
  const auto n_tokens = static_cast<int64_t>(tokens.size());
  if (n_tokens == 0) return;
  for (int32_t token : tokens) LANTERN_CHECK(token >= 0 && token < impl.n_tokens);
  const bool any_float = std::any_of(products.begin(), products.end(), [](const Product& product) {
    return !wants_quantized_activations(product.weight->type());
  });

  View view{nullptr, nullptr, impl.k, n_tokens};
  const int64_t n_blocks = impl.k / kActivationColumns;
  if (any_quantized(products)) {
    const auto bytes =
        static_cast<uint64_t>(round_up(n_tokens, kTileTokens) * n_blocks) * sizeof(ActivationBlock);
    LANTERN_CHECK(impl.gathered_blocks.reserve(bytes).ok());
    ActivationBlock* to = as_blocks(impl.gathered_blocks);
    const ActivationBlock* from = as_blocks(impl.blocks);
    const int64_t grain = std::max<int64_t>(kQuantizeGrain * 8 / n_blocks, 1);
    context.pool->parallel_for(n_tokens, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t b = 0; b < n_blocks; ++b)
          to[activation_index(i, b, n_blocks)] =
              from[activation_index(tokens[static_cast<size_t>(i)], b, n_blocks)];
    });
    view.blocks = to;
  }
  if (any_float) {
    const auto row_bytes = static_cast<uint64_t>(impl.k) * sizeof(float);
    LANTERN_CHECK(impl.gathered_x.reserve(static_cast<uint64_t>(n_tokens) * row_bytes).ok());
    auto* to = reinterpret_cast<float*>(impl.gathered_x.data());
    for (int64_t i = 0; i < n_tokens; ++i)
      std::memcpy(to + i * impl.k, impl.x + tokens[static_cast<size_t>(i)] * impl.stride,
                  row_bytes);
    view.x = to;
  }
  run_products(context, view, products);
}

}  // namespace lantern::kernels
