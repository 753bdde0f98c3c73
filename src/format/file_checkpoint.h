// A Checkpoint whose tensors lie as they are in one file or several.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "format/checkpoint.h"
#include "format/source.h"
#include "format/tensor_table.h"

namespace lantern::format {

class FileCheckpoint final : public Checkpoint {
 public:
  struct File {
    std::filesystem::path path;
    std::unique_ptr<Source> source;
  };

  /// Tensor::file indexes `files`; every extent was checked.
  FileCheckpoint(Metadata metadata, TensorTable table, std::vector<File> files)
      : metadata_(std::move(metadata)), table_(std::move(table)) {
    for (File& file : files) {
      paths_.push_back(std::move(file.path));
      sources_.push_back(std::move(file.source));
    }
  }

  [[nodiscard]] const Metadata& metadata() const override { return metadata_; }
  [[nodiscard]] std::span<const Tensor> tensors() const override { return table_.tensors(); }
  [[nodiscard]] std::span<const std::filesystem::path> files() const override { return paths_; }
  [[nodiscard]] const Tensor* find(std::string_view name) const override {
    return table_.find(name);
  }
  [[nodiscard]] std::vector<std::optional<base::FileStamp>> stamps() const override {
    std::vector<std::optional<base::FileStamp>> stamps;
    stamps.reserve(sources_.size());
    for (const auto& source : sources_) stamps.push_back(source->stamp());
    return stamps;
  }

 protected:
  Status read(const Tensor& tensor, uint64_t offset, std::span<std::byte> out) const override {
    return sources_[tensor.file]->read_at(tensor.offset + offset, out);
  }

 private:
  Metadata metadata_;
  TensorTable table_;
  std::vector<std::filesystem::path> paths_;
  std::vector<std::unique_ptr<Source>> sources_;
};

}  // namespace lantern::format
