#include "text/grammar/schema_set.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>
#include <set>

#include "base/printable.h"
#include "text/grammar/schema_facts.h"

namespace lantern::text::grammar {
namespace {

constexpr int kSetDepthMax = 128;
constexpr size_t kSchemasMax = 100'000;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

const std::set<std::string_view> kApplied = {
    "$ref",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maximum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "minimum",
    "minItems",
    "minLength",
    "minProperties",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "then",
    "type",
    "uniqueItems",
};

// Keywords of some draft that restrict values and are not supported.
const std::set<std::string_view> kRefused = {
    "$dynamicAnchor",       "$dynamicRef",      "$recursiveAnchor",
    "$recursiveRef",        "contains",         "disallow",
    "divisibleBy",          "extends",          "maxContains",
    "minContains",          "unevaluatedItems", "unevaluatedProperties",
    "propertyDependencies",
};

// Keywords of no draft by which other validators and generators (ajv-keywords, forms) restrict
// values: whoever writes one means it.
const std::set<std::string_view> kRefusedOfOthers = {
    "allRequired",
    "anyRequired",
    "constant",
    "deepProperties",
    "deepRequired",
    "exclusiveRange",
    "formatExclusiveMaximum",
    "formatExclusiveMinimum",
    "formatMaximum",
    "formatMinimum",
    "instanceof",
    "max",
    "maxValue",
    "min",
    "minValue",
    "oneRequired",
    "patternRequired",
    "prohibited",
    "range",
    "regex",
    "regexp",
    "select",
    "switch",
    "typeof",
    "unique",
    "uniqueItemProperties",
};

// Keywords whose members are schemas, whatever their names.
const std::set<std::string_view> kByName = {
    "$defs", "definitions", "dependencies", "dependentSchemas", "properties", "patternProperties",
};

// Keywords of some draft that say nothing about which values are valid.
const std::set<std::string_view> kAnnotations = {
    "$anchor",         "$comment",         "$defs",         "$id",     "$schema",     "$vocabulary",
    "contentEncoding", "contentMediaType", "contentSchema", "default", "definitions", "deprecated",
    "description",     "example",          "examples",      "id",      "readOnly",    "title",
    "writeOnly",       "readonly",         "comment",
};

/// Insertions, deletions and changes from one to the other; 3 stands for all above 2.
size_t distance(std::string_view a, std::string_view b) {
  if (a.size() > b.size() + 2 || b.size() > a.size() + 2) return 3;
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (lower(a[i - 1]) == lower(b[j - 1]) ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return std::min<size_t>(row.back(), 3);
}

/// A keyword of no draft is an annotation (2020-12, section 6.5) as far as it does not say that it
/// restricts values. One that is nearly the name of a keyword that does is more likely that one,
/// misspelt, and to ignore it would let through what its author meant to refuse.
bool is_annotation(std::string_view name) {
  // "_format" and "x-enum" are renamed on purpose, so that they do not count.
  if (kAnnotations.contains(name) || name.starts_with('_') || name.starts_with("x-")) return true;
  if (kApplied.contains(name) || kRefused.contains(name) || kRefusedOfOthers.contains(name))
    return false;
  for (const std::set<std::string_view>* known : {&kApplied, &kRefused})
    for (const std::string_view keyword : *known)
      if (distance(name, keyword) <= (keyword.size() < 7 ? 1u : 2u)) return false;
  return true;
}

std::string escaped(std::string_view part) {
  std::string out;
  for (const char c : part) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

/// A part of a JSON pointer in a URI's fragment.
std::string unescaped(std::string_view part) {
  std::string out;
  for (size_t i = 0; i < part.size(); ++i) {
    uint8_t byte = 0;
    if (part[i] == '~' && i + 1 < part.size() && (part[i + 1] == '0' || part[i + 1] == '1')) {
      out += part[++i] == '0' ? '~' : '/';
    } else if (part[i] == '%' && i + 2 < part.size() &&
               std::from_chars(part.data() + i + 1, part.data() + i + 3, byte, 16).ptr ==
                   part.data() + i + 3) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += part[i];
    }
  }
  return out;
}

/// `reference` against `base`, as far as documents need it: absolute, or the last part replaced.
std::string joined(std::string_view base, std::string_view reference) {
  if (reference.find("://") != std::string_view::npos || reference.starts_with("urn:"))
    return std::string(reference);
  std::string_view folder = base.substr(0, base.find('#'));
  if (reference.starts_with('/')) {
    const size_t scheme = folder.find("://");
    const size_t end = folder.find('/', scheme == std::string_view::npos ? 0 : scheme + 3);
    folder = folder.substr(0, end);
  } else if (!reference.starts_with('#')) {
    const size_t slash = folder.rfind('/');
    folder = slash == std::string_view::npos ? std::string_view() : folder.substr(0, slash + 1);
  }
  return std::string(folder) + std::string(reference);
}

}  // namespace

SchemaSet::SchemaSet(const Json& root) : root_(root) {
  id_of(root, "#");
  std::string base;
  if (root.is_object()) {
    if (const auto it = root.find("$schema"); it != root.end() && it->is_string()) {
      const auto& dialect = it->get_ref<const std::string&>();
      ref_stands_alone_ = dialect.find("draft-0") != std::string::npos;
    }
  }
  // Where a name is there twice, the one where schemas are is meant.
  find_names(root, base, Where::kSchema, 0);
  find_names(root, base, Where::kAnywhere, 0);
}

void SchemaSet::find_names(const Json& value, const std::string& base, Where where, int depth) {
  if (depth > kSetDepthMax || !value.is_structured()) return;
  std::string here = base;
  if (value.is_object() && where == Where::kSchemasByName) {
    for (const auto& [key, member] : value.items())
      find_names(member, here, Where::kSchema, depth + 1);
  } else if (value.is_object()) {
    for (const std::string_view keyword : {"$id", "id"}) {
      const auto it = value.find(keyword);
      if (it == value.end() || !it->is_string()) continue;
      const auto& name = it->get_ref<const std::string&>();
      const std::string full = joined(base, name);
      if (!name.starts_with('#')) here = full.substr(0, full.find('#'));
      names_.emplace(name.starts_with('#') ? full : here, &value);
      names_.emplace(name, &value);
      break;
    }
    if (const auto it = value.find("$anchor"); it != value.end() && it->is_string())
      names_.emplace(here + "#" + it->get<std::string>(), &value);
    for (const auto& [key, member] : value.items()) {
      if (key == "enum" || key == "const" || key == "default" || key == "examples") continue;
      const bool is_known =
          kApplied.contains(key) || kRefused.contains(key) || kByName.contains(key);
      if (where == Where::kSchema && !is_known) continue;
      const bool by_name = where == Where::kSchema && kByName.contains(key);
      find_names(member, here, by_name ? Where::kSchemasByName : where, depth + 1);
    }
  } else {
    for (const Json& member : value) find_names(member, here, where, depth + 1);
  }
}

SchemaId SchemaSet::id_of(const Json& schema, std::string path) {
  const auto [entry, inserted] = ids_.emplace(&schema, static_cast<SchemaId>(schemas_.size()));
  if (inserted) schemas_.push_back({&schema, std::move(path)});
  return entry->second;
}

SchemaId SchemaSet::make(Json schema, std::string path) {
  made_.push_back(std::move(schema));
  const SchemaId id = id_of(made_.back(), std::move(path));
  schemas_[static_cast<size_t>(id)].ours = true;
  return id;
}

bool SchemaSet::says_nothing(std::string_view keyword) { return is_annotation(keyword); }

SchemaId SchemaSet::inside(SchemaId id, const Json& schema, const std::string& path_on) {
  const bool ours = schemas_[static_cast<size_t>(id)].ours;
  const SchemaId out = id_of(schema, path(id) + path_on);
  schemas_[static_cast<size_t>(out)].ours = ours;
  return out;
}

SchemaId SchemaSet::child(SchemaId id, std::string_view name) {
  return inside(id, *at(id).find(name), "/" + std::string(name));
}

SchemaId SchemaSet::child(SchemaId id, std::string_view name, const std::string& key) {
  return inside(id, *at(id).find(name)->find(key), "/" + std::string(name) + "/" + escaped(key));
}

SchemaId SchemaSet::child(SchemaId id, std::string_view name, size_t index) {
  return inside(id, (*at(id).find(name))[index],
                "/" + std::string(name) + "/" + std::to_string(index));
}

const Json* SchemaSet::follow(const Json& from, std::string_view pointer) const {
  const Json* at = &from;
  while (!pointer.empty()) {
    if (pointer[0] != '/') return nullptr;
    const size_t end = std::min(pointer.find('/', 1), pointer.size());
    const std::string part = unescaped(pointer.substr(1, end - 1));
    pointer.remove_prefix(end);
    if (at->is_object()) {
      const auto it = at->find(part);
      if (it == at->end()) return nullptr;
      at = &*it;
    } else if (at->is_array()) {
      size_t index = 0;
      const auto [stop, bad] = std::from_chars(part.data(), part.data() + part.size(), index);
      if (bad != std::errc() || stop != part.data() + part.size() || index >= at->size())
        return nullptr;
      at = &(*at)[index];
    } else {
      return nullptr;
    }
  }
  return at;
}

Result<SchemaId> SchemaSet::resolve(SchemaId id) {
  const Json& value = *at(id).find("$ref");
  if (!value.is_string()) return invalid(id, "$ref", "a string is needed");
  const auto& reference = value.get_ref<const std::string&>();
  const size_t hash = reference.find('#');
  const std::string_view document = std::string_view(reference).substr(0, hash);
  const std::string_view fragment =
      hash == std::string::npos ? std::string_view() : std::string_view(reference).substr(hash + 1);
  const Json* from = &root_;
  std::string base;
  if (root_.is_object())
    for (const std::string_view keyword : {"id", "$id"})
      if (const auto it = root_.find(keyword); it != root_.end() && it->is_string())
        base = it->get<std::string>();
  if (!document.empty()) {
    auto named = names_.find(joined(base, document));
    if (named == names_.end()) named = names_.find(document);
    if (named == names_.end()) return unsupported(id, "$ref", "it points outside the document");
    from = named->second;
  }
  const Json* target = nullptr;
  if (fragment.empty() || fragment[0] == '/') {
    target = follow(*from, fragment);
  } else {
    for (const std::string& name :
         {joined(base, reference), base.substr(0, base.find('#')) + "#" + std::string(fragment),
          "#" + std::string(fragment)})
      if (const auto named = names_.find(name); target == nullptr && named != names_.end())
        target = named->second;
  }
  if (target == nullptr)
    return invalid(id, "$ref", "nothing is at \"" + base::printable(reference) + "\"");
  return id_of(*target, base::printable(reference));
}

Error SchemaSet::unsupported(SchemaId id, std::string_view keyword, std::string_view why) const {
  return make_error(ErrorCode::kUnsupported, "JSON schema, {}: \"{}\" is not supported here: {}",
                    base::printable(path(id)), base::printable(keyword), why);
}

Error SchemaSet::invalid(SchemaId id, std::string_view keyword, std::string_view why) const {
  return make_error(ErrorCode::kInvalidArgument, "JSON schema, {}: \"{}\": {}",
                    base::printable(path(id)), base::printable(keyword), why);
}

Status SchemaSet::check(SchemaId id) {
  Entry& entry = schemas_[static_cast<size_t>(id)];
  if (entry.checked) return {};
  entry.checked = true;
  if (schemas_.size() > kSchemasMax)
    return make_error(ErrorCode::kTooLarge, "JSON schema: more than {} sub-schemas", kSchemasMax);
  const Json& schema = *entry.json;
  if (schema.is_boolean()) return {};
  if (!schema.is_object())
    return make_error(ErrorCode::kInvalidArgument,
                      "JSON schema, {}: an object or a boolean is needed",
                      base::printable(entry.path));
  const bool alone = ref_stands_alone_ && schema.contains("$ref");
  for (const auto& [key, value] : schema.items()) {
    if (alone && key != "$ref") continue;
    if (kApplied.contains(key) || is_annotation(key)) continue;
    if (entry.ours && std::ranges::find(kOwnKeywords, key) != std::end(kOwnKeywords)) continue;
    return make_error(ErrorCode::kUnsupported,
                      "JSON schema, {}: the keyword \"{}\" is not supported",
                      base::printable(entry.path), base::printable(key));
  }
  return {};
}

}  // namespace lantern::text::grammar
