// lantern remove: a model leaves the store.
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/output.h"
#include "gate/store.h"

namespace lantern::cli {
namespace {

Result<Exit> run(const std::vector<std::string>& names) {
  LANTERN_ASSIGN(const supply::Store store, gate::open_store());
  for (const std::string& name : names) {  // all or none
    if (auto found = store.find(name); !found.ok()) return std::move(found).error();
  }
  for (const std::string& name : names) {
    LANTERN_ASSIGN(const supply::Store::Removed removed,
                   gate::remove_stored(name, audit::this_process()));
    if (removed.alias_only)
      tell(fmt::format("removed the name {}; the model stays as {}", name, removed.model.name()));
    else
      tell(fmt::format("removed {}, {} freed", name, base::format_bytes(removed.freed_bytes)));
  }
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto names = std::make_shared<std::vector<std::string>>();
  app.add_option("MODEL", *names, "names, or the first digits of ids")->required();
  return [names] { return run(*names); };
}

}  // namespace

extern const Command k_remove;
const Command k_remove = {
    .name = "remove",
    .access = ModelAccess::kDescribes,
    .summary = "remove models from the store",
    .examples = "  lantern remove smollm2",
    .define = define,
};

}  // namespace lantern::cli
