// Tools of a request, whatever its API: read into one form, checked against the model, and put into
// the conversation.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace lantern::server {

inline constexpr size_t kToolsMax = 128;

struct ToolChoice {
  enum Kind {
    kAuto,
    kNone,      // the tools are not shown to the model
    kRequired,  // at least one call
    kNamed,     // one call, of `name`
  };
  Kind kind = kAuto;
  std::string name = {};
};

struct ToolUse {
  /// [{"type": "function", "function": {"name", "description"?, "parameters"?}}, ...]
  base::OrderedJson tools = base::OrderedJson::array();
  ToolChoice choice = {};
  bool several = true;  // more than one call an answer

  [[nodiscard]] bool offered() const { return !tools.empty() && choice.kind != ToolChoice::kNone; }
};

// All errors are kInvalidArgument and begin with the field.

/// Adds a tool. `path` is its place in the request; `schema` may be null: no arguments.
Status add_tool(ToolUse& use, const std::string& path, const std::string& name,
                const std::string& description, const base::OrderedJson* schema);
/// OpenAI's and Ollama's array of {"type": "function", "function": {...}}.
Status add_openai_tools(ToolUse& use, const base::OrderedJson& tools);
/// OpenAI's older `functions`: [{"name", "description"?, "parameters"?}, ...].
Status add_openai_functions(ToolUse& use, const base::OrderedJson& functions);
/// A choice that needs tools, or a tool that is not there.
Status check_choice(const ToolUse& use);

/// A call of an earlier turn as templates have it; `arguments` is an object, or a text of one.
Result<base::OrderedJson> past_call(const std::string& path, const std::string& id,
                                    const std::string& name, const base::OrderedJson* arguments);
/// OpenAI's and Ollama's array of {"id", "function": {"name", "arguments"}}.
Result<base::OrderedJson> past_openai_calls(const base::OrderedJson& json, const std::string& path);
/// Clients of some APIs have no ids, and some templates need them: the n-th result is the n-th
/// call's.
void fill_call_ids(base::OrderedJson& messages);
/// Gives each tool's result the name of the tool that was called, as some templates want it.
void name_results(base::OrderedJson& messages);

}  // namespace lantern::server
