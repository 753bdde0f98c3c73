#include "gate/store.h"

#include <algorithm>

#include "gate/governance.h"
#include "gate/resolve.h"

namespace lantern::gate {

Result<supply::Store::Removed> remove_stored(std::string_view name, const audit::Actor& actor) {
  LANTERN_ASSIGN(const supply::Store store, open_store());
  LANTERN_ASSIGN(const supply::StoredModel stored, store.find(name));
  LANTERN_ASSIGN(Composition model, composition_of(stored));
  if (std::ranges::find(stored.aliases, name) != stored.aliases.end()) model.name = name;
  LANTERN_ASSIGN(const Governance governance, Governance::open());
  auto recorded = governance.log().append(
      {.action = audit::Action::kRemove, .actor = actor, .model = Governance::model_ref(model)});
  if (!recorded.ok()) return std::move(recorded).error();
  return store.remove(name);
}

}  // namespace lantern::gate
