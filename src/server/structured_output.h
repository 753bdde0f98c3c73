// What an answer must look like, as the APIs say it: fields of a request to a grammar.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "server/fields.h"
#include "text/grammar.h"

namespace lantern::server {

/// What a request asks for; compiled once its model is there, which keeps what it compiled.
struct AnswerShape {
  enum class Kind { kJsonSchema, kRegex, kChoice, kGbnf };
  Kind kind = Kind::kJsonSchema;
  std::string text = {};   // the schema, the expression, an array of texts, the grammar
  std::string field = {};  // of the request, for messages
};

/// kInvalidArgument, with the field in front: the grammar's own errors.
Result<text::GrammarPtr> compile(const AnswerShape& shape);

// Faults of the fields go to `fields`.

/// OpenAI's `response_format`: text, json_object, or json_schema (always as strict as `strict`
/// says); and vLLM's `structured_outputs`, an object of one of json, regex, choice, grammar, or
/// its older guided_json, guided_regex, guided_choice and guided_grammar.
void read_openai_shape(Fields& fields, std::optional<AnswerShape>& out);
/// `text.format` of OpenAI's responses.
void read_responses_shape(Fields& fields, std::optional<AnswerShape>& out);
/// Ollama's `format`: "json" or a JSON schema.
void read_ollama_shape(Fields& fields, std::optional<AnswerShape>& out);

}  // namespace lantern::server
