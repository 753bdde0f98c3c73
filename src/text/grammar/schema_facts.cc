#include "text/grammar/schema_facts.h"

#include <algorithm>

#include "base/printable.h"
#include "text/grammar/regex.h"
#include "text/grammar/schema_formats.h"

namespace lantern::text::grammar {
namespace {

constexpr size_t kBranchesMax = 4096;
constexpr size_t kPatternsMax = 5;  // of an object's names: a case for each subset
constexpr size_t kPrefixMax = 2048;
constexpr size_t kChainMax = 200;  // of references and combinations before a value
constexpr std::string_view kFractionType = "fraction";

const Json* find(const Json& schema, std::string_view name) {
  if (!schema.is_object()) return nullptr;
  const auto it = schema.find(name);
  return it == schema.end() ? nullptr : &*it;
}

void add_to(Conjunction& conjunction, SchemaId id) {
  const auto it = std::ranges::lower_bound(conjunction, id);
  if (it == conjunction.end() || *it != id) conjunction.insert(it, id);
}

uint8_t types_of_values(const Json& values) {
  uint8_t out = 0;
  for (const Json& value : values) out |= type_of(value);
  return out;
}

}  // namespace

TypeBit type_of(const Json& value) {
  if (value.is_null()) return kNull;
  if (value.is_boolean()) return kBoolean;
  if (value.is_string()) return kString;
  if (value.is_array()) return kArray;
  if (value.is_object()) return kObject;
  if (value.is_number_integer()) return kInteger;
  const std::optional<Decimal> decimal = to_decimal(value);
  return !decimal || decimal->integral() ? kInteger : kFraction;
}

Result<uint8_t> SchemaFacts::types_named(SchemaId id) {
  const Json& schema = set_.at(id);
  uint8_t out = kAllTypes;
  if (const Json* type = find(schema, "type")) {
    out = 0;
    const auto add = [&](const Json& name) {
      static const std::map<std::string, uint8_t, std::less<>> kTypes = {
          {"null", kNull},
          {"boolean", kBoolean},
          {"integer", kInteger},
          {"string", kString},
          {"array", kArray},
          {"object", kObject},
          {"number", kInteger | kFraction},
          {"any", kAllTypes},
          {std::string(kFractionType), kFraction}};
      const auto known =
          name.is_string() ? kTypes.find(name.get_ref<const std::string&>()) : kTypes.end();
      if (known == kTypes.end() || (name == kFractionType && !set_.is_ours(id))) return false;
      out |= known->second;
      return true;
    };
    bool known = true;
    if (type->is_array())
      for (const Json& name : *type) known = known && add(name);
    else
      known = add(*type);
    if (!known) return set_.invalid(id, "type", "it names no type, or is none");
  }
  return out;
}

Result<uint8_t> SchemaFacts::types(SchemaId id) {
  const Json& schema = set_.at(id);
  LANTERN_ASSIGN(uint8_t out, types_named(id));
  if (const Json* excluded = find(schema, kNotIn)) {
    const auto lists = [&](const Json& value) {
      return std::ranges::find(*excluded, value) != excluded->end();
    };
    if (lists(nullptr)) out = static_cast<uint8_t>(out & ~kNull);
    if (lists(true) && lists(false)) out = static_cast<uint8_t>(out & ~kBoolean);
  }
  if (const Json* values = find(schema, "enum")) {
    if (!values->is_array()) return set_.invalid(id, "enum", "an array is needed");
    out &= types_of_values(*values);
  }
  if (const Json* value = find(schema, "const")) out &= type_of(*value);
  return out;
}

Conjunction SchemaFacts::simplified(Conjunction conjunction) {
  std::erase_if(conjunction, [&](SchemaId id) {
    const Json& schema = set_.at(id);
    return (schema.is_boolean() && schema.get<bool>()) || (schema.is_object() && schema.empty());
  });
  std::ranges::sort(conjunction);
  conjunction.erase(std::unique(conjunction.begin(), conjunction.end()), conjunction.end());
  return conjunction;
}

bool SchemaFacts::never(const Conjunction& conjunction) const {
  return std::ranges::any_of(conjunction, [&](SchemaId id) {
    return set_.at(id).is_boolean() && !set_.at(id).get<bool>();
  });
}

/// A branch under way.
struct SchemaFacts::Open {
  Branch branch;
  std::vector<SchemaId> todo;
  std::vector<Choice> choices;
  std::set<SchemaId> settled;  // see settle_next()
};

Result<std::vector<Branch>> SchemaFacts::branches(const Conjunction& conjunction,
                                                  Precision precision) {
  std::vector<Branch> out;
  std::vector<Open> work;
  work.push_back({.branch = {},
                  .todo = {conjunction.rbegin(), conjunction.rend()},
                  .choices = {},
                  .settled = {}});
  while (!work.empty()) {
    if (work.size() + out.size() > kBranchesMax)
      return make_error(ErrorCode::kTooLarge,
                        "JSON schema: its anyOf and oneOf combine to more than {} cases",
                        kBranchesMax);
    Open open = std::move(work.back());
    work.pop_back();
    bool dead = false;
    while (!dead && !open.todo.empty()) {
      const SchemaId id = open.todo.back();
      open.todo.pop_back();
      if (std::ranges::find(open.branch.schemas, id) != open.branch.schemas.end()) continue;
      LANTERN_TRY(budget_.spend(20 + open.branch.schemas.size()));
      LANTERN_TRY(open_schema(id, precision, open, dead));
    }
    if (dead) continue;
    if (open.choices.empty() && precision == Precision::kExact) {
      LANTERN_ASSIGN(auto settled, settle_next(open.branch, open.settled));
      if (settled) open.choices.push_back(*std::move(settled));
    }
    if (open.choices.empty()) {
      out.push_back(std::move(open.branch));
      continue;
    }
    const Choice choice = std::move(open.choices.back());
    open.choices.pop_back();
    // The last on top of the stack first, so that branches come in the schema's order.
    for (size_t i = choice.size(); i-- > 0;) {
      LANTERN_TRY(budget_.spend(100));
      work.push_back(open);
      work.back().todo.assign(choice[i].rbegin(), choice[i].rend());
    }
  }
  return out;
}

Status SchemaFacts::open_schema(SchemaId id, Precision precision, Open& open, bool& dead) {
  LANTERN_TRY(set_.check(id));
  std::vector<SchemaId> chain;
  LANTERN_TRY(check_ends(id, chain));
  const Json& schema = set_.at(id);
  if (schema.is_boolean()) {
    dead = !schema.get<bool>();
    return {};
  }
  if (find(schema, "$ref") != nullptr) {
    LANTERN_ASSIGN(const SchemaId target, set_.resolve(id));
    open.todo.push_back(target);
    open.branch.schemas.push_back(id);
    if (set_.ref_stands_alone()) return {};
  } else {
    open.branch.schemas.push_back(id);
  }
  LANTERN_ASSIGN(const uint8_t own_types, types(id));
  open.branch.types &= own_types;
  if (open.branch.types == 0) {
    dead = true;
    return {};
  }
  for (const std::string_view keyword : {"allOf", "anyOf", "oneOf"}) {
    const Json* parts = find(schema, keyword);
    if (parts == nullptr) continue;
    if (!parts->is_array() || parts->empty())
      return set_.invalid(id, keyword, "an array of schemas is needed");
    if (keyword == "oneOf") {
      LANTERN_ASSIGN(Choice choice, one_of(id, precision));
      open.choices.push_back(std::move(choice));
      continue;
    }
    Choice choice;
    for (size_t i = 0; i < parts->size(); ++i) choice.push_back({set_.child(id, keyword, i)});
    if (keyword == "anyOf") {
      open.choices.push_back(std::move(choice));
    } else {
      for (size_t i = choice.size(); i-- > 0;) open.todo.push_back(choice[i][0]);
    }
  }
  if (precision == Precision::kWider) return {};
  if (find(schema, "not") != nullptr) {
    LANTERN_ASSIGN(const SchemaId opposite, negation(set_.child(id, "not"), 0));
    open.todo.push_back(opposite);
  }
  if (find(schema, "if") != nullptr) {
    LANTERN_ASSIGN(Choice choice, implication(id));
    open.choices.push_back(std::move(choice));
  }
  for (const std::string_view keyword : {"dependencies", "dependentRequired", "dependentSchemas"})
    LANTERN_TRY(add_dependencies(id, keyword, open));
  return {};
}

Result<SchemaFacts::Choice> SchemaFacts::one_of(SchemaId id, Precision precision) {
  if (const auto known = one_of_.find(id); known != one_of_.end()) return known->second;
  const Json& parts = *find(set_.at(id), "oneOf");
  std::vector<SchemaId> ids;
  for (size_t i = 0; i < parts.size(); ++i) ids.push_back(set_.child(id, "oneOf", i));
  Choice out;
  for (const SchemaId part : ids) out.push_back({part});
  if (precision == Precision::kWider) return out;
  // What the schema says beside its oneOf may keep two of its parts apart, too.
  Json beside = set_.at(id);
  for (const std::string_view keyword : {"oneOf", "anyOf", "allOf", "$ref"})
    beside.erase(std::string(keyword));
  const SchemaId around = set_.make(std::move(beside), set_.path(id));
  for (size_t i = 0; i < ids.size(); ++i) {
    for (size_t j = 0; j < ids.size(); ++j) {
      if (i == j) continue;
      const Conjunction both = {std::min(ids[i], ids[j]), std::max(ids[i], ids[j]), around};
      if (surely_empty(both, 3)) continue;
      const Result<SchemaId> opposite = negation(ids[j], 0);
      if (!opposite.ok())
        return set_.unsupported(id, "oneOf",
                                fmt::format("alternatives {} and {} may both hold, and what tells "
                                            "them apart cannot be expressed ({})",
                                            i, j, opposite.error().message));
      out[i].push_back(*opposite);
    }
  }
  one_of_.emplace(id, out);
  return out;
}

/// kInvalidArgument where a schema leads back to itself without a value between: nothing decides
/// what it admits.
Status SchemaFacts::check_ends(SchemaId id, std::vector<SchemaId>& open) {
  if (end_.contains(id)) return {};
  if (std::ranges::find(open, id) != open.end())
    return set_.invalid(id, "$ref", "it leads back to itself, and never to a value");
  if (open.size() > kChainMax)
    return make_error(ErrorCode::kTooLarge, "JSON schema, {}: nested deeper than {}",
                      base::printable(set_.path(id)), kChainMax);
  LANTERN_TRY(budget_.spend(10));
  open.push_back(id);
  const Json& schema = set_.at(id);
  if (find(schema, "$ref") != nullptr) {
    LANTERN_ASSIGN(const SchemaId target, set_.resolve(id));
    LANTERN_TRY(check_ends(target, open));
  }
  if (find(schema, "$ref") == nullptr || !set_.ref_stands_alone()) {
    for (const std::string_view keyword : {"allOf", "anyOf", "oneOf"})
      if (const Json* parts = find(schema, keyword); parts != nullptr && parts->is_array())
        for (size_t i = 0; i < parts->size(); ++i)
          LANTERN_TRY(check_ends(set_.child(id, keyword, i), open));
    for (const std::string_view keyword : {"not", "if", "then", "else"})
      if (find(schema, keyword) != nullptr) LANTERN_TRY(check_ends(set_.child(id, keyword), open));
  }
  open.pop_back();
  end_.insert(id);
  return {};
}

Result<SchemaFacts::Choice> SchemaFacts::implication(SchemaId id) {
  const Json& schema = set_.at(id);
  const SchemaId condition = set_.child(id, "if");
  Choice out;
  out.push_back({condition});
  if (find(schema, "then") != nullptr) out.back().push_back(set_.child(id, "then"));
  LANTERN_ASSIGN(const SchemaId opposite, negation(condition, 0));
  out.push_back({opposite});
  if (find(schema, "else") != nullptr) out.back().push_back(set_.child(id, "else"));
  return out;
}

Status SchemaFacts::add_dependencies(SchemaId id, std::string_view keyword, Open& open) {
  const Json* all = find(set_.at(id), keyword);
  if (all == nullptr) return {};
  if (!all->is_object()) return set_.invalid(id, keyword, "an object is needed");
  for (const auto& [name, needs] : all->items()) {
    const SchemaId without = set_.make(Json{{"properties", Json{{name, false}}}},
                                       set_.path(id) + "/" + std::string(keyword));
    SchemaId with = kNone;
    if (needs.is_array() || needs.is_string()) {
      Json required = needs.is_array() ? needs : Json::array({needs});
      with = set_.make(Json{{"required", std::move(required)}},
                       set_.path(id) + "/" + std::string(keyword));
    } else {
      with = set_.child(id, keyword, name);
    }
    const SchemaId present =
        set_.make(Json{{"type", "object"}, {"required", Json::array({name})}}, set_.path(id));
    open.choices.push_back({{without}, {present, with}});
  }
  return {};
}

Result<int64_t> SchemaFacts::count(SchemaId id, std::string_view keyword, int64_t otherwise) {
  const Json* value = find(set_.at(id), keyword);
  if (value == nullptr) return otherwise;
  const std::optional<Decimal> decimal = value->is_number() ? to_decimal(*value) : std::nullopt;
  if (!decimal || decimal->negative || !decimal->integral())
    return set_.invalid(id, keyword, "a whole number, 0 or more, is needed");
  if (decimal->whole.size() > 9) return kRepeatMax;
  return std::stoll(decimal->whole);
}

Result<std::optional<std::vector<Json>>> SchemaFacts::values(const Branch& branch) {
  const Json* shortest = nullptr;
  Json single;
  for (const SchemaId id : branch.schemas) {
    const Json& schema = set_.at(id);
    if (set_.ref_stands_alone() && find(schema, "$ref") != nullptr) continue;
    if (const Json* value = find(schema, "const")) {
      single = Json::array({*value});
      shortest = &single;
      break;
    }
    const Json* list = find(schema, "enum");
    if (list != nullptr && (shortest == nullptr || list->size() < shortest->size()))
      shortest = list;
  }
  if (shortest == nullptr) return std::optional<std::vector<Json>>();
  std::vector<Json> out;
  std::set<std::string> keys;
  for (const Json& value : *shortest) {
    bool admitted = (branch.types & type_of(value)) != 0;
    for (const SchemaId id : branch.schemas) {
      if (!admitted) break;
      LANTERN_ASSIGN(admitted, admits(id, value));
    }
    if (admitted && keys.insert(key_of(value)).second) out.push_back(value);
  }
  return std::optional(std::move(out));
}

std::vector<Json> SchemaFacts::excluded(const Branch& branch, uint8_t types) {
  std::vector<Json> out;
  std::set<std::string> keys;
  for (const SchemaId id : branch.schemas)
    if (const Json* values = find(set_.at(id), kNotIn))
      for (const Json& value : *values)
        if ((type_of(value) & types) != 0 && keys.insert(key_of(value)).second)
          out.push_back(value);
  return out;
}

Status SchemaFacts::check_excluded(const Branch& branch, uint8_t types) {
  for (const SchemaId id : branch.schemas)
    if (const Json* excluded = find(set_.at(id), kNotIn))
      for (const Json& value : *excluded)
        if ((type_of(value) & types) != 0)
          return set_.unsupported(id, "not", "fractions, arrays and objects cannot be left out");
  return {};
}

Result<NumberBounds> SchemaFacts::numbers(const Branch& branch) {
  NumberBounds out;
  out.integer = (branch.types & kFraction) == 0;
  out.fraction = (branch.types & kInteger) == 0;
  for (const SchemaId id : branch.schemas) {
    const Json& schema = set_.at(id);
    const auto bound = [&](std::string_view keyword) -> Result<std::optional<Decimal>> {
      const Json* value = find(schema, keyword);
      if (value == nullptr || value->is_boolean()) return std::optional<Decimal>();
      std::optional<Decimal> decimal = value->is_number() ? to_decimal(*value) : std::nullopt;
      if (!decimal) return set_.invalid(id, keyword, "a number of at most 400 digits is needed");
      return decimal;
    };
    // Draft 4's exclusive bounds are booleans beside the bound.
    const auto flag = [&](std::string_view keyword) {
      const Json* value = find(schema, keyword);
      return value != nullptr && value->is_boolean() && value->get<bool>();
    };
    LANTERN_ASSIGN(const auto minimum, bound("minimum"));
    LANTERN_ASSIGN(const auto maximum, bound("maximum"));
    LANTERN_ASSIGN(const auto above, bound("exclusiveMinimum"));
    LANTERN_ASSIGN(const auto below, bound("exclusiveMaximum"));
    LANTERN_ASSIGN(const auto multiple, bound("multipleOf"));
    if (minimum) out.at_least({*minimum, flag("exclusiveMinimum")});
    if (maximum) out.at_most({*maximum, flag("exclusiveMaximum")});
    if (above) out.at_least({*above, true});
    if (below) out.at_most({*below, true});
    if (multiple && (multiple->negative || multiple->zero()))
      return set_.invalid(id, "multipleOf", "a number above 0 is needed");
    if (multiple) out.multiples.push_back(*multiple);
  }
  return out;
}

Result<StringFacts> SchemaFacts::strings(const Branch& branch) {
  StringFacts out;
  const auto add = [](std::vector<std::string>& list, std::string text) {
    if (std::ranges::find(list, text) == list.end()) list.push_back(std::move(text));
  };
  for (const SchemaId id : branch.schemas) {
    const Json& schema = set_.at(id);
    LANTERN_ASSIGN(const int64_t least, count(id, "minLength", 0));
    LANTERN_ASSIGN(const int64_t most, count(id, "maxLength", kRepeatMax));
    out.length.least = std::max(out.length.least, least);
    if (most < kRepeatMax && (out.length.most == kUnbounded || most < out.length.most))
      out.length.most = most;
    if (const Json* value = find(schema, "pattern")) {
      if (!value->is_string()) return set_.invalid(id, "pattern", "a string is needed");
      add(out.patterns, value->get<std::string>());
    }
    if (const Json* value = find(schema, kNotPattern); value != nullptr && value->is_string())
      add(out.not_patterns, value->get<std::string>());
    if (const Json* values = find(schema, kNotIn))
      for (const Json& value : *values)
        if (value.is_string()) add(out.excluded, value.get<std::string>());
    if (const Json* value = find(schema, "format")) {
      if (!value->is_string()) return set_.invalid(id, "format", "a string is needed");
      const auto& name = value->get_ref<const std::string&>();
      if (format_says_nothing(name)) continue;
      const std::optional<Format> format = find_format(name);
      if (!format) return set_.unsupported(id, "format", "\"" + name + "\" is not known");
      add(out.formats, std::string(format->pattern));
      if (format->length_max >= 0 &&
          (out.length.most == kUnbounded || format->length_max < out.length.most))
        out.length.most = format->length_max;
    }
  }
  return out;
}

const Result<CharDfa>& SchemaFacts::pattern(const std::string& text, bool whole) {
  const auto key = std::pair(text, whole);
  auto known = patterns_.find(key);
  if (known == patterns_.end())
    known =
        patterns_
            .emplace(key, compile_regex(text, whole ? RegexMatch::kWhole : RegexMatch::kAnywhere,
                                        budget_))
            .first;
  return known->second;
}

Result<CharDfa> SchemaFacts::language(const StringFacts& facts) {
  CharDfa out = any_text();
  bool first = true;
  const auto meet = [&](const std::string& text, bool whole) -> Status {
    const Result<CharDfa>& dfa = pattern(text, whole);
    if (!dfa.ok())
      return Error(dfa.error()).within("JSON schema: \"" + base::printable(text) + "\"");
    if (first) {
      out = *dfa;
      first = false;
      return {};
    }
    LANTERN_ASSIGN(out, intersection(out, *dfa, budget_));
    return {};
  };
  for (const std::string& text : facts.formats) LANTERN_TRY(meet(text, true));
  for (const std::string& text : facts.patterns) LANTERN_TRY(meet(text, false));
  for (const std::string& text : facts.not_patterns) {
    const Result<CharDfa>& dfa = pattern(text, false);
    if (!dfa.ok())
      return Error(dfa.error()).within("JSON schema: \"" + base::printable(text) + "\"");
    LANTERN_ASSIGN(out, difference(out, *dfa, budget_));
  }
  if (!facts.excluded.empty()) {
    LANTERN_ASSIGN(out, difference(out, texts(facts.excluded), budget_));
  }
  return out;
}

Result<ArrayFacts> SchemaFacts::arrays(const Branch& branch) {
  struct Own {
    std::vector<SchemaId> prefix;
    std::optional<SchemaId> rest;
  };
  ArrayFacts out;
  std::vector<Own> all;
  size_t n_prefix = 0;
  for (const SchemaId id : branch.schemas) {
    const Json& schema = set_.at(id);
    Own own;
    const Json* items = find(schema, "items");
    for (const std::string_view keyword : {"prefixItems", "items"}) {
      const Json* list = find(schema, keyword);
      if (list == nullptr || !list->is_array()) continue;
      for (size_t i = 0; i < list->size(); ++i) own.prefix.push_back(set_.child(id, keyword, i));
      if (keyword == "items" && find(schema, "additionalItems") != nullptr)
        own.rest = set_.child(id, "additionalItems");
    }
    if (items != nullptr && !items->is_array()) own.rest = set_.child(id, "items");
    n_prefix = std::max(n_prefix, own.prefix.size());
    all.push_back(std::move(own));
    LANTERN_ASSIGN(const int64_t least, count(id, "minItems", 0));
    LANTERN_ASSIGN(const int64_t most, count(id, "maxItems", kRepeatMax));
    out.least = std::max(out.least, least);
    if (most < kRepeatMax && (out.most == kUnbounded || most < out.most)) out.most = most;
  }
  for (const SchemaId id : branch.schemas) {
    const Json* unique = find(set_.at(id), "uniqueItems");
    if (unique == nullptr || !unique->is_boolean() || !unique->get<bool>()) continue;
    if (out.most == kUnbounded || out.most > 1)
      return set_.unsupported(id, "uniqueItems", "what was written cannot be remembered");
  }
  if (n_prefix > kPrefixMax)
    return make_error(ErrorCode::kTooLarge, "JSON schema: more than {} prefix items", kPrefixMax);
  out.prefix.resize(n_prefix);
  for (const Own& own : all) {
    for (size_t i = 0; i < n_prefix; ++i) {
      if (i < own.prefix.size())
        add_to(out.prefix[i], own.prefix[i]);
      else if (own.rest)
        add_to(out.prefix[i], *own.rest);
    }
    if (own.rest) add_to(out.rest, *own.rest);
  }
  return out;
}

Result<std::vector<SchemaId>> SchemaFacts::extras_of(const Branch& branch,
                                                     const std::set<std::string>& with) {
  Conjunction out;
  for (const SchemaId id : branch.schemas) {
    const Json& schema = set_.at(id);
    bool matched = false;
    if (const Json* patterns = find(schema, "patternProperties")) {
      for (const auto& [text, value] : patterns->items()) {
        if (!with.contains(text)) continue;
        add_to(out, set_.child(id, "patternProperties", text));
        matched = true;
      }
    }
    if (!matched && find(schema, "additionalProperties") != nullptr)
      add_to(out, set_.child(id, "additionalProperties"));
  }
  return out;
}

Result<ObjectFacts> SchemaFacts::objects(const Branch& branch) {
  ObjectFacts out;
  std::map<std::string, size_t, std::less<>> index;
  std::set<std::string> patterns;
  const auto member = [&](const std::string& name) -> ObjectFacts::Member& {
    const auto [entry, inserted] = index.emplace(name, out.members.size());
    if (inserted) out.members.push_back({.name = name, .value = {}});
    return out.members[entry->second];
  };
  for (const SchemaId id : branch.schemas) {
    const Json& schema = set_.at(id);
    if (const Json* properties = find(schema, "properties")) {
      if (!properties->is_object()) return set_.invalid(id, "properties", "an object is needed");
      for (const auto& [name, value] : properties->items()) member(name);
    }
    if (const Json* all = find(schema, "patternProperties")) {
      if (!all->is_object()) return set_.invalid(id, "patternProperties", "an object is needed");
      for (const auto& [text, value] : all->items()) patterns.insert(text);
    }
    out.some_extra = out.some_extra || find(schema, kSomeFurther) != nullptr;
    if (find(schema, "propertyNames") != nullptr) {
      if (!out.names) out.names.emplace();
      add_to(*out.names, set_.child(id, "propertyNames"));
    }
    LANTERN_ASSIGN(const int64_t least, count(id, "minProperties", 0));
    LANTERN_ASSIGN(const int64_t most, count(id, "maxProperties", kRepeatMax));
    out.least = std::max(out.least, least);
    if (most < kRepeatMax && (out.most == kUnbounded || most < out.most)) out.most = most;
  }
  for (const SchemaId id : branch.schemas) {
    const Json* required = find(set_.at(id), "required");
    if (required == nullptr || required->is_boolean()) continue;  // draft 3's is of the member
    if (!required->is_array()) return set_.invalid(id, "required", "an array is needed");
    for (const Json& name : *required) {
      if (!name.is_string()) return set_.invalid(id, "required", "strings are needed");
      member(name.get<std::string>()).required = true;
    }
  }
  if (patterns.size() > kPatternsMax)
    return make_error(ErrorCode::kUnsupported,
                      "JSON schema: \"patternProperties\" of more than {} patterns are not "
                      "supported",
                      kPatternsMax);
  for (const std::string& text : patterns)
    if (const auto& dfa = pattern(text, false); !dfa.ok())
      return Error(dfa.error()).within("JSON schema: \"" + base::printable(text) + "\"");
  for (ObjectFacts::Member& m : out.members) {
    LANTERN_TRY(budget_.spend(20 * branch.schemas.size()));
    for (const SchemaId id : branch.schemas) {
      const Json& schema = set_.at(id);
      bool matched = false;
      if (const Json* all = find(schema, "properties"); all != nullptr && all->contains(m.name)) {
        add_to(m.value, set_.child(id, "properties", m.name));
        matched = true;
      }
      if (const Json* all = find(schema, "patternProperties")) {
        for (const auto& [text, value] : all->items()) {
          if (!pattern(text, false)->matches(m.name)) continue;
          add_to(m.value, set_.child(id, "patternProperties", text));
          matched = true;
        }
      }
      if (!matched && find(schema, "additionalProperties") != nullptr)
        add_to(m.value, set_.child(id, "additionalProperties"));
    }
    m.forbidden = never(m.value);
    if (out.names) {
      for (const SchemaId id : *out.names) {
        LANTERN_ASSIGN(const bool fits, admits(id, Json(m.name)));
        m.forbidden = m.forbidden || !fits;
      }
    }
  }
  const std::vector<std::string> list(patterns.begin(), patterns.end());
  for (size_t subset = 0; subset < size_t{1} << list.size(); ++subset) {
    ObjectFacts::Extra extra;
    for (size_t i = 0; i < list.size(); ++i)
      ((subset >> i & 1) != 0 ? extra.with : extra.without).push_back(list[i]);
    LANTERN_ASSIGN(extra.value,
                   extras_of(branch, std::set<std::string>(extra.with.begin(), extra.with.end())));
    if (!never(extra.value)) out.extras.push_back(std::move(extra));
  }
  return out;
}

bool SchemaFacts::surely_empty(const Conjunction& conjunction, int depth) {
  if (never(conjunction)) return true;
  if (depth == 0) return false;
  const Result<std::vector<Branch>> all = branches(conjunction, Precision::kWider);
  if (!all.ok() || all->size() > 256) return false;
  return std::ranges::all_of(*all, [&](const Branch& b) { return surely_empty(b, depth); });
}

bool SchemaFacts::surely_empty(const Branch& branch, int depth) {
  if (const auto listed = values(branch); listed.ok() && *listed) return (*listed)->empty();
  if ((branch.types & (kNull | kBoolean)) != 0) return false;
  if ((branch.types & (kInteger | kFraction)) != 0) {
    const Result<NumberBounds> bounds = numbers(branch);
    if (!bounds.ok() || !bounds->least || !bounds->most) return false;
    const int order = compare(bounds->least->value, bounds->most->value);
    if (order < 0 || (order == 0 && !bounds->least->exclusive && !bounds->most->exclusive))
      return false;
  }
  if ((branch.types & kString) != 0) {
    const Result<StringFacts> facts = strings(branch);
    if (!facts.ok()) return false;
    const LengthBounds& length = facts->length;
    const bool crossed = length.most != kUnbounded && length.least > length.most;
    if (!crossed) {
      if (facts->patterns.size() + facts->formats.size() + facts->not_patterns.size() +
              facts->excluded.size() <
          2)
        return false;
      const Result<CharDfa> both = language(*facts);
      if (!both.ok() || !both->empty()) return false;
    }
  }
  if ((branch.types & kArray) != 0) {
    const Result<ArrayFacts> facts = arrays(branch);
    if (!facts.ok()) return false;
    bool impossible = facts->most != kUnbounded && facts->least > facts->most;
    for (int64_t i = 0; !impossible && i < std::min<int64_t>(facts->least, 4); ++i) {
      const auto k = static_cast<size_t>(i);
      impossible =
          surely_empty(k < facts->prefix.size() ? facts->prefix[k] : facts->rest, depth - 1);
    }
    if (!impossible) return false;
  }
  if ((branch.types & kObject) != 0) {
    const Result<ObjectFacts> facts = objects(branch);
    if (!facts.ok()) return false;
    bool impossible = facts->most != kUnbounded && facts->least > facts->most;
    for (const ObjectFacts::Member& m : facts->members) {
      if (impossible) break;
      impossible = m.required && (m.forbidden || surely_empty(m.value, depth - 1));
    }
    if (!impossible) return false;
  }
  return true;
}

}  // namespace lantern::text::grammar
