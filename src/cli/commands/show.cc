// lantern show: one model of the store, its files and where they came from.
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/store_report.h"
#include "cli/table.h"
#include "gate/store.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model;
  bool json = false;
};

/// How the next load will check the files.
std::string_view explained(policy::Tier tier) {
  switch (tier) {
    case policy::Tier::kA:
      return "sealed with fs-verity";
    case policy::Tier::kB:
      return "by keyed receipt";
    case policy::Tier::kC:
      break;
  }
  return "hashed at the next load";
}

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(const supply::Store store, gate::open_store());
  LANTERN_ASSIGN(const supply::StoredModel model, store.find(flags.model));
  LANTERN_ASSIGN(const auto states, gate::states_of({&model, 1}));
  LANTERN_ASSIGN(const policy::Tier tier, gate::expected_tier(model));
  if (flags.json) {
    base::OrderedJson report = model_report(model, states.front());
    report["tier"] = policy::tier_name(tier);
    LANTERN_TRY(print_json(report));
    return Exit::kDone;
  }
  const supply::Manifest& manifest = model.manifest;
  std::string aliases;
  for (const std::string& alias : model.aliases) aliases += (aliases.empty() ? "" : ", ") + alias;
  std::vector<std::vector<std::string>> rows = {
      {"names", aliases},
      {"id", "sha256:" + base::to_hex(manifest.id)},
      {"state", std::string(policy::model_state_name(states.front()))},
      {"integrity", fmt::format("tier {}, {}", policy::tier_name(tier), explained(tier))},
      {"size", base::format_bytes(manifest.bytes())},
      {"licence", manifest.licence.empty() ? "unknown" : manifest.licence},
      {"source", manifest.source},
      {"pulled", manifest.pulled_at},
      {"path", model.entry().string()},
  };
  if (!manifest.revision.empty()) rows.insert(rows.begin() + 7, {"revision", manifest.revision});
  std::vector<std::vector<std::string>> files = {{"FILE", "BYTES", "SHA-256"}};
  for (const auto& file : manifest.files)
    files.push_back({file.path, std::to_string(file.size), base::to_hex(file.digest)});
  LANTERN_TRY(print(visible(table(rows) + "\n" + table(files, {1}))));
  tell("lantern inspect " + model.name() + " shows what is inside");
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "a name or the first digits of an id")->required();
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/show.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_show;
const Command k_show = {
    .name = "show",
    .access = ModelAccess::kDescribes,
    .summary = "show a model's files, digests and source",
    .examples = "  lantern show smollm2\n  lantern show b179c9 --json",
    .define = define,
};

}  // namespace lantern::cli
