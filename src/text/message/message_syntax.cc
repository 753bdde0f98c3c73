#include "text/message/message_syntax.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/hash.h"

namespace lantern::text {
namespace {

using base::OrderedJson;

constexpr std::array<ReasoningTags, 2> kReasoningTags = {
    {{"<think>", "</think>"}, {"[THINK]", "[/THINK]"}}};

// The conversation that a template is tried on. The names are like nothing in a template.
constexpr std::string_view kTool = "lantern_probe";
constexpr std::string_view kQuestion = "LANTERN_ASKS";
constexpr std::string_view kAnswer = "LANTERN_ANSWERS";

const OrderedJson& probe_tool() {
  static const OrderedJson kJson = {
      {"type", "function"},
      {"function",
       {{"name", kTool},
        {"description", "A probe."},
        {"parameters",
         {{"type", "object"},
          {"properties", {{"where", {{"type", "string"}, {"description", "A place."}}}}},
          {"required", OrderedJson::array({"where"})}}}}}};
  return kJson;
}

const OrderedJson& probe_arguments() {
  static const OrderedJson kJson = {{"where", "LANTERN_PLACE"}};
  return kJson;
}

OrderedJson probe_call(bool arguments_as_text) {
  OrderedJson arguments = probe_arguments();
  if (arguments_as_text) arguments = arguments.dump();
  return {{"id", "probe0000"},
          {"type", "function"},
          {"function", {{"name", kTool}, {"arguments", std::move(arguments)}}}};
}

/// The probe's conversation, rendered: after `first` messages a question, then `answer`.
std::optional<std::string> rendered(const ChatTemplate& chat_template, RenderInput input,
                                    OrderedJson first, const OrderedJson& answer) {
  input.messages = std::move(first);
  input.messages.push_back({{"role", "user"}, {"content", kQuestion}});
  if (!answer.is_null()) input.messages.push_back(answer);
  input.add_generation_prompt = answer.is_null();
  auto spans = chat_template.render(input);
  if (!spans.ok()) return std::nullopt;
  return to_text(*spans);
}

/// What the template writes for an assistant's message `answer`, its frame left out: what a plain
/// answer has in front, too.
std::optional<std::string> written(const ChatTemplate& chat_template, const RenderInput& input,
                                   const OrderedJson& first, const OrderedJson& answer) {
  const auto with = rendered(chat_template, input, first, answer);
  const auto plain =
      rendered(chat_template, input, first, {{"role", "assistant"}, {"content", kAnswer}});
  if (!with || !plain) return std::nullopt;
  const auto after_question = [](const std::string& text) {
    const size_t at = text.rfind(kQuestion);
    return at == std::string::npos ? std::string() : text.substr(at + kQuestion.size());
  };
  const std::string one = after_question(*with), other = after_question(*plain);
  const auto differ = std::mismatch(one.begin(), one.end(), other.begin(), other.end()).first;
  return std::string(differ, one.end());
}

bool reads_probe(const ToolSyntax& syntax, const ReasoningTags* reasoning,
                 const std::string& text) {
  MessageParser parser({.calls = &syntax, .tools = {std::string(kTool)}, .reasoning = reasoning});
  MessageParser::Events events;
  parser.push(text, events);
  parser.finish(events);
  if (!events.empty() && events.front().kind == MessageEvent::Kind::kReasoning)
    events.erase(events.begin());
  if (events.size() < 3 || events[0] != MessageEvent{MessageEvent::Kind::kCall, std::string(kTool)})
    return false;
  if (events[2].kind != MessageEvent::Kind::kCallEnd) return false;
  const auto arguments = base::parse_ordered_json(events[1].text, "arguments");
  return arguments.ok() && *arguments == probe_arguments();
}

/// The one syntax that reads `text`; null where none or several do.
const ToolSyntax* syntax_of(const std::string& text, const ReasoningTags* reasoning) {
  const ToolSyntax* found = nullptr;
  for (const ToolSyntax* syntax : all_tool_syntaxes()) {
    if (!reads_probe(*syntax, reasoning, text)) continue;
    if (found != nullptr) return nullptr;
    found = syntax;
  }
  return found;
}

const ToolSyntax* syntax_of_tokens(const TokenTest& is_token) {
  for (const ToolSyntax* syntax : all_tool_syntaxes())
    if (syntax->told_by_tokens &&
        std::all_of(syntax->tokens.begin(), syntax->tokens.end(), is_token))
      return syntax;
  return nullptr;
}

void find_calls(const ChatTemplate& chat_template, RenderInput input, const TokenTest& is_token,
                MessageSyntax& out) {
  const auto shown = [&](const OrderedJson& first) {
    const auto text = rendered(chat_template, input, first, nullptr);
    return text && text->find(kTool) != std::string::npos;
  };
  OrderedJson first = OrderedJson::array();
  input.tools = OrderedJson::array({probe_tool()});
  if (!shown(first)) {
    input.tools.reset();
    first.push_back({{"role", "system"}, {"content", "x"}, {"tools", probe_tool().dump()}});
    if (!shown(first)) {
      out.no_calls = "its chat template does not show tools to the model";
      return;
    }
    out.tools_in_system = true;
  }
  const auto answer = [](OrderedJson calls) {
    return OrderedJson{{"role", "assistant"}, {"content", ""}, {"tool_calls", std::move(calls)}};
  };
  for (bool as_text : {false, true}) {
    const OrderedJson call = probe_call(as_text);
    const auto text = written(chat_template, input, first, answer(OrderedJson::array({call})));
    if (!text) continue;
    out.calls = syntax_of(*text, out.reasoning);
    if (out.calls == nullptr) continue;
    out.arguments_as_text = as_text;
    OrderedJson second = call;
    second["id"] = "probe0001";
    out.several_calls =
        rendered(chat_template, input, first, answer(OrderedJson::array({call, second})))
            .has_value();
    return;
  }
  out.writes_calls = false;
  out.calls = syntax_of_tokens(is_token);
  if (out.calls == nullptr)
    out.no_calls = "the way in which its chat template writes calls of tools is not known here";
}

/// An id in the form that a template asks for: the same for equal ids.
std::string fitted_id(const std::string& id, size_t n_bytes) {
  if (n_bytes == 0) return id;
  const bool fits =
      id.size() == n_bytes && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
      });
  return fits ? id : base::to_hex(base::sha256(id)).substr(0, n_bytes);
}

std::string spelled(const ToolSyntax& syntax, const OrderedJson& calls) {
  std::string out;
  for (const OrderedJson& call : calls) {
    const OrderedJson& function = call["function"];
    out += out.empty() ? syntax.spelling.open : syntax.spelling.between;
    out += syntax.spelling.before_name;
    out += function["name"].get_ref<const std::string&>();
    out += syntax.spelling.before_arguments;
    if (!syntax.keywords) out += function["arguments"].dump();
    if (syntax.keywords && function["arguments"].is_object()) {
      bool first = true;
      for (const auto& [name, value] : function["arguments"].items()) {
        out += (first ? "" : ", ") + name + "=" + value.dump();
        first = false;
      }
    }
    out += syntax.spelling.after_arguments;
  }
  return out + std::string(syntax.spelling.close);
}

void prepare_message(const MessageSyntax& syntax, OrderedJson& message) {
  const size_t id_bytes = syntax.calls->id_bytes;
  if (const auto id = message.find("tool_call_id"); id != message.end())
    *id = fitted_id(id->get<std::string>(), id_bytes);
  const auto calls = message.find("tool_calls");
  if (calls == message.end()) return;
  if (!syntax.writes_calls) {
    std::string content = message.value("content", "");
    content += spelled(*syntax.calls, *calls);
    message["content"] = std::move(content);
    message.erase("tool_calls");
    return;
  }
  for (OrderedJson& call : *calls) {
    if (const auto id = call.find("id"); id != call.end())
      *id = fitted_id(id->get<std::string>(), id_bytes);
    OrderedJson& arguments = call["function"]["arguments"];
    if (syntax.arguments_as_text && !arguments.is_string()) arguments = arguments.dump();
  }
}

}  // namespace

MessageSyntax find_message_syntax(const ChatTemplate& chat_template, const RenderInput& input,
                                  const TokenTest& is_token) {
  MessageSyntax out;
  for (const ReasoningTags& tags : kReasoningTags)
    if (out.reasoning == nullptr && chat_template.source().find(tags.close) != std::string::npos)
      out.reasoning = &tags;
  RenderInput probe = input;
  probe.documents.reset();
  probe.continue_final_message = false;
  find_calls(chat_template, std::move(probe), is_token, out);
  return out;
}

Status prepare_tools(const MessageSyntax& syntax, const OrderedJson& tools, RenderInput& input) {
  const bool has_tools = tools.is_array() && !tools.empty();
  if (syntax.calls == nullptr) {
    if (!has_tools) return {};
    return make_error(ErrorCode::kInvalidArgument, "tools: this model cannot be given tools: {}",
                      syntax.no_calls);
  }
  for (OrderedJson& message : input.messages) prepare_message(syntax, message);
  if (!has_tools) return {};
  if (!syntax.tools_in_system) {
    input.tools = tools;
    return {};
  }
  if (input.messages.empty() || input.messages.front()["role"] != "system")
    input.messages.insert(input.messages.begin(), OrderedJson{{"role", "system"}, {"content", ""}});
  input.messages.front()["tools"] = tools.dump();
  return {};
}

}  // namespace lantern::text
