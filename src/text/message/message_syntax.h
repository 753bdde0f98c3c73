// What a model's chat template says of the answers that it expects: where reasoning stands, and
// which ToolSyntax calls have.
//
// The syntax is read off, not guessed. The template is given a conversation in which a tool was
// called; the syntax is the one whose reader finds just that call in what the template wrote. A
// template that writes no calls at all (Phi-4-mini's) is judged by the special tokens that a syntax
// is told by. Where neither says anything, or the template does not show tools to the model, there
// are no tools: `no_calls` says why.
#pragma once

#include <string>

#include "base/json.h"
#include "text/chat_template.h"
#include "text/message/message_parser.h"
#include "text/message/tool_syntax.h"

namespace lantern::text {

struct MessageSyntax {
  const ToolSyntax* calls = nullptr;
  std::string no_calls = {};       // where `calls` is null: why, for a person
  bool writes_calls = true;        // whether the template writes the calls of earlier turns
  bool arguments_as_text = false;  // of those: JSON in a string, not an object
  bool several_calls = true;       // whether it takes more than one in a turn
  bool tools_in_system = false;    // `tools` is JSON text in the system message
  const ReasoningTags* reasoning = nullptr;
};

/// `input` gives special tokens and variables, as for rendering; its messages are not used.
MessageSyntax find_message_syntax(const ChatTemplate& chat_template, const RenderInput& input,
                                  const TokenTest& is_token);

/// Makes `input` what the template wants of a conversation with `tools` (OpenAI's array, or null):
/// messages have OpenAI's `tool_calls` with `arguments` as an object. kInvalidArgument.
Status prepare_tools(const MessageSyntax& syntax, const base::OrderedJson& tools,
                     RenderInput& input);

}  // namespace lantern::text
