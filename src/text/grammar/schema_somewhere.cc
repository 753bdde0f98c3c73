// The opposites of keywords that hold for all items or members: some item, some member must not
// satisfy a schema. Which one it is, is decided where the rest of the branch is known, so that each
// becomes an alternative that the other keywords can say.
#include <algorithm>
#include <string>

#include "text/grammar/schema_facts.h"

namespace lantern::text::grammar {
namespace {

/// Where items have no end, the places of a bounded number are tried one by one.
constexpr int64_t kPlacesMax = 32;

constexpr std::string_view kCannotBeSaid = "its opposite cannot be said";

bool says(const Json& schema, std::string_view keyword) {
  return schema.is_object() && schema.contains(keyword);
}

Json not_of(const Json& schema) { return Json{{"not", schema}}; }

bool lists(const Json& texts, const std::string& text) {
  return std::ranges::find(texts, Json(text)) != texts.end();
}

}  // namespace

/// What is said of all items from `from` on.
Json SchemaFacts::some_item(int64_t from, const Json& every) {
  return Json{{"type", "array"}, {std::string(kSomeItem), Json{{"from", from}, {"every", every}}}};
}

/// What is said of all members whose name has the patterns `with`, none of `without`, and is not
/// one of `names`. All of these become known to the branch that it stands in.
Json SchemaFacts::some_member(const Json& with, const Json& without, const Json& names,
                              const Json& every) {
  Json out = {{"type", "object"},
              {"properties", Json::object()},
              {"patternProperties", Json::object()},
              {std::string(kSomeMember),
               Json{{"with", with}, {"without", without}, {"names", names}, {"every", every}}}};
  for (const Json& name : names) out["properties"][name.get<std::string>()] = true;
  for (const Json* patterns : {&with, &without})
    for (const Json& text : *patterns) out["patternProperties"][text.get<std::string>()] = true;
  return out;
}

/// The alternatives for the first of these in `branch` that is not in `settled` yet; nothing where
/// there is none.
Result<std::optional<SchemaFacts::Choice>> SchemaFacts::settle_next(const Branch& branch,
                                                                    std::set<SchemaId>& settled) {
  for (const SchemaId id : branch.schemas) {
    const bool item = says(set_.at(id), kSomeItem);
    if (!item && !says(set_.at(id), kSomeMember)) continue;
    if (!settled.insert(id).second) continue;
    if (branch.types != (item ? kArray : kObject))
      return set_.unsupported(id, item ? "items" : "additionalProperties", kCannotBeSaid);
    LANTERN_ASSIGN(Choice choice, item ? some_items(branch, id) : some_members(branch, id));
    return std::optional(std::move(choice));
  }
  return std::optional<Choice>();
}

Result<SchemaFacts::Choice> SchemaFacts::some_items(const Branch& branch, SchemaId id) {
  const Json demand = *set_.at(id).find(kSomeItem);
  const Json& every = demand["every"];
  const auto from = demand["from"].get<int64_t>();
  LANTERN_ASSIGN(const ArrayFacts facts, arrays(branch));
  const auto n_prefix = static_cast<int64_t>(facts.prefix.size());
  Choice out;
  const auto at_place = [&](int64_t place) {
    Json items = Json::array();
    for (int64_t i = 0; i < place; ++i) items.push_back(true);
    items.push_back(not_of(every));
    out.push_back({set_.make(
        Json{{"type", "array"}, {"minItems", place + 1}, {"prefixItems", std::move(items)}},
        set_.path(id))});
  };
  for (int64_t place = from; place < n_prefix; ++place) at_place(place);
  const int64_t begin = std::max(from, n_prefix);
  Conjunction both = facts.rest;
  both.push_back(set_.make(every, set_.path(id)));
  std::ranges::sort(both);
  if (surely_empty(both, 3)) {
    // Whatever stands there is one.
    out.push_back({set_.make(Json{{"type", "array"}, {"minItems", begin + 1}}, set_.path(id))});
  } else if (facts.most != kUnbounded && facts.most <= kPlacesMax) {
    for (int64_t place = begin; place < facts.most; ++place) at_place(place);
  } else {
    return set_.unsupported(id, "items", kCannotBeSaid);
  }
  return out;
}

Result<SchemaFacts::Choice> SchemaFacts::some_members(const Branch& branch, SchemaId id) {
  const Json demand = *set_.at(id).find(kSomeMember);
  const Json& every = demand["every"];
  LANTERN_ASSIGN(const ObjectFacts facts, objects(branch));
  const auto has = [&](const std::string& name, const Json& text) {
    return pattern(text.get<std::string>(), false)->matches(name);
  };
  Choice out;
  const SchemaId of = set_.make(every, set_.path(id));
  for (const ObjectFacts::Member& m : facts.members) {
    LANTERN_TRY(budget_.spend(50));
    const auto has_it = [&](const Json& text) { return has(m.name, text); };
    if (m.forbidden || lists(demand["names"], m.name) ||
        !std::ranges::all_of(demand["with"], has_it) ||
        std::ranges::any_of(demand["without"], has_it))
      continue;
    out.push_back({set_.make(Json{{"type", "object"},
                                  {"required", Json::array({m.name})},
                                  {"properties", Json{{m.name, not_of(every)}}}},
                             set_.path(id))});
  }
  bool all = true, any = false;
  for (const ObjectFacts::Extra& extra : facts.extras) {
    const auto in = [](const std::vector<std::string>& list) {
      return [&list](const Json& text) {
        return std::ranges::find(list, text.get<std::string>()) != list.end();
      };
    };
    const bool is_meant = std::ranges::all_of(demand["with"], in(extra.with)) &&
                          std::ranges::all_of(demand["without"], in(extra.without));
    all = all && is_meant;
    any = any || is_meant;
    if (!is_meant) continue;
    // A name may be written twice, and readers take one: all must be alike.
    Conjunction both = extra.value;
    both.push_back(of);
    std::ranges::sort(both);
    if (!surely_empty(both, 3))
      return set_.unsupported(
          id, demand["with"].empty() ? "additionalProperties" : "patternProperties", kCannotBeSaid);
  }
  if (!any) return out;
  if (!all) return set_.unsupported(id, "patternProperties", kCannotBeSaid);
  out.push_back(
      {set_.make(Json{{"type", "object"}, {std::string(kSomeFurther), true}}, set_.path(id))});
  return out;
}

}  // namespace lantern::text::grammar
