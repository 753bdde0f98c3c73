// The grammar of an answer that may, or must, call tools: calls are spelled as the model's
// ToolSyntax has them, their arguments are valid against each tool's schema, and where there is a
// choice all around them is free text.
#pragma once

#include <string>

#include "base/json.h"
#include "text/grammar.h"
#include "text/message/message_parser.h"
#include "text/message/tool_syntax.h"

namespace lantern::text {

struct AnswerGrammarOptions {
  const ToolSyntax* calls = nullptr;  // null: none, and `text` is given
  base::OrderedJson tools = {};       // OpenAI's array
  std::string only = {};              // a tool's name: only calls of this one
  bool required = false;              // an answer without a call is none
  bool several = true;                // more than one call
  GrammarPtr text = {};               // what an answer without a call follows; null: any text
  const ReasoningTags* reasoning = nullptr;
  bool in_reasoning = false;  // the prompt ends with the opening tag
  TokenTest is_token = [](std::string_view) { return false; };
};

/// Errors: those of Grammar::from_json_schema(), with "tools[2].function.parameters: " in front.
Result<GrammarPtr> answer_grammar(const AnswerGrammarOptions& options);

}  // namespace lantern::text
