// Where the readers of a model in several files find them: a folder on disk, or what a confined
// process was given as open descriptors.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "format/source.h"

namespace lantern::format {

/// Files by their names, '/' between folders. Thread-safe where its sources are.
class Folder {
 public:
  virtual ~Folder() = default;
  /// What messages and Checkpoint::files() call the folder; empty for the working one.
  [[nodiscard]] virtual const std::filesystem::path& path() const = 0;
  /// Whether `name` is a regular file.
  [[nodiscard]] virtual bool has(std::string_view name) const = 0;
  /// kNotFound, kIo, kInvalidArgument for what is no regular file.
  [[nodiscard]] virtual Result<std::unique_ptr<Source>> open(std::string_view name) const = 0;
  /// Names of the regular files right inside the sub-folder `below` ("": the folder itself),
  /// without it, sorted; none where it is not there. kTooLarge past 100,000 entries, kIo.
  [[nodiscard]] virtual Result<std::vector<std::string>> names_in(std::string_view below) const = 0;

  /// The whole file. kTooLarge where it is larger than `max_bytes`.
  [[nodiscard]] Result<std::string> read_text(std::string_view name, uint64_t max_bytes) const;
};

class DiskFolder final : public Folder {
 public:
  explicit DiskFolder(std::filesystem::path path) : path_(std::move(path)) {}

  [[nodiscard]] const std::filesystem::path& path() const override { return path_; }
  [[nodiscard]] bool has(std::string_view name) const override;
  [[nodiscard]] Result<std::unique_ptr<Source>> open(std::string_view name) const override;
  [[nodiscard]] Result<std::vector<std::string>> names_in(std::string_view below) const override;

 private:
  std::filesystem::path path_;
};

}  // namespace lantern::format
