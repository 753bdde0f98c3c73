// The checks on tensor tables that every format needs: names once each, data inside its
// file, no two tensors on the same bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/checkpoint.h"

namespace lantern::format {

/// Tensors in their file's order, found by name in logarithmic time (a hash table's worst case is
/// a file's to choose).
class TensorTable {
 public:
  /// kCorrupt where two tensors have one name. `source` names the file in messages.
  static Result<TensorTable> create(std::vector<Tensor> tensors, std::string_view source);

  [[nodiscard]] std::span<const Tensor> tensors() const { return tensors_; }
  [[nodiscard]] const Tensor* find(std::string_view name) const;

 private:
  std::vector<Tensor> tensors_;
  std::vector<uint32_t> by_name_;
};

/// kCorrupt where two tensors have one name. `source` names the file in messages.
Status check_names(std::span<const Tensor> tensors, std::string_view source);

/// kCorrupt where a tensor's bytes reach past `file_size`, or two tensors of one file overlap.
/// `source` names the file in messages.
Status check_extents(std::span<const Tensor> tensors, uint64_t file_size, std::string_view source);

/// "attn_q.weight [1024, 576]", for messages.
std::string describe_shape(std::span<const int64_t> shape);

/// Elements of a tensor, checked when it was read.
int64_t element_count(const Tensor& tensor);

}  // namespace lantern::format
