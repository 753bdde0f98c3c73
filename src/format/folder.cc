#include "format/folder.h"

#include <algorithm>
#include <system_error>

#include "base/file.h"

namespace lantern::format {
namespace {

namespace fs = std::filesystem;

constexpr size_t kEntriesMax = 100'000;

}  // namespace

Result<std::string> Folder::read_text(std::string_view name, uint64_t max_bytes) const {
  LANTERN_ASSIGN(const std::unique_ptr<Source> source, open(name));
  if (source->size() > max_bytes)
    return make_error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are read", source->name(),
                      source->size(), max_bytes);
  std::string text(source->size(), '\0');
  LANTERN_TRY(source->read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

bool DiskFolder::has(std::string_view name) const {
  std::error_code ignored;
  return fs::is_regular_file(path_ / name, ignored);
}

Result<std::unique_ptr<Source>> DiskFolder::open(std::string_view name) const {
  return FileSource::open(path_ / name);
}

Result<std::vector<std::string>> DiskFolder::names_in(std::string_view below) const {
  const fs::path folder = path_ / below;
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(folder.empty() ? fs::path(".") : folder, error);
  if (error) return names;  // not there
  for (size_t n = 0; entries != fs::directory_iterator(); entries.increment(error)) {
    if (error) break;
    if (++n > kEntriesMax)
      return make_error(ErrorCode::kTooLarge, "{}: more than {} files", folder.string(),
                        kEntriesMax);
    std::error_code ignored;
    if (entries->is_regular_file(ignored)) names.push_back(entries->path().filename().string());
  }
  if (error) return base::errno_error(error.value(), folder.string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lantern::format
