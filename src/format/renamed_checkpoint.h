// A Checkpoint made of another one's tensors under other names: how arch/ shows a Hugging Face
// folder by GGUF's names. Nothing is copied; pieces are gathered as they are read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/checkpoint.h"

namespace lantern::format {

/// Consecutive rows of a source tensor. A row is a run of the last dimension, whatever stands
/// before it: a tensor [experts, rows, cols] has experts * rows of them. Of a vector, each element
/// is one.
struct TensorPiece {
  const Tensor* source = nullptr;  // of the source checkpoint
  int64_t row_begin = 0;
  int64_t row_end = 0;  // past the last
};

/// Its data is that of `pieces` one after another:
///   renamed           one piece, all rows
///   split             some rows of a fused tensor
///   stacked           every expert's tensor, shape [experts, rows, cols]
///   rows reordered    a piece for each run of rows (rotary heads)
/// or, where `pieces` is empty, `values`: a float32 tensor that the source has only as numbers in
/// its config (rope factors).
struct RenamedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<TensorPiece> pieces;  // all of one type
  std::vector<float> values;
  /// Makes the tensor float32, with this added to every value (gemma's norm weights, which GGUF
  /// keeps as 1 + w). 0 only converts.
  std::optional<float> add;
};

/// All rows of `source`.
TensorPiece all_rows(const Tensor& source);

/// The new checkpoint with `metadata`; source's tensors that no one names are not in it.
/// Errors: kCorrupt where shape and pieces do not hold the same number of bytes, types differ
/// within a tensor, rows lie outside their source, or a name stands twice. Float sources only
/// where `add` is set (kUnsupported).
Result<std::unique_ptr<Checkpoint>> rename_tensors(std::shared_ptr<const Checkpoint> source,
                                                   Metadata metadata,
                                                   std::vector<RenamedTensor> tensors);

}  // namespace lantern::format
