#include "supply/local_model.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "supply/names.h"
#include "supply/selection.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFolderEntriesMax = 100'000;

/// Names of the folder and of those below it that may hold templates, or how states are pooled.
Result<std::vector<std::string>> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const char* below : {"", "additional_chat_templates", "1_Pooling"}) {
    std::error_code code;
    for (fs::directory_iterator it(folder / below, code), end; !code && it != end;
         it.increment(code)) {
      std::error_code ignored;
      if (!it->is_regular_file(ignored)) continue;
      if (names.size() == kFolderEntriesMax)
        return make_error(ErrorCode::kTooLarge, "{}: more than {} files", folder.string(),
                          kFolderEntriesMax);
      names.push_back((fs::path(below) / it->path().filename()).string());
    }
    if (code && !*below) return base::errno_error(code.value(), folder.string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<LocalModel> assemble(const fs::path& folder, const Selection& selection) {
  LocalModel model{.kind = selection.kind};
  for (const auto& name : selection.names) {
    fs::path path = folder / name;
    LANTERN_ASSIGN(base::ReadFile file, base::ReadFile::open(path));
    model.files.push_back({.name = name, .path = path, .size = file.size()});
  }
  model.entry = model.kind == ModelKind::kFolder ? folder : model.files.front().path;
  return model;
}

}  // namespace

Status check_is_gguf(const fs::path& path, std::string_view name) {
  LANTERN_ASSIGN(base::ReadFile file, base::ReadFile::open(path));
  std::array<char, 16> head{};
  size_t n = std::min<uint64_t>(head.size(), file.size());
  LANTERN_TRY(file.read_at(0, std::as_writable_bytes(std::span(head).first(n))));
  std::string_view begin(head.data(), n);
  if (begin.starts_with("GGUF")) return {};
  std::string_view what = "no GGUF file";
  if (begin.starts_with("<!") || begin.starts_with("<html")) what = "a web page, not a GGUF file";
  if (begin.starts_with("PK\3\4")) what = "a zip archive, not a GGUF file";
  if (begin.starts_with("version https://")) what = "a Git LFS pointer, not the file it points to";
  if (n == 0) what = "empty";
  return make_error(ErrorCode::kUnsupported, "{}: this is {}", name, what);
}

Result<LocalModel> find_local_model(const fs::path& path) {
  std::error_code code;
  fs::file_status status = fs::status(path, code);
  if (!fs::exists(status))
    return make_error(ErrorCode::kNotFound, "{}: no such file or folder", path.string());
  if (fs::is_directory(status)) {
    LANTERN_ASSIGN(std::vector<std::string> names, names_in(path));
    LANTERN_ASSIGN(Selection selection, select_files(names, "", path.string()));
    return assemble(path, selection);
  }
  std::string name = path.filename().string();
  LANTERN_TRY(check_is_gguf(path, path.string()));
  if (!parse_split_name(name)) return assemble(path.parent_path(), {.names = {name}});
  fs::path folder = path.parent_path();
  LANTERN_ASSIGN(std::vector<std::string> names, names_in(folder.empty() ? "." : folder));
  LANTERN_ASSIGN(Selection selection, select_files(names, name, folder.string()));
  return assemble(folder, selection);
}

}  // namespace lantern::supply
