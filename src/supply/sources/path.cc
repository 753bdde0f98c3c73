// A path: a GGUF file, the part of a split one, or a Hugging Face folder of this machine, copied
// into the store and hashed on the way. Never linked or renamed in: whoever holds the original open
// for writing could change it after the check.
#include <algorithm>
#include <filesystem>

#include "supply/local_model.h"
#include "supply/names.h"
#include "supply/selection.h"
#include "supply/source.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunkBytes = 1u << 20;

class PathSource final : public Source {
 public:
  explicit PathSource(Reference reference) : reference_(std::move(reference)) {}

  Result<Plan> plan(const PullContext&) override {
    LANTERN_ASSIGN(model_, find_local_model(reference_.path));
    std::error_code code;
    fs::path absolute = fs::absolute(reference_.path, code);
    Plan plan{.name = model_.kind == ModelKind::kGguf
                          ? model_stem(model_.files.front().name)
                          : fs::weakly_canonical(absolute, code).filename().string(),
              .kind = model_.kind,
              .source = code ? reference_.path : absolute.string()};
    for (const auto& file : model_.files) {
      if (!is_safe_relative_path(file.name))
        return make_error(ErrorCode::kInvalidArgument,
                          "{}: rename it to be kept in the store (plain ASCII, not beginning with "
                          "'.', '-' or a blank), or run it where it lies",
                          file.path.string());
      plan.files.push_back({.name = file.name, .size = file.size});
    }
    return plan;
  }

  Result<std::vector<StagedFile>> fetch(const Plan&, const StagingFolder& folder,
                                        const PullContext& context) override {
    uint64_t total = 0;
    for (const auto& file : model_.files) total += file.size;
    base::Progress progress({.label = "Copying " + reference_.path, .total = total},
                            context.progress);
    std::vector<StagedFile> staged;
    for (const auto& file : model_.files) {
      // Flat in the staging folder: the number keeps names of different folders apart.
      fs::path at = folder.path() / fmt::format("{}", staged.size());
      LANTERN_ASSIGN(StagedWriter writer, StagedWriter::create(at, file.name));
      LANTERN_TRY(copy(file.path, writer, context.stop, progress));
      LANTERN_ASSIGN(StagedFile finished, writer.finish());
      staged.push_back(std::move(finished));
    }
    progress.finish();
    return staged;
  }

 private:
  static Status copy(const fs::path& from, StagedWriter& writer, const std::stop_token& stop,
                     base::Progress& progress) {
    LANTERN_ASSIGN(base::ReadFile file, base::ReadFile::open(from));
    std::vector<std::byte> buffer(std::min<uint64_t>(kChunkBytes, file.size()));
    for (uint64_t offset = 0; offset < file.size();) {
      LANTERN_TRY(check_stop(stop));
      auto chunk = std::span(buffer).first(std::min<uint64_t>(buffer.size(), file.size() - offset));
      LANTERN_TRY(file.read_at(offset, chunk));
      LANTERN_TRY(writer.write(chunk));
      offset += chunk.size();
      progress.advance(chunk.size());
    }
    return {};
  }

  Reference reference_;
  LocalModel model_;
};

}  // namespace

std::unique_ptr<Source> make_path_source(Reference reference) {
  return std::make_unique<PathSource>(std::move(reference));
}

}  // namespace lantern::supply
