// lantern list: the models that are here.
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
  bool json = false;
  bool names = false;
};

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(const supply::Store store, gate::open_store());
  LANTERN_ASSIGN(const supply::Store::Listing listing, store.list());
  for (const std::string& problem : listing.problems) tell(problem);
  if (flags.names) {
    for (const auto& model : listing.models) LANTERN_TRY(print(model.name() + "\n"));
    return Exit::kDone;
  }
  LANTERN_ASSIGN(const auto states, gate::states_of(listing.models));
  if (flags.json) {
    base::OrderedJson models = base::OrderedJson::array();
    for (size_t i = 0; i < states.size(); ++i)
      models.push_back(model_report(listing.models[i], states[i]));
    LANTERN_TRY(print_json({{"models", models}}));
    return Exit::kDone;
  }
  if (listing.models.empty()) {
    tell("no models yet; lantern pull smollm2 gets the default one");
    return Exit::kDone;
  }
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "ID", "STATE", "SIZE", "LICENCE", "PULLED", "SOURCE"}};
  for (size_t i = 0; i < states.size(); ++i) {
    const supply::StoredModel& model = listing.models[i];
    rows.push_back({model.name(), base::to_hex(model.manifest.id).substr(0, 12),
                    std::string(policy::model_state_name(states[i])),
                    base::format_bytes(model.manifest.bytes()),
                    model.manifest.licence.empty() ? "unknown" : model.manifest.licence,
                    model.manifest.pulled_at.substr(0, 10), model.manifest.source});
  }
  LANTERN_TRY(print(visible(table(rows, {3}))));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_flag("--names", flags->names, "names alone, one a line");
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/list.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_list;
const Command k_list = {
    .name = "list",
    .access = ModelAccess::kNone,
    .summary = "list the models that are here",
    .examples = "  lantern list\n  lantern list --json",
    .define = define,
};

}  // namespace lantern::cli
