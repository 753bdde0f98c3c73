#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "kernels/matrix_impl.h"
#include "kernels/weight_layout.h"

namespace lantern::kernels {
namespace {

// Source rows read at once: enough to keep a disk and all threads busy, small beside a model.
constexpr int64_t kSliceBytes = int64_t{4} << 20;

// The largest block of any format.
constexpr int kMaxBlockBytes = 256;

}  // namespace

Matrix::Matrix() = default;
Matrix::~Matrix() = default;
Matrix::Matrix(Matrix&&) noexcept = default;
Matrix& Matrix::operator=(Matrix&&) noexcept = default;

Result<Matrix> Matrix::pack(const Context& context, Shape shape, RowReader read, void* reader) {
  const WeightLayout* layout = find_weight_layout(shape.type);
  if (layout == nullptr)
    return make_error(ErrorCode::kUnsupported, "matrices of type {} are not supported",
                      static_cast<uint32_t>(shape.type));
  if (shape.rows <= 0 || shape.cols <= 0)
    return make_error(ErrorCode::kInvalidArgument, "a matrix of {} x {} is empty", shape.rows,
                      shape.cols);
  LANTERN_ASSIGN(const uint64_t row_bytes,
                 quant::row_bytes(shape.type, static_cast<uint64_t>(shape.cols)));
  const auto n_groups = (static_cast<uint64_t>(shape.rows) - 1) / kGroupRows + 1;
  // 63: a group ends on a cache line.
  const auto total =
      ((base::CheckedSize(row_bytes) * kGroupRows + 63) * n_groups).value_as<int64_t>();
  if (!total)
    return make_error(ErrorCode::kExhausted, "a matrix of {} x {} is larger than memory",
                      shape.rows, shape.cols);

  Matrix matrix;
  matrix.impl_ = std::make_unique<Impl>();
  Impl& impl = *matrix.impl_;
  impl.shape = shape;
  impl.format = quant::find_format(shape.type);
  impl.layout = layout;
  impl.kind = weight_kind(shape.type);
  impl.n_groups = static_cast<int64_t>(n_groups);
  impl.n_blocks = shape.cols / layout->block_columns;
  impl.group_bytes = group_bytes(*layout, impl.n_blocks);
  LANTERN_TRY(impl.memory.allocate(n_groups * static_cast<uint64_t>(impl.group_bytes)));

  const auto source_bytes = static_cast<int64_t>(row_bytes);
  const int64_t slice_groups =
      std::clamp<int64_t>(kSliceBytes / (source_bytes * kGroupRows), 1, impl.n_groups);
  HugeBuffer slice;
  LANTERN_TRY(slice.allocate(static_cast<uint64_t>(slice_groups * kGroupRows * source_bytes)));
  for (int64_t first = 0; first < impl.n_groups; first += slice_groups) {
    const int64_t first_row = first * kGroupRows;
    const int64_t n_rows = std::min(slice_groups * kGroupRows, shape.rows - first_row);
    LANTERN_TRY(read(reader, first_row, n_rows, slice.data()));
    const int64_t groups = (n_rows + kGroupRows - 1) / kGroupRows;
    auto interleave_groups = [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g)
        interleave(*layout, impl.n_blocks, slice.data() + g * kGroupRows * source_bytes,
                   std::min(kGroupRows, n_rows - g * kGroupRows),
                   impl.memory.data() + (first + g) * impl.group_bytes);
    };
    if (context.pool != nullptr) {
      context.pool->parallel_for(groups, 4, interleave_groups);
    } else {
      interleave_groups(0, groups);
    }
  }
  return matrix;
}

int64_t Matrix::rows() const { return impl_->shape.rows; }
int64_t Matrix::cols() const { return impl_->shape.cols; }
quant::DType Matrix::type() const { return impl_->shape.type; }
uint64_t Matrix::bytes() const { return impl_->memory.capacity(); }

void Matrix::row(int64_t r, float* out) const {
  LANTERN_CHECK(r >= 0 && r < rows());
  const Impl& m = *impl_;
  std::byte block[kMaxBlockBytes];
  for (int64_t b = 0; b < m.n_blocks; ++b) {
    gather_block(*m.layout, m.n_blocks, m.group(r / kGroupRows), r % kGroupRows, b, block);
    m.format->decode(block, 1, out + b * m.layout->block_columns);
  }
}

void Matrix::source_row(int64_t r, std::byte* out) const {
  LANTERN_CHECK(r >= 0 && r < rows());
  const Impl& m = *impl_;
  for (int64_t b = 0; b < m.n_blocks; ++b)
    gather_block(*m.layout, m.n_blocks, m.group(r / kGroupRows), r % kGroupRows, b,
                 out + b * m.layout->block_bytes);
}

}  // namespace lantern::kernels
