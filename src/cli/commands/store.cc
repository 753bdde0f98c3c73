// lantern store: what keeps the models that are here.
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/subcommands.h"
#include "gate/store.h"

namespace lantern::cli {
namespace {

struct Flags {
  bool json = false;
};

/// Hashes every file, and says of each model whether it is what it was.
Result<Exit> verify(const Flags& flags) {
  LANTERN_ASSIGN(const supply::Store store, gate::open_store());
  LANTERN_ASSIGN(const supply::Store::Listing listing, store.list());
  const std::stop_token stop = new_interruptible_scope();
  std::vector<std::string> problems = listing.problems;
  size_t n_files = 0;
  for (const supply::StoredModel& model : listing.models)
    for (const supply::ManifestFile& file : model.manifest.files) {
      ++n_files;
      const auto sound =
          store.verify_blob(file.digest, {.how = supply::Verify::kFull,
                                          .stop = stop,
                                          .progress = base::ProgressOutput::standard_error()});
      if (sound.ok()) continue;
      if (sound.error().code == ErrorCode::kCancelled) return sound.error();
      problems.push_back(model.name() + ": " + sound.error().message);
    }
  if (flags.json) {
    LANTERN_TRY(print_json(
        {{"models", listing.models.size()}, {"files", n_files}, {"problems", problems}}));
  } else {
    for (const std::string& problem : problems) LANTERN_TRY(print(visible(problem) + "\n"));
    LANTERN_TRY(print(fmt::format("{} models, {} files, {} problems\n", listing.models.size(),
                                  n_files, problems.size())));
  }
  return problems.empty() ? Exit::kDone : Exit::kNo;
}

Result<Exit> collect(const Flags& flags) {
  LANTERN_ASSIGN(const supply::Store store, gate::open_store());
  LANTERN_ASSIGN(const uint64_t freed, store.collect());
  if (flags.json) {
    LANTERN_TRY(print_json({{"freed_bytes", freed}}));
    return Exit::kDone;
  }
  LANTERN_TRY(print(fmt::format("{} freed\n", base::format_bytes(freed))));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  Subcommands subcommands(app);
  subcommands
      .add("verify", "hash every file of every model again", [flags] { return verify(*flags); })
      .add_flag("--json", flags->json, "a JSON document (docs/schemas/store-verify.json)");
  subcommands
      .add("collect", "delete what no model uses any more", [flags] { return collect(*flags); })
      .add_flag("--json", flags->json, "a JSON document (docs/schemas/store-collect.json)");
  return subcommands.action();
}

}  // namespace

extern const Command k_store;
const Command k_store = {
    .name = "store",
    .access = ModelAccess::kNone,
    .summary = "verify the store of models, and tidy it",
    .examples = "  lantern store verify\n  lantern store collect",
    .define = define,
};

}  // namespace lantern::cli
