#include "server/tools.h"

#include <algorithm>
#include <map>

#include "base/printable.h"
#include "server/fields.h"

namespace lantern::server {
namespace {

using base::OrderedJson;

constexpr size_t kNameBytesMax = 64;  // as OpenAI has it

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '_' || c == '-';
         });
}

bool has_tool(const ToolUse& use, std::string_view name) {
  return std::any_of(use.tools.begin(), use.tools.end(),
                     [&](const OrderedJson& tool) { return tool["function"]["name"] == name; });
}

}  // namespace

Status add_tool(ToolUse& use, const std::string& path, const std::string& name,
                const std::string& description, const OrderedJson* schema) {
  if (!is_name(name))
    return make_error(ErrorCode::kInvalidArgument,
                      "{}.name: 1 to {} letters, digits, _ and - are needed, not \"{}\"", path,
                      kNameBytesMax, base::printable(name));
  if (has_tool(use, name))
    return make_error(ErrorCode::kInvalidArgument, "{}.name: \"{}\" is there twice", path, name);
  if (use.tools.size() >= kToolsMax)
    return make_error(ErrorCode::kInvalidArgument, "{}: at most {} tools are taken", path,
                      kToolsMax);
  OrderedJson function = {{"name", name}};
  if (!description.empty()) function["description"] = description;
  function["parameters"] =
      schema != nullptr ? *schema
                        : OrderedJson{{"type", "object"}, {"properties", OrderedJson::object()}};
  use.tools.push_back({{"type", "function"}, {"function", std::move(function)}});
  return {};
}

namespace {

Status add_function(ToolUse& use, const std::string& path, const OrderedJson& function) {
  Fields fields(function, path);
  std::string name, description;
  fields.read("name", name, 1024);
  fields.read("description", description);
  const OrderedJson* schema = fields.object("parameters");
  LANTERN_TRY(fields.status());
  return add_tool(use, path, name, description, schema);
}

}  // namespace

Status add_openai_tools(ToolUse& use, const OrderedJson& tools) {
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    Fields fields(tools[i], path);
    std::string type = "function";
    fields.read("type", type, 64);
    if (type != "function")
      fields.fail("type", "\"function\" is needed; the vendor's own tools are not here");
    const OrderedJson* function = fields.object("function");
    if (function == nullptr) fields.fail("function", "an object with the tool's name is needed");
    LANTERN_TRY(fields.status());
    LANTERN_TRY(add_function(use, path + ".function", *function));
  }
  return {};
}

Status add_openai_functions(ToolUse& use, const OrderedJson& functions) {
  for (size_t i = 0; i < functions.size(); ++i)
    LANTERN_TRY(add_function(use, fmt::format("functions[{}]", i), functions[i]));
  return {};
}

Status check_choice(const ToolUse& use) {
  const ToolChoice& choice = use.choice;
  if (choice.kind == ToolChoice::kAuto || choice.kind == ToolChoice::kNone) return {};
  if (use.tools.empty())
    return make_error(ErrorCode::kInvalidArgument, "tool_choice: there are no tools to choose");
  if (choice.kind == ToolChoice::kNamed && !has_tool(use, choice.name))
    return make_error(ErrorCode::kInvalidArgument, "tool_choice: no tool is called \"{}\"",
                      base::printable(choice.name));
  return {};
}

Result<OrderedJson> past_call(const std::string& path, const std::string& id,
                              const std::string& name, const OrderedJson* arguments) {
  if (name.empty())
    return make_error(ErrorCode::kInvalidArgument, "{}.name: a tool's name is needed", path);
  OrderedJson value = OrderedJson::object();
  if (arguments != nullptr && arguments->is_object()) {
    value = *arguments;
  } else if (arguments != nullptr && arguments->is_string()) {
    const auto& text = arguments->get_ref<const std::string&>();
    // A call that broke off comes back as it was.
    auto parsed = base::parse_ordered_json(text, path, {.bytes_max = 16u << 20, .depth_max = 64});
    if (parsed.ok() && parsed->is_object())
      value = std::move(*parsed);
    else if (!text.empty())
      value = text;
  } else if (arguments != nullptr) {
    return make_error(ErrorCode::kInvalidArgument, "{}.arguments: an object is needed", path);
  }
  OrderedJson call = {{"type", "function"},
                      {"function", {{"name", name}, {"arguments", std::move(value)}}}};
  if (!id.empty()) call["id"] = id;
  return call;
}

Result<OrderedJson> past_openai_calls(const OrderedJson& json, const std::string& path) {
  OrderedJson calls = OrderedJson::array();
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string call_path = fmt::format("{}[{}]", path, i);
    Fields call(json[i], call_path);
    std::string id, name;
    call.read("id", id, 1024);
    const OrderedJson* function = call.object("function");
    if (function == nullptr) call.fail("function", "the tool's name and arguments are needed");
    LANTERN_TRY(call.status());
    Fields inner(*function, call_path + ".function");
    inner.read("name", name, 1024);
    LANTERN_TRY(inner.status());
    LANTERN_ASSIGN(OrderedJson made,
                   past_call(call_path + ".function", id, name, inner.find("arguments")));
    calls.push_back(std::move(made));
  }
  return calls;
}

void fill_call_ids(OrderedJson& messages) {
  size_t n_calls = 0, n_results = 0;
  for (OrderedJson& message : messages) {
    if (const auto calls = message.find("tool_calls"); calls != message.end())
      for (OrderedJson& call : *calls) {
        if (!call.contains("id")) call["id"] = fmt::format("call{:05d}", n_calls);
        ++n_calls;
      }
    if (message["role"] != "tool") continue;
    if (!message.contains("tool_call_id"))
      message["tool_call_id"] = fmt::format("call{:05d}", n_results);
    ++n_results;
  }
}

void name_results(OrderedJson& messages) {
  std::map<std::string, std::string, std::less<>> names;  // by the call's id
  for (OrderedJson& message : messages) {
    if (const auto calls = message.find("tool_calls"); calls != message.end())
      for (const OrderedJson& call : *calls)
        if (call.contains("id")) names[call["id"]] = call["function"]["name"];
    if (message["role"] != "tool" || message.contains("name")) continue;
    const auto id = message.find("tool_call_id");
    if (id == message.end()) continue;
    const auto name = names.find(id->get_ref<const std::string&>());
    if (name != names.end()) message["name"] = name->second;
  }
}

}  // namespace lantern::server
