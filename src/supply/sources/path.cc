// A path: a GGUF file, the part of a split one, or a Hugging Face folder of this machine, copied
// into the store and hashed on the way. Never linked or renamed in: whoever holds the original open
// for writing could change it after the check.
#include <algorithm>
#include <filesystem>
#include <numeric>

#include "base/file.h"
#include "base/thread_pool.h"
#include "supply/local_model.h"
#include "supply/names.h"
#include "supply/parallel.h"
#include "supply/selection.h"
#include "supply/source.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;

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
    std::vector<uint64_t> sizes;
    for (const auto& file : model_.files) sizes.push_back(file.size);
    const uint64_t total = std::accumulate(sizes.begin(), sizes.end(), uint64_t{0});
    base::Progress progress({.label = "Copying " + reference_.path, .total = total},
                            context.progress);
    // Cores that have no file of their own hash beside one that copies.
    const int n_threads_a_file =
        base::usable_physical_cores() >= 2 * static_cast<int>(std::min<size_t>(sizes.size(), 64))
            ? 2
            : 1;
    std::vector<StagedFile> staged(model_.files.size());
    const auto take_in = [&](size_t i, const std::stop_token& stop) -> Status {
      const LocalFile& file = model_.files[i];
      // Flat in the staging folder: the number keeps names of different folders apart.
      const fs::path at = folder.path() / fmt::format("{}", i);
      LANTERN_ASSIGN(StagedWriter writer,
                     StagedWriter::create(at, file.name, context.store.verity()));
      LANTERN_ASSIGN(const base::ReadFile from, base::ReadFile::open(file.path));
      LANTERN_TRY(
          writer.copy(from, {.stop = stop, .progress = &progress, .n_threads = n_threads_a_file}));
      LANTERN_ASSIGN(staged[i], writer.finish());
      return {};
    };
    LANTERN_TRY(for_each_file(sizes, context.stop, take_in));
    progress.finish();
    return staged;
  }

  Result<std::optional<FoundSignature>> signature(const Plan&,
                                                  const PullContext& context) override {
    const fs::path folder =
        model_.kind == ModelKind::kFolder ? model_.entry : model_.entry.parent_path();
    for (const std::string& name : signature_names(model_.kind, model_.files.front().name)) {
      auto text = base::read_text_file(folder / name, kFoundSignatureBytesMax);
      if (text.ok()) return as_signature((folder / name).string(), std::move(*text), context);
      if (text.error().code != ErrorCode::kNotFound) return std::move(text).error();
    }
    return std::optional<FoundSignature>();
  }

 private:
  Reference reference_;
  LocalModel model_;
};

}  // namespace

std::unique_ptr<Source> make_path_source(Reference reference) {
  return std::make_unique<PathSource>(std::move(reference));
}

}  // namespace lantern::supply
