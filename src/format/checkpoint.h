// One view of a model on disk, whatever wrote it: metadata by GGUF's keys, tensors by
// GGUF's names. GGUF files give theirs; a Hugging Face folder is translated by arch/.
//
// Anyone may look at names, shapes and metadata. Tensor data is read through
// read_tensor(), which asks for the AdmittedModel.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "format/admitted_model.h"
#include "format/metadata.h"
#include "quant/dtype.h"

namespace lantern::format {

struct Tensor {
  std::string name;
  quant::DType type = quant::DType::kF32;
  std::vector<int64_t> shape;  // outermost first: [rows, cols], [experts, rows, cols]
  uint64_t bytes = 0;          // of data
  uint32_t file = 0;           // index into Checkpoint::files()
  uint64_t offset = 0;         // absolute, in that file; 0 where the data is put together
};

struct HfFolder;

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;
  [[nodiscard]] virtual const Metadata& metadata() const = 0;
  [[nodiscard]] virtual std::span<const Tensor> tensors() const = 0;
  [[nodiscard]] virtual std::span<const std::filesystem::path> files() const = 0;
  [[nodiscard]] virtual const Tensor* find(std::string_view name) const = 0;
  /// Of each of files(), as it was opened; nothing for what is no file.
  [[nodiscard]] virtual std::vector<std::optional<base::FileStamp>> stamps() const {
    return std::vector<std::optional<base::FileStamp>>(files().size());
  }

  /// What lies beside the weights of a Hugging Face folder, read once; null for GGUF.
  [[nodiscard]] const HfFolder* folder() const { return folder_.get(); }
  void keep_folder(std::shared_ptr<const HfFolder> folder) { folder_ = std::move(folder); }

 protected:
  friend Status read_tensor(const AdmittedModel&, const Tensor&, uint64_t, std::span<std::byte>);
  /// Fills `out` from byte `offset` of the tensor's data, which lies inside it.
  virtual Status read(const Tensor& tensor, uint64_t offset, std::span<std::byte> out) const = 0;

 private:
  std::shared_ptr<const HfFolder> folder_;
  /// The one other reader, itself a checkpoint: made of another one's tensors.
  friend class RenamedCheckpoint;
};

/// Fills `out` with the tensor's bytes from `offset` on (row-major, little-endian, in its own block
/// format). kInvalidArgument outside the tensor, kCorrupt where the file was cut short meanwhile,
/// kIo.
Status read_tensor(const AdmittedModel& model, const Tensor& tensor, uint64_t offset,
                   std::span<std::byte> out);

}  // namespace lantern::format
