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
using Shape = std::optional<AnswerShape>;
using Kind = AnswerShape::Kind;

constexpr size_t kChoicesMax = 1024;

std::string text_of(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

void take(Fields& fields, std::string_view name, Kind kind, std::string text, Shape& out) {
  if (out) return fields.fail(name, "only one field may say what the answer looks like");
  out = AnswerShape{.kind = kind, .text = std::move(text), .field = fields.path_of(name)};
}

void take_any_object(Fields& fields, std::string_view name, Shape& out) {
  take(fields, name, Kind::kJsonSchema, R"({"type":"object"})", out);
}

void take_schema(Fields& fields, std::string_view name, const OrderedJson& value, Shape& out) {
  if (value.is_string())
    take(fields, name, Kind::kJsonSchema, value.get<std::string>(), out);
  else if (value.is_object())
    take(fields, name, Kind::kJsonSchema, text_of(value), out);
  else
    fields.fail(name, "a JSON schema is needed");
}

void take_text(Fields& fields, std::string_view name, Kind kind, const OrderedJson& value,
               Shape& out) {
  if (value.is_string()) return take(fields, name, kind, value.get<std::string>(), out);
  fields.fail(name,
              kind == Kind::kRegex ? "a regular expression is needed" : "a grammar is needed");
}

void take_choice(Fields& fields, std::string_view name, const OrderedJson& value, Shape& out) {
  if (!value.is_array() || value.empty() || value.size() > kChoicesMax)
    return fields.fail(name, fmt::format("1 to {} texts are needed", kChoicesMax));
  for (const OrderedJson& text : value)
    if (!text.is_string()) return fields.fail(name, "texts are needed");
  take(fields, name, Kind::kChoice, text_of(value), out);
}

void take_kind(Fields& fields, std::string_view name, Kind kind, const OrderedJson& value,
               Shape& out) {
  if (kind == Kind::kJsonSchema) return take_schema(fields, name, value, out);
  if (kind == Kind::kChoice) return take_choice(fields, name, value, out);
  take_text(fields, name, kind, value, out);
}

void read_response_format(Fields& fields, Shape& out) {
  const OrderedJson* format = fields.object("response_format");
  if (format == nullptr) return;
  Fields inner(*format, "response_format");
  std::string type;
  inner.read("type", type, 64);
  const OrderedJson* schema = inner.object("json_schema");
  if (!inner.ok()) return fields.fail("response_format", inner.status().error().message);
  if (type == "json_object") {
    take_any_object(fields, "response_format", out);
  } else if (type == "json_schema") {
    if (schema == nullptr || !schema->contains("schema"))
      return fields.fail("response_format.json_schema.schema", "a JSON schema is needed");
    take_schema(fields, "response_format", (*schema)["schema"], out);
  } else if (type != "text") {
    fields.fail("response_format.type", "text, json_object or json_schema is needed");
  }
}

struct Named {
  std::string_view name, old_name;
  Kind kind;
};
constexpr Named kNamed[] = {{"json", "guided_json", Kind::kJsonSchema},
                            {"regex", "guided_regex", Kind::kRegex},
                            {"choice", "guided_choice", Kind::kChoice},
                            {"grammar", "guided_grammar", Kind::kGbnf}};

Result<GrammarPtr> compile_choice(const std::string& text) {
  LANTERN_ASSIGN(const OrderedJson texts, base::parse_ordered_json(text, "choice"));
  std::vector<GrammarPtr> parts;
  for (const OrderedJson& one : texts) {
    LANTERN_ASSIGN(GrammarPtr part, Grammar::literal(one.get_ref<const std::string&>()));
    parts.push_back(std::move(part));
  }
  return Grammar::choice(parts);
}

Result<GrammarPtr> compile_text(const AnswerShape& shape) {
  switch (shape.kind) {
    case Kind::kJsonSchema:
      return Grammar::from_json_schema(std::string_view(shape.text));
    case Kind::kRegex:
      return Grammar::from_regex(shape.text);
    case Kind::kGbnf:
      return Grammar::from_gbnf(shape.text);
    case Kind::kChoice:
      break;
  }
  return compile_choice(shape.text);
}

}  // namespace

Result<GrammarPtr> compile(const AnswerShape& shape) {
  auto grammar = compile_text(shape);
  if (grammar.ok()) return grammar;
  return make_error(ErrorCode::kInvalidArgument, "{}: {}", shape.field, grammar.error().message);
}

void read_openai_shape(Fields& fields, Shape& out) {
  read_response_format(fields, out);
  const OrderedJson* object = fields.object("structured_outputs");
  for (const Named& named : kNamed) {
    if (const OrderedJson* value = fields.find(named.old_name))
      take_kind(fields, named.old_name, named.kind, *value, out);
    if (object == nullptr || !object->is_object()) continue;
    const auto value = object->find(named.name);
    if (value != object->end() && !value->is_null())
      take_kind(fields, "structured_outputs", named.kind, *value, out);
  }
  if (object != nullptr && !out)
    fields.fail("structured_outputs", "json, regex, choice or grammar is needed");
}

void read_responses_shape(Fields& fields, Shape& out) {
  const OrderedJson* text = fields.object("text");
  if (text == nullptr) return;
  Fields of_text(*text, "text");
  of_text.ignore({"verbosity"});
  const OrderedJson* format = of_text.object("format");
  if (format == nullptr) {
    if (!of_text.ok()) fields.fail("text.format", "an object is needed");
    return;
  }
  Fields inner(*format, "text.format");
  std::string type;
  inner.read("type", type, 64);
  const OrderedJson* schema = inner.object("schema");
  inner.ignore({"name", "description", "strict"});
  if (!inner.ok()) return fields.fail("text.format", inner.status().error().message);
  if (type == "json_object")
    take_any_object(fields, "text.format", out);
  else if (type == "json_schema" && schema != nullptr)
    take_schema(fields, "text.format", *schema, out);
  else if (type == "json_schema")
    fields.fail("text.format.schema", "a JSON schema is needed");
  else if (type != "text")
    fields.fail("text.format.type", "text, json_object or json_schema is needed");
}

void read_ollama_shape(Fields& fields, Shape& out) {
  const OrderedJson* format = fields.find("format");
  if (format == nullptr || *format == "") return;
  if (*format == "json")
    take_any_object(fields, "format", out);
  else if (format->is_object())
    take_schema(fields, "format", *format, out);
  else
    fields.fail("format", "\"json\" or a JSON schema is needed");
}

}  // namespace lantern::server
