// The opposite of a schema, as a schema, where it can be said: for `not`, `if`, and alternatives of
// oneOf that overlap.
#include <algorithm>
#include <string>

#include "text/grammar/schema_facts.h"

namespace lantern::text::grammar {
namespace {

constexpr int kNegationDepthMax = 12;

Json of_type(std::string_view type, std::string_view keyword, Json value) {
  return Json{{"type", type}, {std::string(keyword), std::move(value)}};
}

/// The keyword that bounds the other side, and by how much it lies beyond.
struct Opposite {
  std::string_view keyword, type, other;
  int beyond;  // for counts: the least that is too much, or the most that is too little
};
constexpr Opposite kOpposites[] = {
    {"minimum", "number", "exclusiveMaximum", 0},
    {"exclusiveMinimum", "number", "maximum", 0},
    {"maximum", "number", "exclusiveMinimum", 0},
    {"exclusiveMaximum", "number", "minimum", 0},
    {"minLength", "string", "maxLength", -1},
    {"maxLength", "string", "minLength", 1},
    {"minItems", "array", "maxItems", -1},
    {"maxItems", "array", "minItems", 1},
    {"minProperties", "object", "maxProperties", -1},
    {"maxProperties", "object", "minProperties", 1},
};

Json other_types(uint8_t types) {
  Json out = Json::array();
  if ((types & kNull) == 0) out.push_back("null");
  if ((types & kBoolean) == 0) out.push_back("boolean");
  if ((types & (kInteger | kFraction)) == 0) out.push_back("number");
  if ((types & kInteger) != 0 && (types & kFraction) == 0) out.push_back("fraction");
  if ((types & kInteger) == 0 && (types & kFraction) != 0) out.push_back("integer");
  if ((types & kString) == 0) out.push_back("string");
  if ((types & kArray) == 0) out.push_back("array");
  if ((types & kObject) == 0) out.push_back("object");
  return out;
}

bool says_nothing(const Json& schema) {
  return (schema.is_boolean() && schema.get<bool>()) || (schema.is_object() && schema.empty());
}

}  // namespace

namespace {

/// The items that have schemas of their own.
const Json* item_tuple(const Json& schema) {
  for (const char* keyword : {"prefixItems", "items"})
    if (const auto it = schema.find(keyword); it != schema.end() && it->is_array()) return &*it;
  return nullptr;
}

Json wrong_item(size_t index, const Json& schema) {
  Json items = Json::array();
  for (size_t i = 0; i < index; ++i) items.push_back(true);
  items.push_back(Json{{"not", schema}});
  return Json{{"type", "array"}, {"minItems", index + 1}, {"prefixItems", std::move(items)}};
}

}  // namespace

/// None of the parts holds, or two of them do.
Result<Json> SchemaFacts::negated_one_of(SchemaId id, const Json& parts, int depth) {
  Json none = Json::array();
  Json ways = Json::array();
  for (size_t i = 0; i < parts.size(); ++i) {
    LANTERN_ASSIGN(Json opposite, negated(set_.child(id, "oneOf", i), depth + 1));
    none.push_back(std::move(opposite));
    for (size_t j = 0; j < i; ++j) {
      LANTERN_TRY(budget_.spend(50));
      ways.push_back(Json{{"allOf", Json::array({parts[j], parts[i]})}});
    }
  }
  ways.push_back(Json{{"allOf", std::move(none)}});
  return Json{{"anyOf", std::move(ways)}};
}

/// One way for each pattern, or for all that has none.
Result<Json> SchemaFacts::negated_members(SchemaId id, const std::string& keyword,
                                          const Json& value) {
  const Json& schema = set_.at(id);
  Json ways = Json::array();
  if (keyword == "patternProperties") {
    if (!value.is_object()) return set_.invalid(id, keyword, "an object is needed");
    for (const auto& [text, every] : value.items())
      if (!says_nothing(every))
        ways.push_back(some_member(Json::array({text}), Json::array(), Json::array(), every));
    return ways;
  }
  if (says_nothing(value)) return ways;
  Json names = Json::array();
  Json patterns = Json::array();
  if (const auto all = schema.find("properties"); all != schema.end() && all->is_object())
    for (const auto& [name, of] : all->items()) names.push_back(name);
  if (const auto all = schema.find("patternProperties"); all != schema.end() && all->is_object())
    for (const auto& [text, of] : all->items()) patterns.push_back(text);
  ways.push_back(some_member(Json::array(), patterns, names, value));
  return ways;
}

Result<SchemaId> SchemaFacts::negation(SchemaId id, int depth) {
  if (const auto known = negations_.find(id); known != negations_.end()) return known->second;
  LANTERN_ASSIGN(Json opposite, negated(id, depth));
  const SchemaId out = set_.make(std::move(opposite), set_.path(id) + " (not)");
  negations_.emplace(id, out);
  return out;
}

/// One alternative for each way of `keyword` not to hold.
Status SchemaFacts::negate_keyword(SchemaId id, const std::string& keyword, const Json& value,
                                   int depth, Json& ways) {
  for (const Opposite& o : kOpposites) {
    if (keyword != o.keyword) continue;
    if (!value.is_number()) return set_.unsupported(id, keyword, "its opposite cannot be said");
    if (o.type == "number") {
      ways.push_back(of_type(o.type, o.other, value));
      return {};
    }
    LANTERN_ASSIGN(const int64_t bound, count(id, keyword, 0));
    if (bound + o.beyond >= 0) ways.push_back(of_type(o.type, o.other, bound + o.beyond));
    return {};
  }
  if (keyword == "const") {
    ways.push_back(Json{{std::string(kNotIn), Json::array({value})}});
  } else if (keyword == "enum" && value.is_array()) {
    ways.push_back(Json{{std::string(kNotIn), value}});
  } else if (keyword == "pattern") {
    ways.push_back(of_type("string", kNotPattern, value));
  } else if (keyword == "required" && value.is_array()) {
    for (const Json& name : value)
      if (name.is_string())
        ways.push_back(of_type("object", "properties", Json{{name.get<std::string>(), false}}));
  } else if (keyword == "properties" && value.is_object()) {
    for (const auto& [name, schema] : value.items()) {
      if (says_nothing(schema)) continue;
      LANTERN_ASSIGN(Json opposite, negated(set_.child(id, keyword, name), depth + 1));
      Json way = of_type("object", "properties", Json{{name, std::move(opposite)}});
      way["required"] = Json::array({name});
      ways.push_back(std::move(way));
    }
  } else if (keyword == "allOf" || keyword == "anyOf") {
    Json parts = Json::array();
    for (size_t i = 0; i < value.size(); ++i) {
      LANTERN_ASSIGN(Json part, negated(set_.child(id, keyword, i), depth + 1));
      parts.push_back(std::move(part));
    }
    if (keyword == "allOf")
      ways.insert(ways.end(), parts.begin(), parts.end());
    else
      ways.push_back(Json{{"allOf", std::move(parts)}});
  } else if (keyword == "oneOf" && value.is_array()) {
    LANTERN_ASSIGN(Json way, negated_one_of(id, value, depth));
    ways.push_back(std::move(way));
  } else if (keyword == "items" || keyword == "additionalItems") {
    const Json* tuple = item_tuple(set_.at(id));
    if (keyword == "items" && value.is_array()) {
      for (size_t i = 0; i < value.size(); ++i) ways.push_back(wrong_item(i, value[i]));
    } else if ((keyword == "items") == (tuple == nullptr || !set_.at(id)["items"].is_array())) {
      if (!says_nothing(value))
        ways.push_back(some_item(tuple == nullptr ? 0 : std::ssize(*tuple), value));
    }
  } else if (keyword == "prefixItems" && value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) ways.push_back(wrong_item(i, value[i]));
  } else if (keyword == "additionalProperties" || keyword == "patternProperties") {
    LANTERN_ASSIGN(const Json all, negated_members(id, keyword, value));
    ways.insert(ways.end(), all.begin(), all.end());
  } else if (keyword == "if") {
    for (const auto& [then, holds] : {std::pair("then", true), std::pair("else", false)}) {
      const auto consequence = set_.at(id).find(then);
      if (consequence == set_.at(id).end() || says_nothing(*consequence)) continue;
      ways.push_back(Json{{"allOf", Json::array({holds ? value : Json{{"not", value}},
                                                 Json{{"not", *consequence}}})}});
    }
  } else if (keyword == "then" || keyword == "else") {
    // Said with `if`, without which they say nothing.
  } else if (keyword == "not") {
    ways.push_back(value);
  } else if (!says_nothing(value)) {
    return set_.unsupported(id, keyword, "its opposite cannot be said");
  }
  return {};
}

Result<Json> SchemaFacts::negated(SchemaId id, int depth) {
  if (depth > kNegationDepthMax) return set_.unsupported(id, "not", "it is nested too deep");
  LANTERN_TRY(budget_.spend(100));
  LANTERN_TRY(set_.check(id));
  const Json& schema = set_.at(id);
  if (schema.is_boolean()) return Json(!schema.get<bool>());
  Json ways = Json::array();
  if (schema.contains("$ref")) {
    LANTERN_ASSIGN(const SchemaId target, set_.resolve(id));
    LANTERN_ASSIGN(Json opposite, negated(target, depth + 1));
    if (set_.ref_stands_alone()) return opposite;
    ways.push_back(std::move(opposite));
  }
  for (const auto& [keyword, value] : schema.items()) {
    if (keyword == "$ref" || SchemaSet::says_nothing(keyword)) continue;
    if (keyword == "type") {
      LANTERN_ASSIGN(const uint8_t own, types_named(id));
      Json others = other_types(own);
      if (!others.empty()) ways.push_back(Json{{"type", std::move(others)}});
      continue;
    }
    LANTERN_TRY(negate_keyword(id, keyword, value, depth, ways));
  }
  if (ways.empty()) return Json(false);
  if (ways.size() == 1) return Json(ways[0]);
  return Json{{"anyOf", std::move(ways)}};
}

}  // namespace lantern::text::grammar
