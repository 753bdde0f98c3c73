// What an answer must look like, as the APIs say it: fields of a request to a grammar.
#pragma once

#include "base/json.h"
#include "server/fields.h"
#include "text/grammar.h"

namespace lantern::server {

/// OpenAI's `response_format`: text, json_object, or json_schema (always as strict as `strict`
/// says); and vLLM's `structured_outputs`, an object of one of json, regex, choice, grammar, or
/// its older guided_json, guided_regex, guided_choice and guided_grammar. Faults, those of the
/// schema too, go to `fields`.
void read_openai_grammar(Fields& fields, text::GrammarPtr& out);

/// Ollama's `format`: "json" or a JSON schema.
void read_ollama_grammar(Fields& fields, text::GrammarPtr& out);

}  // namespace lantern::server
