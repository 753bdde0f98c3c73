// Whether a value is valid against a schema: which of the values that a schema lists remain.
#include <algorithm>

#include "text/grammar/schema_facts.h"
#include "text/grammar/schema_formats.h"
#include "text/unicode.h"

namespace lantern::text::grammar {
namespace {

constexpr int kValueDepthMax = 100;

const Json* find(const Json& schema, std::string_view name) {
  const auto it = schema.find(name);
  return it == schema.end() ? nullptr : &*it;
}

/// 1 and 1.0 are equal, and the order of members says nothing.
bool equal(const Json& a, const Json& b, int depth) {
  if (depth > kValueDepthMax) return false;
  if (a.is_number() && b.is_number()) {
    const auto x = to_decimal(a);
    const auto y = to_decimal(b);
    return x && y ? compare(*x, *y) == 0 : a == b;
  }
  if (a.is_array() && b.is_array())
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](const Json& x, const Json& y) { return equal(x, y, depth + 1); });
  if (a.is_object() && b.is_object()) {
    if (a.size() != b.size()) return false;
    for (const auto& [key, value] : a.items()) {
      const Json* other = find(b, key);
      if (other == nullptr || !equal(value, *other, depth + 1)) return false;
    }
    return true;
  }
  return a == b;
}

}  // namespace

/// The same text for values that are equal: 1 and 1.0 are, and the order of members says nothing.
std::string key_of(const Json& value) {
  if (value.is_number()) {
    const auto decimal = to_decimal(value);
    return decimal ? to_text(*decimal) : value.dump();
  }
  if (!value.is_structured()) return value.dump();
  std::vector<std::string> parts;
  for (const auto& [key, one] : value.items())
    parts.push_back(value.is_object() ? Json(key).dump() + ":" + key_of(one) : key_of(one));
  if (value.is_object()) std::ranges::sort(parts);
  std::string out(1, value.is_object() ? '{' : '[');
  for (const std::string& part : parts) out += part + ",";
  return out;
}

namespace {

int64_t n_chars(std::string_view text) {
  int64_t n = 0;
  for (; !text.empty(); ++n) text.remove_prefix(decode_utf8(text).length);
  return n;
}

}  // namespace

/// Whether `list`, the enum of schema `id`, has `value`.
Result<bool> SchemaFacts::is_listed(SchemaId id, const Json& list, const Json& value) {
  const auto [keys, is_new] = listed_.try_emplace(id);
  if (is_new) {
    LANTERN_TRY(budget_.spend(list.size() * 50));
    for (const Json& one : list) keys->second.insert(key_of(one));
  }
  return keys->second.contains(key_of(value));
}

Result<bool> SchemaFacts::admits(SchemaId id, const Json& value, int depth) {
  if (depth > kValueDepthMax)
    return make_error(ErrorCode::kTooLarge, "JSON schema: references nested deeper than {}",
                      kValueDepthMax);
  LANTERN_TRY(budget_.spend(50));
  LANTERN_TRY(set_.check(id));
  const Json& schema = set_.at(id);
  if (schema.is_boolean()) return schema.get<bool>();
  if (find(schema, "$ref") != nullptr) {
    LANTERN_ASSIGN(const SchemaId target, set_.resolve(id));
    LANTERN_ASSIGN(const bool ok, admits(target, value, depth + 1));
    if (!ok || set_.ref_stands_alone()) return ok;
  }
  if (find(schema, "type") != nullptr) {
    LANTERN_ASSIGN(const uint8_t of, types(id));
    if ((of & type_of(value)) == 0) return false;
  }
  if (const Json* only = find(schema, "const"); only != nullptr && !equal(*only, value, 0))
    return false;
  if (const Json* list = find(schema, "enum")) {
    LANTERN_ASSIGN(const bool listed, is_listed(id, *list, value));
    if (!listed) return false;
  }
  if (const Json* list = find(schema, kNotIn))
    if (std::ranges::any_of(*list, [&](const Json& v) { return equal(v, value, 0); })) return false;
  Result<bool> own = true;
  if (value.is_number()) own = admits_number(id, value);
  if (value.is_string()) own = admits_string(id, value);
  if (value.is_array()) own = admits_array(id, value, depth);
  if (value.is_object()) own = admits_object(id, value, depth);
  if (!own.ok() || !*own) return own;
  return admits_combination(id, value, depth);
}

Result<bool> SchemaFacts::admits_number(SchemaId id, const Json& value) {
  const Branch branch{.schemas = {id}};
  LANTERN_ASSIGN(const NumberBounds bounds, numbers(branch));
  const std::optional<Decimal> number = to_decimal(value);
  if (!number)
    return make_error(ErrorCode::kTooLarge, "JSON schema: a number of more than 400 digits");
  if (bounds.least) {
    const int order = compare(*number, bounds.least->value);
    if (order < 0 || (order == 0 && bounds.least->exclusive)) return false;
  }
  if (bounds.most) {
    const int order = compare(*number, bounds.most->value);
    if (order > 0 || (order == 0 && bounds.most->exclusive)) return false;
  }
  for (const Decimal& divisor : bounds.multiples) {
    const std::optional<bool> multiple = is_multiple(*number, divisor);
    if (!multiple) return set_.unsupported(id, "multipleOf", "it has too many digits");
    if (!*multiple) return false;
  }
  return true;
}

Result<bool> SchemaFacts::admits_string(SchemaId id, const Json& value) {
  const Branch branch{.schemas = {id}};
  LANTERN_ASSIGN(const StringFacts facts, strings(branch));
  const auto& text = value.get_ref<const std::string&>();
  const int64_t length = n_chars(text);
  if (length < facts.length.least ||
      (facts.length.most != kUnbounded && length > facts.length.most))
    return false;
  for (const std::string& regex : facts.not_patterns) {
    const Result<CharDfa>& dfa = pattern(regex, false);
    if (!dfa.ok()) return dfa.error();
    if (dfa->matches(text)) return false;
  }
  for (const bool whole : {true, false}) {
    for (const std::string& regex : whole ? facts.formats : facts.patterns) {
      const Result<CharDfa>& dfa = pattern(regex, whole);
      if (!dfa.ok()) return dfa.error();
      LANTERN_TRY(budget_.spend(text.size()));
      if (!dfa->matches(text)) return false;
    }
  }
  return true;
}

Result<bool> SchemaFacts::admits_array(SchemaId id, const Json& value, int depth) {
  const Json& schema = set_.at(id);
  LANTERN_ASSIGN(const int64_t least, count(id, "minItems", 0));
  LANTERN_ASSIGN(const int64_t most, count(id, "maxItems", kRepeatMax));
  const auto n = static_cast<int64_t>(value.size());
  if (n < least || n > most) return false;
  const Json* tuple = find(schema, "prefixItems");
  std::string_view tuple_name = "prefixItems";
  std::string_view rest_name = "items";
  const Json* items = find(schema, "items");
  if (items != nullptr && items->is_array()) {
    tuple = items;
    tuple_name = "items";
    rest_name = "additionalItems";
  }
  for (size_t i = 0; i < value.size(); ++i) {
    SchemaId of = kNone;
    if (tuple != nullptr && tuple->is_array() && i < tuple->size())
      of = set_.child(id, tuple_name, i);
    else if (find(schema, rest_name) != nullptr)
      of = set_.child(id, rest_name);
    if (of == kNone) continue;
    LANTERN_ASSIGN(const bool ok, admits(of, value[i], depth + 1));
    if (!ok) return false;
  }
  if (const Json* some = find(schema, kSomeItem)) {
    const SchemaId every = set_.child(id, kSomeItem, std::string("every"));
    bool found = false;
    for (size_t i = (*some)["from"].get<size_t>(); i < value.size() && !found; ++i) {
      LANTERN_ASSIGN(const bool ok, admits(every, value[i], depth + 1));
      found = !ok;
    }
    if (!found) return false;
  }
  const Json* unique = find(schema, "uniqueItems");
  if (unique == nullptr || !unique->is_boolean() || !unique->get<bool>()) return true;
  LANTERN_TRY(budget_.spend(value.size() * value.size()));
  for (size_t i = 0; i < value.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (equal(value[i], value[j], 0)) return false;
  return true;
}

Result<bool> SchemaFacts::has_some_member(SchemaId id, const Json& value, int depth) {
  const Json& some = *find(set_.at(id), kSomeMember);
  const SchemaId every = set_.child(id, kSomeMember, std::string("every"));
  for (const auto& [name, member] : value.items()) {
    const auto has = [&, &of = name](const Json& text) {
      return pattern(text.get<std::string>(), false)->matches(of);
    };
    if (std::ranges::find(some["names"], Json(name)) != some["names"].end() ||
        !std::ranges::all_of(some["with"], has) || std::ranges::any_of(some["without"], has))
      continue;
    LANTERN_ASSIGN(const bool ok, admits(every, member, depth + 1));
    if (!ok) return true;
  }
  return false;
}

Result<bool> SchemaFacts::admits_object(SchemaId id, const Json& value, int depth) {
  const Branch branch{.schemas = {id}};
  LANTERN_ASSIGN(const ObjectFacts facts, objects(branch));
  const auto n = static_cast<int64_t>(value.size());
  if (n < facts.least || (facts.most != kUnbounded && n > facts.most)) return false;
  for (const ObjectFacts::Member& m : facts.members)
    if (m.required && !value.contains(m.name)) return false;
  for (const auto& [name, member] : value.items()) {
    const auto named = std::ranges::find(facts.members, name, &ObjectFacts::Member::name);
    Conjunction of;
    bool allowed = false;
    if (named != facts.members.end()) {
      of = named->value;
      allowed = !named->forbidden;
    } else {
      for (const ObjectFacts::Extra& extra : facts.extras) {
        const auto has = [&](const std::string& p) { return pattern(p, false)->matches(name); };
        if (!std::ranges::all_of(extra.with, has) || std::ranges::any_of(extra.without, has))
          continue;
        of = extra.value;
        allowed = true;
      }
    }
    if (!allowed) return false;
    if (facts.names && named == facts.members.end()) {
      for (const SchemaId names : *facts.names) {
        LANTERN_ASSIGN(const bool fits, admits(names, Json(name), depth + 1));
        if (!fits) return false;
      }
    }
    for (const SchemaId schema : of) {
      LANTERN_ASSIGN(const bool ok, admits(schema, member, depth + 1));
      if (!ok) return false;
    }
  }
  if (find(set_.at(id), kSomeMember) != nullptr) {
    LANTERN_ASSIGN(const bool found, has_some_member(id, value, depth));
    if (!found) return false;
  }
  for (const std::string_view keyword : {"dependencies", "dependentRequired", "dependentSchemas"}) {
    const Json* all = find(set_.at(id), keyword);
    if (all == nullptr || !all->is_object()) continue;
    for (const auto& [name, needs] : all->items()) {
      if (!value.contains(name)) continue;
      if (needs.is_array()) {
        for (const Json& other : needs)
          if (other.is_string() && !value.contains(other.get<std::string>())) return false;
      } else if (needs.is_string()) {
        if (!value.contains(needs.get<std::string>())) return false;
      } else {
        LANTERN_ASSIGN(const bool ok, admits(set_.child(id, keyword, name), value, depth + 1));
        if (!ok) return false;
      }
    }
  }
  return true;
}

Result<bool> SchemaFacts::admits_combination(SchemaId id, const Json& value, int depth) {
  const Json& schema = set_.at(id);
  for (const std::string_view keyword : {"allOf", "anyOf", "oneOf"}) {
    const Json* parts = find(schema, keyword);
    if (parts == nullptr || !parts->is_array()) continue;
    size_t n_ok = 0;
    for (size_t i = 0; i < parts->size(); ++i) {
      LANTERN_ASSIGN(const bool ok, admits(set_.child(id, keyword, i), value, depth + 1));
      n_ok += ok ? 1 : 0;
    }
    if (keyword == "allOf" ? n_ok != parts->size() : keyword == "anyOf" ? n_ok == 0 : n_ok != 1)
      return false;
  }
  if (find(schema, "not") != nullptr) {
    LANTERN_ASSIGN(const bool ok, admits(set_.child(id, "not"), value, depth + 1));
    if (ok) return false;
  }
  if (find(schema, "if") != nullptr) {
    LANTERN_ASSIGN(const bool holds, admits(set_.child(id, "if"), value, depth + 1));
    const std::string_view keyword = holds ? "then" : "else";
    if (find(schema, keyword) != nullptr) return admits(set_.child(id, keyword), value, depth + 1);
  }
  return true;
}

}  // namespace lantern::text::grammar
