#include "format/renamed_checkpoint.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/checked.h"
#include "base/printable.h"
#include "format/tensor_table.h"

namespace lantern::format {
namespace {

using base::CheckedSize;
using base::printable;

/// Bytes of one row; a vector's rows are its elements.
Result<uint64_t> bytes_of_row(const Tensor& tensor) {
  return quant::row_bytes(tensor.type,
                          tensor.shape.size() < 2 ? 1 : static_cast<uint64_t>(tensor.shape.back()));
}

int64_t row_count(const Tensor& tensor) {
  int64_t n = element_count(tensor);
  if (tensor.shape.size() < 2) return n;
  return tensor.shape.back() == 0 ? 0 : n / tensor.shape.back();
}

bool is_float(quant::DType type) {
  return type == quant::DType::kF32 || type == quant::DType::kF16 || type == quant::DType::kBF16;
}

/// A run of bytes of one source tensor, at `begin` of the new tensor's (source-typed) data.
struct Extent {
  uint64_t begin = 0;
  uint64_t bytes = 0;
  const Tensor* source = nullptr;
  uint64_t source_offset = 0;
};

struct Recipe {
  std::vector<Extent> extents;  // by begin, without holes
  std::vector<float> values;
  std::optional<float> add;
  quant::DType source_type = quant::DType::kF32;
};

}  // namespace

// Outside of the unnamed namespace: Checkpoint names it as its friend.
class RenamedCheckpoint final : public Checkpoint {
 public:
  RenamedCheckpoint(std::shared_ptr<const Checkpoint> source, Metadata metadata, TensorTable table,
                    std::vector<Recipe> recipes)
      : source_(std::move(source)),
        metadata_(std::move(metadata)),
        table_(std::move(table)),
        recipes_(std::move(recipes)) {}

  [[nodiscard]] const Metadata& metadata() const override { return metadata_; }
  [[nodiscard]] std::span<const Tensor> tensors() const override { return table_.tensors(); }
  [[nodiscard]] std::span<const std::filesystem::path> files() const override {
    return source_->files();
  }
  [[nodiscard]] std::vector<std::optional<base::FileStamp>> stamps() const override {
    return source_->stamps();
  }
  [[nodiscard]] const Tensor* find(std::string_view name) const override {
    return table_.find(name);
  }

 protected:
  Status read(const Tensor& tensor, uint64_t offset, std::span<std::byte> out) const override {
    const Recipe& recipe = recipes_[static_cast<size_t>(&tensor - table_.tensors().data())];
    if (!recipe.values.empty()) {
      std::memcpy(out.data(), reinterpret_cast<const std::byte*>(recipe.values.data()) + offset,
                  out.size());
      return {};
    }
    if (recipe.add) return read_converted(recipe, offset, out);
    return read_extents(recipe, offset, out);
  }

 private:
  Status read_extents(const Recipe& recipe, uint64_t offset, std::span<std::byte> out) const {
    auto extent = std::upper_bound(recipe.extents.begin(), recipe.extents.end(), offset,
                                   [](uint64_t o, const Extent& e) { return o < e.begin; });
    while (!out.empty()) {
      const Extent& from = *std::prev(extent);
      uint64_t skipped = offset - from.begin;
      uint64_t n = std::min<uint64_t>(from.bytes - skipped, out.size());
      LANTERN_TRY(source_->read(*from.source, from.source_offset + skipped, out.first(n)));
      out = out.subspan(n);
      offset += n;
      ++extent;
    }
    return {};
  }

  /// Bytes of the float32 tensor, from whole values of the source around them.
  Status read_converted(const Recipe& recipe, uint64_t offset, std::span<std::byte> out) const {
    constexpr uint64_t kPiece = 16384;
    const quant::Format* format = quant::find_format(recipe.source_type);
    auto value_bytes = static_cast<uint64_t>(format->block_bytes);
    std::vector<std::byte> raw;
    std::vector<float> values;
    while (!out.empty()) {
      uint64_t first = offset / sizeof(float), skipped = offset % sizeof(float);
      uint64_t n = std::min<uint64_t>(kPiece, (skipped + out.size() + 3) / sizeof(float));
      raw.resize(n * value_bytes);
      values.resize(n);
      LANTERN_TRY(read_extents(recipe, first * value_bytes, raw));
      format->decode(raw.data(), static_cast<int64_t>(n), values.data());
      for (float& v : values) v += *recipe.add;
      uint64_t usable = std::min<uint64_t>(n * sizeof(float) - skipped, out.size());
      std::memcpy(out.data(), reinterpret_cast<const std::byte*>(values.data()) + skipped, usable);
      out = out.subspan(usable);
      offset += usable;
    }
    return {};
  }

  std::shared_ptr<const Checkpoint> source_;
  Metadata metadata_;
  TensorTable table_;
  std::vector<Recipe> recipes_;  // by the tensor's place in the table
};

namespace {

/// The piece's bytes, joined to the last extent where they follow it in the same source.
Status add_piece(const TensorPiece& piece, const std::string& name, Recipe& recipe) {
  const Tensor& source = *piece.source;
  if (piece.row_begin < 0 || piece.row_begin > piece.row_end || piece.row_end > row_count(source))
    return make_error(ErrorCode::kCorrupt, "tensor {}: rows {} to {} of {} {} do not exist",
                      printable(name), piece.row_begin, piece.row_end, printable(source.name),
                      describe_shape(source.shape));
  if (source.type != recipe.source_type)
    return make_error(ErrorCode::kCorrupt, "tensor {}: its pieces are of different types",
                      printable(name));
  LANTERN_ASSIGN(uint64_t row_bytes, bytes_of_row(source));
  // No overflow: both lie within the source's own bytes.
  uint64_t offset = row_bytes * static_cast<uint64_t>(piece.row_begin);
  uint64_t bytes = row_bytes * static_cast<uint64_t>(piece.row_end - piece.row_begin);
  if (bytes == 0) return {};
  uint64_t begin = 0;
  if (!recipe.extents.empty()) {
    Extent& last = recipe.extents.back();
    begin = last.begin + last.bytes;
    if (last.source == &source && last.source_offset + last.bytes == offset) {
      last.bytes += bytes;
      return {};
    }
  }
  recipe.extents.push_back({begin, bytes, &source, offset});
  return {};
}

struct Prepared {
  Tensor tensor;
  Recipe recipe;
};

Result<Prepared> prepare(RenamedTensor&& renamed, const Checkpoint& source) {
  Prepared result;
  auto& [tensor, recipe] = result;
  tensor.name = std::move(renamed.name);
  tensor.shape = std::move(renamed.shape);
  recipe.add = renamed.add;
  CheckedSize n_elements(1);
  for (int64_t n : tensor.shape) n_elements = n_elements * static_cast<uint64_t>(n);
  if (tensor.shape.empty() || !n_elements.value_as<int64_t>() || *n_elements.value() == 0)
    return make_error(ErrorCode::kCorrupt, "tensor {}: shape {} makes no tensor",
                      printable(tensor.name), describe_shape(tensor.shape));

  uint64_t held_bytes = 0;
  if (renamed.pieces.empty()) {
    recipe.values = std::move(renamed.values);
    held_bytes = recipe.values.size() * sizeof(float);
  } else {
    recipe.source_type = renamed.pieces[0].source->type;
    tensor.file = renamed.pieces[0].source->file;
    for (const TensorPiece& piece : renamed.pieces) {
      if (source.find(piece.source->name) != piece.source)
        return make_error(ErrorCode::kInvalidArgument, "tensor {}: a piece of another checkpoint",
                          printable(tensor.name));
      LANTERN_TRY(add_piece(piece, tensor.name, recipe));
    }
    if (!recipe.extents.empty())
      held_bytes = recipe.extents.back().begin + recipe.extents.back().bytes;
  }
  if (recipe.add && !is_float(recipe.source_type))
    return make_error(ErrorCode::kUnsupported, "tensor {}: adding to a quantized tensor",
                      printable(tensor.name));
  tensor.type = recipe.add ? quant::DType::kF32 : recipe.source_type;
  auto columns = static_cast<uint64_t>(tensor.shape.back());
  LANTERN_ASSIGN(uint64_t source_row, quant::row_bytes(recipe.source_type, columns));
  LANTERN_ASSIGN(uint64_t row, quant::row_bytes(tensor.type, columns));
  uint64_t n_rows = *n_elements.value() / columns;
  auto source_bytes = (CheckedSize(source_row) * n_rows).value();
  auto bytes = (CheckedSize(row) * n_rows).value();
  if (!source_bytes || !bytes || *source_bytes != held_bytes)
    return make_error(ErrorCode::kCorrupt,
                      "tensor {}: shape {} does not hold the {} bytes of its pieces",
                      printable(tensor.name), describe_shape(tensor.shape), held_bytes);
  tensor.bytes = *bytes;
  return result;
}

}  // namespace

TensorPiece all_rows(const Tensor& source) { return {&source, 0, row_count(source)}; }

Result<std::unique_ptr<Checkpoint>> rename_tensors(std::shared_ptr<const Checkpoint> source,
                                                   Metadata metadata,
                                                   std::vector<RenamedTensor> tensors) {
  std::vector<Tensor> table;
  std::vector<Recipe> recipes;
  for (RenamedTensor& renamed : tensors) {
    LANTERN_ASSIGN(Prepared prepared, prepare(std::move(renamed), *source));
    table.push_back(std::move(prepared.tensor));
    recipes.push_back(std::move(prepared.recipe));
  }
  std::string where = source->files().empty() ? "model" : source->files()[0].parent_path().string();
  LANTERN_ASSIGN(TensorTable named, TensorTable::create(std::move(table), where));
  return std::unique_ptr<Checkpoint>(std::make_unique<RenamedCheckpoint>(
      std::move(source), std::move(metadata), std::move(named), std::move(recipes)));
}

}  // namespace lantern::format
