#include <algorithm>
#include <set>

#include "base/printable.h"
#include "server/openai/responses.h"

namespace lantern::server::openai {
namespace {

using base::OrderedJson;

constexpr std::string_view kNotSupported = "not supported by this service; leave it out";

/// A field that may be there as long as it asks for nothing.
template <typename AsksForNothing>
void refuse_unless(Fields& fields, std::string_view name, AsksForNothing asks_for_nothing) {
  const OrderedJson* value = fields.find(name);
  if (value != nullptr && !asks_for_nothing(*value)) fields.fail(name, kNotSupported);
}

/// A turn as templates have it.
Result<OrderedJson> message_of(Fields& fields, const std::string& path) {
  std::string role;
  fields.read("role", role, 64);
  LANTERN_TRY(fields.status());
  static const std::set<std::string> kRoles = {"system", "developer", "user", "assistant"};
  if (!kRoles.contains(role))
    return make_error(ErrorCode::kInvalidArgument,
                      "{}.role: system, developer, user or assistant is needed", path);
  const OrderedJson* content = fields.find("content");
  if (content == nullptr)
    return make_error(ErrorCode::kInvalidArgument, "{}.content: a text is needed", path);
  LANTERN_ASSIGN(std::string text, text_of_content(*content, path + ".content"));
  return OrderedJson{{"role", role == "developer" ? "system" : role}, {"content", text}};
}

/// The assistant's turn that is being put together of several items.
OrderedJson& open_turn(OrderedJson& messages) {
  if (messages.empty() || messages.back()["role"] != "assistant")
    messages.push_back({{"role", "assistant"}, {"content", ""}});
  return messages.back();
}

Status add_call(Fields& fields, const std::string& path, OrderedJson& messages) {
  std::string id, name;
  fields.read("call_id", id, 1024);
  fields.read("name", name, 1024);
  LANTERN_TRY(fields.status());
  LANTERN_ASSIGN(OrderedJson call, past_call(path, id, name, fields.find("arguments")));
  open_turn(messages)["tool_calls"].push_back(std::move(call));
  return {};
}

Status add_output(Fields& fields, const std::string& path, OrderedJson& messages) {
  std::string id;
  fields.read("call_id", id, 1024);
  LANTERN_TRY(fields.status());
  const OrderedJson* output = fields.find("output");
  if (id.empty() || output == nullptr)
    return make_error(ErrorCode::kInvalidArgument, "{}: call_id and output are needed", path);
  LANTERN_ASSIGN(std::string text, text_of_content(*output, path + ".output"));
  messages.push_back({{"role", "tool"}, {"tool_call_id", id}, {"content", std::move(text)}});
  return {};
}

/// What the model thought before what follows; of another service's making it says nothing here.
Status add_reasoning(Fields& fields, OrderedJson& messages) {
  const OrderedJson* content = fields.array("content");
  LANTERN_TRY(fields.status());
  std::string text;
  if (content != nullptr)
    for (const OrderedJson& part : *content)
      if (part.is_object() && part.value("type", OrderedJson()) == "reasoning_text" &&
          part.value("text", OrderedJson()).is_string())
        text += part["text"].get_ref<const std::string&>();
  if (!text.empty())
    messages.push_back({{"role", "assistant"}, {"content", ""}, {"reasoning_content", text}});
  return {};
}

/// One item; those of one turn of the assistant become one message.
Status add_item(const OrderedJson& item, size_t index, OrderedJson& messages) {
  const std::string path = fmt::format("input[{}]", index);
  Fields fields(item, path);
  std::string type = "message";
  fields.read("type", type, 64);
  LANTERN_TRY(fields.status());
  if (type == "function_call") return add_call(fields, path, messages);
  if (type == "function_call_output") return add_output(fields, path, messages);
  if (type == "reasoning") return add_reasoning(fields, messages);
  if (type != "message")
    return make_error(ErrorCode::kInvalidArgument,
                      "{}.type: message, function_call, function_call_output or reasoning is "
                      "needed, {} is not supported",
                      path, base::printable(type));
  LANTERN_ASSIGN(OrderedJson message, message_of(fields, path));
  const bool follows_thought = !messages.empty() && message["role"] == "assistant" &&
                               messages.back()["role"] == "assistant" &&
                               messages.back().contains("reasoning_content") &&
                               messages.back()["content"] == "";
  if (follows_thought)
    messages.back()["content"] = message["content"];
  else
    messages.push_back(std::move(message));
  return {};
}

Result<OrderedJson> messages_of(Fields& fields) {
  const OrderedJson* input = fields.find("input");
  if (input == nullptr || (!input->is_string() && !input->is_array()))
    return make_error(ErrorCode::kInvalidArgument, "input: a text or an array of items is needed");
  OrderedJson out = OrderedJson::array();
  if (input->is_string()) {
    out.push_back({{"role", "user"}, {"content", *input}});
    return out;
  }
  if (input->empty() || input->size() > kMessagesMax)
    return make_error(ErrorCode::kInvalidArgument, "input: an array of 1 to {} items is needed",
                      kMessagesMax);
  for (size_t i = 0; i < input->size(); ++i) LANTERN_TRY(add_item((*input)[i], i, out));
  return out;
}

void read_metadata(Fields& fields, OrderedJson& out) {
  const OrderedJson* metadata = fields.object("metadata");
  if (metadata == nullptr) return;
  bool fits = metadata->size() <= 16;
  for (const auto& [name, value] : metadata->items())
    fits = fits && name.size() <= 64 && value.is_string() &&
           value.get_ref<const std::string&>().size() <= 512;
  if (!fits) return fields.fail("metadata", "at most 16 texts of at most 512 bytes are taken");
  out = *metadata;
}

/// {"type": "function", "name", "description", "parameters"}: not nested, as chat's are.
Status add_tools(const OrderedJson& tools, ToolUse& use) {
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    Fields tool(tools[i], path);
    std::string type, name, description;
    tool.read("type", type, 256);
    if (type != "function")
      tool.fail("type", "\"function\" is needed; the vendor's own tools are not here");
    tool.read("name", name, 1024);
    tool.read("description", description);
    const OrderedJson* schema = tool.object("parameters");
    LANTERN_TRY(tool.status());
    LANTERN_TRY(add_tool(use, path, name, description, schema));
  }
  return {};
}

Status read_tool_choice(const OrderedJson& choice, ToolChoice& out) {
  if (choice == "auto" || choice == "none" || choice == "required") {
    out.kind = choice == "none"   ? ToolChoice::kNone
               : choice == "auto" ? ToolChoice::kAuto
                                  : ToolChoice::kRequired;
    return {};
  }
  if (choice.is_object() && choice.value("type", OrderedJson()) == "function" &&
      choice.value("name", OrderedJson()).is_string()) {
    out = {.kind = ToolChoice::kNamed, .name = choice["name"]};
    return {};
  }
  return make_error(ErrorCode::kInvalidArgument,
                    "tool_choice: \"auto\", \"none\", \"required\" or a function by its name is "
                    "needed");
}

Status read_tools(Fields& fields, ResponsesRequest& out) {
  ToolUse& use = out.generation.tools;
  const OrderedJson* tools = fields.array("tools");
  const OrderedJson* choice = fields.find("tool_choice");
  fields.read("parallel_tool_calls", use.several);
  LANTERN_TRY(fields.status());
  if (tools != nullptr) {
    LANTERN_TRY(add_tools(*tools, use));
    out.tools = *tools;
  }
  if (choice != nullptr) {
    LANTERN_TRY(read_tool_choice(*choice, use.choice));
    out.tool_choice = *choice;
  }
  return check_choice(use);
}

Status read_reasoning(Fields& fields, ResponsesRequest& out) {
  const OrderedJson* json = fields.object("reasoning");
  if (json == nullptr) return fields.status();
  Fields reasoning(*json, "reasoning");
  reasoning.read("effort", out.effort, 64);
  return reasoning.status();
}

void refuse_what_is_not_here(Fields& fields) {
  const auto is_empty = [](const OrderedJson& v) { return v.is_structured() && v.empty(); };
  const auto never = [](const OrderedJson&) { return false; };
  const auto is_false = [](const OrderedJson& v) { return v == false; };
  // Reasoning is not encrypted here: it comes whole, and is taken back so.
  refuse_unless(fields, "include", [](const OrderedJson& v) {
    return v.is_array() && std::ranges::all_of(v, [](const OrderedJson& what) {
             return what == "reasoning.encrypted_content";
           });
  });
  refuse_unless(fields, "truncation", [](const OrderedJson& v) { return v == "disabled"; });
  refuse_unless(fields, "background", is_false);
  refuse_unless(fields, "top_logprobs", [](const OrderedJson& v) { return v == 0; });
  refuse_unless(fields, "prompt", never);
  refuse_unless(fields, "conversation", never);
  refuse_unless(fields, "context_management", is_empty);
  // What these change is how the vendor's own service goes about it.
  fields.ignore({"user", "service_tier", "safety_identifier", "prompt_cache_key",
                 "prompt_cache_retention", "stream_options", "max_tool_calls"});
}

}  // namespace

Result<ResponsesRequest> parse_responses(std::string_view body) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  ResponsesRequest out;
  Generation& to = out.generation;
  auto& sampler = to.options.sampler;
  fields.read("model", to.model, 512);
  if (to.model.empty()) fields.fail("model", "the name of a model is needed");
  fields.read("instructions", out.instructions, 16u << 20);
  fields.read("previous_response_id", out.previous_id, 256);
  fields.read("store", out.store);
  fields.read("stream", to.stream);
  fields.read("max_output_tokens", to.options.max_tokens, 1, kTokensMax);
  fields.read("temperature", sampler.temperature, 0.0f, 2.0f);
  fields.read("top_p", sampler.top_p, 1e-6f, 1.0f);
  fields.read("top_k", sampler.top_k, 0, INT32_MAX);
  fields.read("min_p", sampler.min_p, 0.0f, 1.0f);
  fields.read("repeat_penalty", sampler.repeat_penalty, 0.01f, 100.0f);
  fields.read_seed("seed", to.seed);
  read_metadata(fields, out.metadata);
  refuse_what_is_not_here(fields);
  read_responses_shape(fields, to.shape);
  LANTERN_TRY(fields.status());
  if (const OrderedJson* text = fields.object("text"); text != nullptr && text->contains("format"))
    if (const OrderedJson& format = (*text)["format"]; !format.is_null()) out.format = format;
  LANTERN_TRY(read_tools(fields, out));
  LANTERN_TRY(read_reasoning(fields, out));
  LANTERN_ASSIGN(OrderedJson messages, messages_of(fields));
  if (const auto name = fields.unknown())
    return make_error(ErrorCode::kInvalidArgument, "Unrecognized request argument supplied: {}",
                      *name);
  text::RenderInput input;
  for (OrderedJson& message : messages) input.messages.push_back(std::move(message));
  to.prompt = std::move(input);
  return out;
}

std::string kept_text(const KeptResponse& kept) {
  return OrderedJson{{"response", kept.response}, {"messages", kept.messages}}.dump(
      -1, ' ', false, OrderedJson::error_handler_t::replace);
}

Result<KeptResponse> parse_kept(std::string_view text) {
  LANTERN_ASSIGN(
      OrderedJson json,
      base::parse_ordered_json(text, "a kept response", {.bytes_max = 8u << 20, .depth_max = 64}));
  if (!json.is_object() || !json.contains("response") || !json["response"].is_object() ||
      !json.contains("messages") || !json["messages"].is_array())
    return make_error(ErrorCode::kCorrupt, "a kept response: its parts are missing");
  return KeptResponse{.response = std::move(json["response"]),
                      .messages = std::move(json["messages"])};
}

}  // namespace lantern::server::openai
