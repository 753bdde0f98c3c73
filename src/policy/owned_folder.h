// Reads files that only their owner can have written.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace lantern::policy {

/// A folder that belongs, as do its ancestors, to `owner` or root and is writable by nobody else
/// (ancestors may be sticky, as /tmp is). Links are refused, and names are looked up under the
/// descriptor that was checked.
class OwnedFolder {
 public:
  /// kNotFound; kDenied names who could change it.
  static Result<OwnedFolder> open(const std::filesystem::path& path, uid_t owner);
  [[nodiscard]] Result<OwnedFolder> folder(std::string_view name) const;

  /// A regular file under the same conditions. kTooLarge where it is longer.
  [[nodiscard]] Result<std::string> read(std::string_view name, size_t bytes_max) const;
  /// The names in it, sorted. kTooLarge past `count_max`.
  [[nodiscard]] Result<std::vector<std::string>> names(size_t count_max) const;

 private:
  OwnedFolder(std::filesystem::path path, uid_t owner, base::UniqueFd fd)
      : path_(std::move(path)), owner_(owner), fd_(std::move(fd)) {}
  std::filesystem::path path_;
  uid_t owner_;
  base::UniqueFd fd_;
};

}  // namespace lantern::policy
