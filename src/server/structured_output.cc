#include "server/structured_output.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lantern::server {
namespace {

using base::OrderedJson;
using text::Grammar;
using text::GrammarPtr;

constexpr size_t kChoicesMax = 1024;

Result<GrammarPtr> schema_of(const OrderedJson& value) {
  if (value.is_string())
    return Grammar::from_json_schema(std::string_view(value.get_ref<const std::string&>()));
  if (value.is_object()) return Grammar::from_json_schema(value);
  return make_error(ErrorCode::kInvalidArgument, "a JSON schema is needed");
}

Result<GrammarPtr> regex_of(const OrderedJson& value) {
  if (!value.is_string())
    return make_error(ErrorCode::kInvalidArgument, "a regular expression is needed");
  return Grammar::from_regex(value.get_ref<const std::string&>());
}

Result<GrammarPtr> gbnf_of(const OrderedJson& value) {
  if (!value.is_string()) return make_error(ErrorCode::kInvalidArgument, "a grammar is needed");
  return Grammar::from_gbnf(value.get_ref<const std::string&>());
}

Result<GrammarPtr> choice_of(const OrderedJson& value) {
  if (!value.is_array() || value.empty() || value.size() > kChoicesMax)
    return make_error(ErrorCode::kInvalidArgument, "1 to {} texts are needed", kChoicesMax);
  std::vector<GrammarPtr> parts;
  for (const OrderedJson& text : value) {
    if (!text.is_string()) return make_error(ErrorCode::kInvalidArgument, "texts are needed");
    LANTERN_ASSIGN(GrammarPtr part, Grammar::literal(text.get_ref<const std::string&>()));
    parts.push_back(std::move(part));
  }
  return Grammar::choice(parts);
}

void take(Fields& fields, std::string_view name, Result<GrammarPtr> grammar, GrammarPtr& out) {
  if (!grammar.ok()) return fields.fail(name, grammar.error().message);
  if (out) return fields.fail(name, "only one field may say what the answer looks like");
  out = *std::move(grammar);
}

void read_response_format(Fields& fields, GrammarPtr& out) {
  const OrderedJson* format = fields.object("response_format");
  if (format == nullptr) return;
  Fields inner(*format, "response_format");
  std::string type;
  inner.read("type", type, 64);
  const OrderedJson* schema = inner.object("json_schema");
  if (!inner.ok()) return fields.fail("response_format", inner.status().error().message);
  if (type == "json_object") {
    take(fields, "response_format", Grammar::json_object(), out);
  } else if (type == "json_schema") {
    if (schema == nullptr || !schema->contains("schema"))
      return fields.fail("response_format.json_schema.schema", "a JSON schema is needed");
    take(fields, "response_format", schema_of((*schema)["schema"]), out);
  } else if (type != "text") {
    fields.fail("response_format.type", "text, json_object or json_schema is needed");
  }
}

struct Kind {
  std::string_view name, old_name;
  Result<GrammarPtr> (*read)(const OrderedJson& value);
};
constexpr Kind kKinds[] = {{"json", "guided_json", schema_of},
                           {"regex", "guided_regex", regex_of},
                           {"choice", "guided_choice", choice_of},
                           {"grammar", "guided_grammar", gbnf_of}};

}  // namespace

void read_openai_grammar(Fields& fields, GrammarPtr& out) {
  read_response_format(fields, out);
  const OrderedJson* object = fields.object("structured_outputs");
  for (const Kind& kind : kKinds) {
    if (const OrderedJson* value = fields.find(kind.old_name))
      take(fields, kind.old_name, kind.read(*value), out);
    if (object == nullptr || !object->is_object()) continue;
    const auto value = object->find(kind.name);
    if (value != object->end() && !value->is_null())
      take(fields, "structured_outputs", kind.read(*value), out);
  }
  if (object != nullptr && !out)
    fields.fail("structured_outputs", "json, regex, choice or grammar is needed");
}

void read_ollama_grammar(Fields& fields, GrammarPtr& out) {
  const OrderedJson* format = fields.find("format");
  if (format == nullptr || *format == "") return;
  if (*format == "json")
    take(fields, "format", Grammar::json_object(), out);
  else if (format->is_object())
    take(fields, "format", schema_of(*format), out);
  else
    fields.fail("format", "\"json\" or a JSON schema is needed");
}

}  // namespace lantern::server
