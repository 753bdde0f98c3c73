#include "text/message/answer_grammar.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace lantern::text {
namespace {

using base::OrderedJson;
using Parts = std::vector<GrammarPtr>;

constexpr size_t kKeywordsMax = 64;

/// `text`, with the words in it that are special tokens as such.
Result<GrammarPtr> spelled(const AnswerGrammarOptions& options, std::string_view text) {
  Parts parts;
  while (!text.empty()) {
    size_t begin = text.size();
    std::string_view word;
    for (std::string_view token : options.calls->tokens) {
      const size_t at = text.find(token);
      if (at >= begin || !options.is_token(token)) continue;
      begin = at;
      word = token;
    }
    if (begin > 0) {
      LANTERN_ASSIGN(GrammarPtr plain, Grammar::literal(text.substr(0, begin)));
      parts.push_back(std::move(plain));
    }
    if (!word.empty()) {
      LANTERN_ASSIGN(GrammarPtr token, Grammar::special_token(word));
      parts.push_back(std::move(token));
    }
    text.remove_prefix(begin + word.size());
  }
  return Grammar::sequence(parts);
}

Error no_keywords(std::string_view what) {
  return make_error(ErrorCode::kUnsupported,
                    "{}, which a call as this model writes it, name(key=value), cannot follow",
                    what);
}

bool is_identifier(std::string_view name) {
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9') &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '_';
         });
}

/// A property's own schema, with what its references may point to.
OrderedJson part_of(const OrderedJson& schema, const OrderedJson& property) {
  OrderedJson out = property;
  if (!out.is_object()) return out;
  for (const char* definitions : {"$defs", "definitions"})
    if (schema.contains(definitions) && !out.contains(definitions))
      out[definitions] = schema[definitions];
  return out;
}

struct Keyword {
  GrammarPtr grammar;  // name=value
  bool required = false;
};

Result<std::vector<Keyword>> keywords_of(const OrderedJson& schema) {
  for (const auto& [key, value] : schema.items()) {
    const bool known = key == "type" || key == "properties" || key == "required" ||
                       key == "$defs" || key == "definitions" || key == "additionalProperties" ||
                       key == "title" || key == "description" || key == "$schema";
    if (!known) return no_keywords(fmt::format("keyword \"{}\"", key));
  }
  std::vector<Keyword> out;
  const auto properties = schema.find("properties");
  if (properties == schema.end() || !properties->is_object()) return out;
  if (properties->size() > kKeywordsMax)
    return no_keywords(fmt::format("more than {} properties", kKeywordsMax));
  const OrderedJson required = schema.value("required", OrderedJson::array());
  for (const auto& [name, property] : properties->items()) {
    if (!is_identifier(name)) return no_keywords(fmt::format("property \"{}\"", name));
    auto value = Grammar::from_json_schema(part_of(schema, property));
    if (!value.ok()) return std::move(value).error().within(fmt::format("properties/{}", name));
    LANTERN_ASSIGN(GrammarPtr key, Grammar::literal(name + "="));
    LANTERN_ASSIGN(GrammarPtr both, Grammar::sequence(Parts{std::move(key), std::move(*value)}));
    const bool needed =
        required.is_array() && std::find(required.begin(), required.end(), name) != required.end();
    out.push_back({std::move(both), needed});
  }
  std::stable_partition(out.begin(), out.end(), [](const Keyword& k) { return k.required; });
  return out;
}

/// Python's keyword arguments: the required ones first.
Result<GrammarPtr> keyword_arguments(const OrderedJson& schema) {
  LANTERN_ASSIGN(const std::vector<Keyword> keywords, keywords_of(schema));
  LANTERN_ASSIGN(const GrammarPtr comma, Grammar::literal(", "));
  Parts later;  // each keyword, where another comes before it
  for (const Keyword& keyword : keywords) {
    LANTERN_ASSIGN(GrammarPtr one, Grammar::sequence(Parts{comma, keyword.grammar}));
    if (!keyword.required) {
      LANTERN_ASSIGN(one, Grammar::repeat(one, 0, 1));
    }
    later.push_back(std::move(one));
  }
  Parts ways;
  for (size_t first = 0; first < keywords.size(); ++first) {
    Parts parts = {keywords[first].grammar};
    parts.insert(parts.end(), later.begin() + static_cast<std::ptrdiff_t>(first) + 1, later.end());
    LANTERN_ASSIGN(GrammarPtr way, Grammar::sequence(parts));
    ways.push_back(std::move(way));
    if (keywords[first].required) return Grammar::choice(ways);
  }
  LANTERN_ASSIGN(GrammarPtr nothing, Grammar::sequence({}));
  ways.push_back(std::move(nothing));
  return Grammar::choice(ways);
}

/// An object, which a tool's arguments are also where the schema does not say so.
OrderedJson object_schema(const OrderedJson& function) {
  OrderedJson schema = function.value("parameters", OrderedJson::object());
  if (schema.is_object() && !schema.contains("type") && !schema.contains("anyOf") &&
      !schema.contains("oneOf") && !schema.contains("allOf") && !schema.contains("$ref"))
    schema["type"] = "object";
  return schema;
}

Result<GrammarPtr> one_call(const AnswerGrammarOptions& options) {
  const CallSpelling& spelling = options.calls->spelling;
  Parts calls;
  for (size_t i = 0; i < options.tools.size(); ++i) {
    const OrderedJson& function = options.tools[i]["function"];
    const auto& name = function["name"].get_ref<const std::string&>();
    if (!options.only.empty() && name != options.only) continue;
    const OrderedJson schema = object_schema(function);
    auto arguments =
        options.calls->keywords ? keyword_arguments(schema) : Grammar::from_json_schema(schema);
    if (!arguments.ok())
      return std::move(arguments).error().within(
          fmt::format("tools[{}].function.parameters (\"{}\")", i, name));
    LANTERN_ASSIGN(GrammarPtr before, spelled(options, std::string(spelling.before_name) + name +
                                                           std::string(spelling.before_arguments)));
    LANTERN_ASSIGN(GrammarPtr after, spelled(options, spelling.after_arguments));
    LANTERN_ASSIGN(GrammarPtr call, Grammar::sequence(Parts{before, std::move(*arguments), after}));
    calls.push_back(std::move(call));
  }
  return Grammar::choice(calls);
}

/// From the opening to the closing of one or more calls.
Result<GrammarPtr> calls_of(const AnswerGrammarOptions& options) {
  const CallSpelling& spelling = options.calls->spelling;
  LANTERN_ASSIGN(const GrammarPtr call, one_call(options));
  LANTERN_ASSIGN(GrammarPtr open, spelled(options, spelling.open));
  LANTERN_ASSIGN(GrammarPtr close, spelled(options, spelling.close));
  if (!options.several) return Grammar::sequence(Parts{open, call, close});
  LANTERN_ASSIGN(GrammarPtr between, spelled(options, spelling.between));
  LANTERN_ASSIGN(GrammarPtr next, Grammar::sequence(Parts{between, call}));
  LANTERN_ASSIGN(GrammarPtr more, Grammar::repeat(next, 0, -1));
  return Grammar::sequence(Parts{open, call, more, close});
}

/// Text that no call begins in, then perhaps calls.
Result<GrammarPtr> maybe_calls(const AnswerGrammarOptions& options, const GrammarPtr& calls) {
  if (options.text) return Grammar::choice(Parts{options.text, calls});
  std::vector<std::string> triggers;
  std::string start;  // what a text may not begin with
  for (const Opening& opening : options.calls->openings) {
    if (opening.at_start)
      start += "\\" + std::string(opening.text);
    else if (!options.is_token(opening.text))
      triggers.emplace_back(opening.text);
  }
  if (!start.empty()) {
    LANTERN_ASSIGN(GrammarPtr text, Grammar::from_regex("([^\\s" + start + "][\\s\\S]*)?"));
    return Grammar::choice(Parts{std::move(text), calls});
  }
  LANTERN_ASSIGN(const GrammarPtr text, Grammar::text_without(triggers));
  LANTERN_ASSIGN(GrammarPtr then, Grammar::repeat(calls, 0, 1));
  return Grammar::sequence(Parts{text, std::move(then)});
}

/// What may come before the message itself.
Result<GrammarPtr> with_reasoning(const AnswerGrammarOptions& options, GrammarPtr message) {
  if (options.reasoning == nullptr) return message;
  const auto tag = [&](std::string_view word) {
    return options.is_token(word) ? Grammar::special_token(word) : Grammar::literal(word);
  };
  std::vector<std::string> triggers;
  if (!options.is_token(options.reasoning->close)) triggers.emplace_back(options.reasoning->close);
  LANTERN_ASSIGN(GrammarPtr text, Grammar::text_without(triggers));
  LANTERN_ASSIGN(GrammarPtr close, tag(options.reasoning->close));
  LANTERN_ASSIGN(GrammarPtr space, Grammar::from_regex("[ \\n]{0,8}"));
  LANTERN_ASSIGN(GrammarPtr rest, Grammar::sequence(Parts{text, close, space}));
  if (options.in_reasoning) return Grammar::sequence(Parts{rest, std::move(message)});
  LANTERN_ASSIGN(GrammarPtr open, tag(options.reasoning->open));
  LANTERN_ASSIGN(GrammarPtr whole, Grammar::sequence(Parts{open, rest}));
  LANTERN_ASSIGN(GrammarPtr maybe, Grammar::repeat(whole, 0, 1));
  return Grammar::sequence(Parts{std::move(maybe), std::move(message)});
}

}  // namespace

Result<GrammarPtr> answer_grammar(const AnswerGrammarOptions& options) {
  if (options.calls == nullptr) return with_reasoning(options, options.text);
  LANTERN_ASSIGN(GrammarPtr calls, calls_of(options));
  if (!options.required) {
    LANTERN_ASSIGN(calls, maybe_calls(options, calls));
  }
  return with_reasoning(options, std::move(calls));
}

}  // namespace lantern::text
