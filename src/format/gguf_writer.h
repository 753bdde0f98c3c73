// Writes GGUF version 3: header first, then the tensors' data streamed in order, into a file that
// appears when it is whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "format/checkpoint.h"
#include "format/metadata.h"

namespace lantern::format {

/// A tensor to be written; shape outermost first.
struct TensorPlan {
  std::string name;
  quant::DType type = quant::DType::kF32;
  std::vector<int64_t> shape;
};

class GgufWriter {
 public:
  /// Writes the header. Metadata keep their types on disk; alignment is general.alignment where
  /// that key is, else 32. Errors: kInvalidArgument for a plan that makes no valid file (a name
  /// twice or empty, more than four dimensions, rows no multiple of the block),
  /// kTooLarge, kIo.
  static Result<GgufWriter> create(const std::filesystem::path& path, const Metadata& metadata,
                                   std::vector<TensorPlan> tensors);

  /// The next bytes of tensor `index`'s data, in any pieces. Tensors come in the plan's order, and
  /// padding between them is the writer's.
  Status write(size_t index, std::span<const std::byte> bytes);

  /// Makes the file appear. kInvalidArgument where data is missing.
  Status commit();

 private:
  struct Placed {
    std::string name;
    uint64_t bytes = 0;
    uint64_t end = 0;  // of its data and padding, in the data's part
  };

  GgufWriter(base::AtomicFile file, std::vector<Placed> tensors)
      : file_(std::move(file)), tensors_(std::move(tensors)) {}

  base::AtomicFile file_;
  std::vector<Placed> tensors_;
  size_t current_ = 0;     // the tensor that is being written
  uint64_t written_ = 0;   // of its bytes
  uint64_t position_ = 0;  // in the data's part
};

}  // namespace lantern::format
