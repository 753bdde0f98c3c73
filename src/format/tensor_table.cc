#include "format/tensor_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "base/printable.h"

namespace lantern::format {

namespace {

/// Indices into `tensors` in the order of their names; the error where one stands twice.
Result<std::vector<uint32_t>> sort_by_name(std::span<const Tensor> tensors,
                                           std::string_view source) {
  std::vector<uint32_t> by_name(tensors.size());
  std::iota(by_name.begin(), by_name.end(), 0u);
  std::sort(by_name.begin(), by_name.end(),
            [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
  auto twice = std::adjacent_find(by_name.begin(), by_name.end(), [&](uint32_t a, uint32_t b) {
    return tensors[a].name == tensors[b].name;
  });
  if (twice != by_name.end())
    return make_error(ErrorCode::kCorrupt, "{}: tensor {} stands twice in the file", source,
                      base::printable(tensors[*twice].name));
  return by_name;
}

}  // namespace

Status check_names(std::span<const Tensor> tensors, std::string_view source) {
  auto sorted = sort_by_name(tensors, source);
  if (!sorted.ok()) return std::move(sorted).error();
  return {};
}

Result<TensorTable> TensorTable::create(std::vector<Tensor> tensors, std::string_view source) {
  TensorTable table;
  table.tensors_ = std::move(tensors);
  LANTERN_ASSIGN(table.by_name_, sort_by_name(table.tensors_, source));
  return table;
}

const Tensor* TensorTable::find(std::string_view name) const {
  auto at = std::lower_bound(by_name_.begin(), by_name_.end(), name,
                             [&](uint32_t i, std::string_view n) { return tensors_[i].name < n; });
  if (at == by_name_.end() || tensors_[*at].name != name) return nullptr;
  return &tensors_[*at];
}

Status check_extents(std::span<const Tensor> tensors, uint64_t file_size, std::string_view source) {
  std::vector<const Tensor*> by_offset;
  by_offset.reserve(tensors.size());
  for (const Tensor& tensor : tensors) {
    if (tensor.offset > file_size || tensor.bytes > file_size - tensor.offset)
      return make_error(ErrorCode::kCorrupt,
                        "{}: tensor {}: {} bytes at offset {} reach past the end of the file, {} "
                        "bytes (is the download complete?)",
                        source, base::printable(tensor.name), tensor.bytes, tensor.offset,
                        file_size);
    if (tensor.bytes > 0) by_offset.push_back(&tensor);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const Tensor* a, const Tensor* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const Tensor& before = *by_offset[i - 1];
    const Tensor& after = *by_offset[i];
    if (after.offset - before.offset < before.bytes)
      return make_error(ErrorCode::kCorrupt, "{}: tensors {} and {} overlap at offset {}", source,
                        base::printable(before.name), base::printable(after.name), after.offset);
  }
  return {};
}

std::string describe_shape(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

int64_t element_count(const Tensor& tensor) {
  int64_t n = 1;
  for (int64_t d : tensor.shape) n *= d;
  return n;
}

}  // namespace lantern::format
