#include "server/anthropic/request.h"

#include <utility>

namespace lantern::server::anthropic {
namespace {

using base::OrderedJson;

void refuse(Fields& fields, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names)
    if (const OrderedJson* value = fields.find(name);
        value != nullptr && !(value->is_structured() && value->empty()))
      fields.fail(name, "not supported by this service; leave it out");
}

/// A message taken apart: what templates have in messages of their own.
struct Parts {
  std::string text = {};
  std::string reasoning = {};
  OrderedJson calls = OrderedJson::array();
  OrderedJson results = OrderedJson::array();  // messages of tools
};

Status add_result(Fields& block, const std::string& path, Parts& out) {
  std::string id;
  bool is_error = false;
  block.read("tool_use_id", id, 1024);
  block.read("is_error", is_error);
  LANTERN_TRY(block.status());
  std::string text;
  if (const OrderedJson* content = block.find("content")) {
    LANTERN_ASSIGN(text, text_of_content(*content, path + ".content"));
  }
  if (is_error) text = "Error: " + text;
  out.results.push_back(
      {{"role", "tool"}, {"tool_call_id", std::move(id)}, {"content", std::move(text)}});
  return {};
}

Status add_block(const OrderedJson& json, const std::string& path, std::string_view role,
                 Parts& out) {
  Fields block(json, path);
  std::string type;
  block.read("type", type, 64);
  LANTERN_TRY(block.status());
  if (type == "tool_result" && role == "user") return add_result(block, path, out);
  if (type == "tool_use" && role == "assistant") {
    std::string id, name;
    block.read("id", id, 1024);
    block.read("name", name, 1024);
    const OrderedJson* input = block.object("input");
    LANTERN_TRY(block.status());
    LANTERN_ASSIGN(OrderedJson call, past_call(path, id, name, input));
    out.calls.push_back(std::move(call));
    return {};
  }
  if (type == "thinking" && role == "assistant") {
    std::string piece;
    block.read("thinking", piece, 16u << 20);
    out.reasoning += piece;
    return block.status();
  }
  // It is of another service's making, and nothing here could read it.
  if (type == "redacted_thinking" && role == "assistant") return {};
  LANTERN_ASSIGN(const std::string piece, text_of_part(json, path));
  if (!out.text.empty()) out.text += "\n";
  out.text += piece;
  return {};
}

/// One message of the API is several to a template, where tools' results are in it.
Status add_message(const OrderedJson& json, size_t index, OrderedJson& messages) {
  const std::string path = fmt::format("messages[{}]", index);
  Fields fields(json, path);
  std::string role;
  fields.read("role", role, 64);
  if (role != "user" && role != "assistant") fields.fail("role", "user or assistant is needed");
  const OrderedJson* content = fields.find("content");
  if (content == nullptr) fields.fail("content", "a text is needed");
  LANTERN_TRY(fields.status());
  Parts parts;
  if (content->is_array()) {
    for (size_t i = 0; i < content->size(); ++i)
      LANTERN_TRY(add_block((*content)[i], fmt::format("{}.content[{}]", path, i), role, parts));
  } else {
    LANTERN_ASSIGN(parts.text, text_of_content(*content, path + ".content"));
  }
  const bool has_results = !parts.results.empty();
  for (OrderedJson& result : parts.results) messages.push_back(std::move(result));
  if (has_results && parts.text.empty()) return {};
  OrderedJson message = {{"role", role}, {"content", std::move(parts.text)}};
  if (!parts.reasoning.empty()) message["reasoning_content"] = std::move(parts.reasoning);
  if (!parts.calls.empty()) message["tool_calls"] = std::move(parts.calls);
  messages.push_back(std::move(message));
  return {};
}

Status add_tools(const OrderedJson& tools, ToolUse& use) {
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    Fields tool(tools[i], path);
    std::string type = "custom", name, description;
    tool.read("type", type, 256);
    if (type != "custom")
      tool.fail("type", "\"custom\" is needed; the vendor's own tools are not here");
    tool.read("name", name, 1024);
    tool.read("description", description);
    const OrderedJson* schema = tool.object("input_schema");
    if (schema == nullptr) tool.fail("input_schema", "a JSON schema is needed");
    LANTERN_TRY(tool.status());
    LANTERN_TRY(add_tool(use, path, name, description, schema));
  }
  return {};
}

Status read_tools(Fields& fields, ToolUse& use) {
  if (const OrderedJson* tools = fields.array("tools")) LANTERN_TRY(add_tools(*tools, use));
  if (const OrderedJson* json = fields.object("tool_choice")) {
    Fields choice(*json, "tool_choice");
    std::string type;
    bool one = false;
    choice.read("type", type, 64);
    choice.read("name", use.choice.name, 1024);
    choice.read("disable_parallel_tool_use", one);
    if (type == "auto") {
      use.choice.kind = ToolChoice::kAuto;
    } else if (type == "none") {
      use.choice.kind = ToolChoice::kNone;
    } else if (type == "any") {
      use.choice.kind = ToolChoice::kRequired;
    } else if (type == "tool") {
      use.choice.kind = ToolChoice::kNamed;
    } else {
      choice.fail("type", "auto, any, tool or none is needed");
    }
    use.several = !one;
    LANTERN_TRY(choice.status());
  }
  LANTERN_TRY(fields.status());
  return check_choice(use);
}

/// Whether the model shall reason, and how much. Without the field it shall not, as the vendor has
/// it.
Status read_thinking(Fields& fields, Generation& out) {
  out.thinking = false;
  const OrderedJson* json = fields.object("thinking");
  if (json == nullptr) return fields.status();
  Fields thinking(*json, "thinking");
  std::string type;
  int64_t budget = 0;
  thinking.read("type", type, 64);
  thinking.read("budget_tokens", budget, 1, kTokensMax);
  if (type != "enabled" && type != "disabled" && type != "adaptive")
    thinking.fail("type", "enabled, adaptive or disabled is needed");
  if (type == "enabled" && budget == 0)
    thinking.fail("budget_tokens", "a number of tokens is needed");
  out.thinking = type != "disabled";
  if (type == "enabled") out.thinking_tokens_max = budget;
  return thinking.status();
}

}  // namespace

Result<Generation> parse_messages(std::string_view body, Purpose purpose) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  Generation out;
  fields.read("model", out.model, 512);
  if (out.model.empty()) fields.fail("model", "the name of a model is needed");
  refuse(fields, {"mcp_servers", "container", "output_config", "output_format"});
  LANTERN_TRY(read_tools(fields, out.tools));
  LANTERN_TRY(read_thinking(fields, out));
  if (purpose == Purpose::kAnswer) {
    auto& options = out.options;
    fields.read("max_tokens", options.max_tokens, 1, kTokensMax);
    if (options.max_tokens == 0) fields.fail("max_tokens", "a number of tokens is needed");
    if (out.thinking_tokens_max > 0 && options.max_tokens <= out.thinking_tokens_max)
      fields.fail("max_tokens", "more than thinking.budget_tokens is needed");
    fields.read("temperature", options.sampler.temperature, 0.0f, 1.0f);
    fields.read("top_p", options.sampler.top_p, 1e-6f, 1.0f);
    fields.read("top_k", options.sampler.top_k, 0, INT32_MAX);
    fields.read_strings("stop_sequences", options.stop, 64);
    fields.read("stream", out.stream);
    fields.ignore({"metadata", "service_tier"});
  }
  // How the vendor's own service goes about it; none changes the answer.
  fields.ignore({"cache_control", "diagnostics", "inference_geo", "speed", "user_profile_id",
                 "workspace_id"});
  text::RenderInput input;
  if (const OrderedJson* system = fields.find("system")) {
    LANTERN_ASSIGN(std::string text, text_of_content(*system, "system"));
    if (!text.empty()) input.messages.push_back({{"role", "system"}, {"content", std::move(text)}});
  }
  const OrderedJson* messages = fields.array("messages");
  if (messages == nullptr || messages->empty() || messages->size() > kMessagesMax)
    fields.fail("messages", fmt::format("an array of 1 to {} messages is needed", kMessagesMax));
  LANTERN_TRY(fields.status());
  if (const auto name = fields.unknown())
    return make_error(ErrorCode::kInvalidArgument, "{}: Extra inputs are not permitted", *name);
  for (size_t i = 0; i < messages->size(); ++i)
    LANTERN_TRY(add_message((*messages)[i], i, input.messages));
  name_results(input.messages);
  // An assistant's turn at the end is the beginning of the answer.
  if (messages->back()["role"] == "assistant") {
    if (input.messages.back().contains("tool_calls"))
      return make_error(ErrorCode::kInvalidArgument,
                        "messages: the last one calls tools; their results are needed");
    input.add_generation_prompt = false;
    input.continue_final_message = true;
  }
  out.prompt = std::move(input);
  return out;
}

}  // namespace lantern::server::anthropic
