#include "text/chat_template.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/jinja/conversion.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operations.h"
#include "text/jinja/parser.h"

namespace lantern::text {
namespace {

using base::OrderedJson;
using jinja::Dict;
using jinja::Runtime;
using jinja::Text;
using jinja::Value;

constexpr size_t kSourceBytesMax = 1u << 20;  // the largest published templates have 60 KB

// Words that templates put between <| and |> to spell a special token. Any other role is
// content: it may be whatever a caller likes.
constexpr std::array<std::string_view, 11> kKnownRoles = {
    "assistant", "context",     "critic", "developer", "function", "ipython",
    "model",     "observation", "system", "tool",      "user"};

// Under which a message may carry its reasoning; transformers looks in this order.
constexpr std::array<const char*, 3> kReasoningKeys = {"reasoning_content", "thinking",
                                                       "reasoning"};

// Stand at the end of a message's content to find where the template puts it.
constexpr std::string_view kContinueMarker = "LANTERN_CONTINUES_HERE ";
constexpr std::string_view kTurnMarker = "LANTERN_ENDS_ITS_TURN_HERE";

Error bad_message(size_t index, std::string_view fault) {
  return make_error(ErrorCode::kInvalidArgument, "messages[{}]: {}", index, fault);
}

const OrderedJson* reasoning_of(const OrderedJson& message) {
  for (const char* key : kReasoningKeys) {
    const auto found = message.find(key);
    if (found != message.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

Status put_key(Runtime& rt, Dict& dict, std::string_view key, Value value) {
  LANTERN_ASSIGN(Value name, rt.heap().string(key, SpanKind::kContent));
  return jinja::put(rt, dict, std::move(name), std::move(value));
}

Result<Value> message_value(Runtime& rt, const OrderedJson& message, size_t index) {
  if (!message.is_object()) return bad_message(index, "is not an object");
  auto* dict = rt.heap().make<Dict>();
  const OrderedJson* reasoning = reasoning_of(message);
  Value reasoning_value;
  if (reasoning != nullptr) {
    LANTERN_ASSIGN(reasoning_value, jinja::from_json(rt, *reasoning, SpanKind::kContent));
    LANTERN_TRY(put_key(rt, *dict, "thinking", reasoning_value));
  }
  for (const auto& [key, json] : message.items()) {
    if (json.is_null()) continue;
    if (key == "role" && !json.is_string()) return bad_message(index, "has a role that is no text");
    const bool known_role =
        key == "role" && json.is_string() &&
        std::find(kKnownRoles.begin(), kKnownRoles.end(),
                  std::string_view(json.get_ref<const std::string&>())) != kKnownRoles.end();
    auto value = jinja::from_json(rt, json, known_role ? SpanKind::kLiteral : SpanKind::kContent);
    if (!value.ok()) return std::move(value).error().within(fmt::format("messages[{}]", index));
    if (!jinja::is_utf8(key)) return bad_message(index, "has a key that is not UTF-8");
    LANTERN_TRY(put_key(rt, *dict, key, std::move(value).value()));
  }
  if (reasoning != nullptr) LANTERN_TRY(put_key(rt, *dict, "reasoning_content", reasoning_value));
  return Value::dict(dict);
}

Result<Value> messages_value(Runtime& rt, const OrderedJson& messages) {
  if (!messages.is_array())
    return make_error(ErrorCode::kInvalidArgument, "messages is not an array");
  std::vector<Value> items;
  for (size_t i = 0; i < messages.size(); ++i) {
    LANTERN_ASSIGN(Value message, message_value(rt, messages[i], i));
    items.push_back(std::move(message));
  }
  return rt.heap().list(std::move(items));
}

/// Tools or documents: none, or an array of objects.
Result<Value> objects_value(Runtime& rt, const std::optional<OrderedJson>& json,
                            std::string_view what) {
  if (!json || json->is_null()) return Value::none();
  const bool objects = json->is_array() && std::all_of(json->begin(), json->end(),
                                                       [](const auto& o) { return o.is_object(); });
  if (!objects)
    return make_error(ErrorCode::kInvalidArgument, "{} is not an array of objects", what);
  auto value = jinja::from_json(rt, *json, SpanKind::kContent);
  if (!value.ok()) return std::move(value).error().within(what);
  return value;
}

using Variables = std::vector<std::pair<std::string, Value>>;

Status add_variables(Runtime& rt, const RenderInput& input, Variables& out) {
  if (!input.extra.is_object())
    return make_error(ErrorCode::kInvalidArgument, "the further variables are not an object");
  for (const auto& [name, json] : input.extra.items()) {
    if (name == "messages" || name == "tools" || name == "documents" ||
        name == "add_generation_prompt")
      return make_error(ErrorCode::kInvalidArgument, "'{}' cannot be a further variable", name);
    auto value = jinja::from_json(rt, json, SpanKind::kContent);
    if (!value.ok()) return std::move(value).error().within(name);
    out.emplace_back(name, std::move(value).value());
  }
  // After the caller's own: of two of one name the first counts.
  auto add_token = [&](const std::string& name, const std::string& token) -> Status {
    if (!jinja::is_utf8(token))
      return make_error(ErrorCode::kInvalidArgument, "the special token {} is not UTF-8", name);
    LANTERN_ASSIGN(Value value, rt.heap().string(token, SpanKind::kLiteral));
    out.emplace_back(name, std::move(value));
    return {};
  };
  if (input.bos_token) LANTERN_TRY(add_token("bos_token", *input.bos_token));
  if (input.eos_token) LANTERN_TRY(add_token("eos_token", *input.eos_token));
  for (const auto& [name, token] : input.special_tokens) LANTERN_TRY(add_token(name, token));
  return {};
}

Result<Text> render_text(const jinja::Template& source, const RenderInput& input,
                         const OrderedJson& messages, const RenderLimits& limits) {
  Runtime rt(limits, input.date);
  Variables variables;
  LANTERN_ASSIGN(Value list, messages_value(rt, messages));
  LANTERN_ASSIGN(Value tools, objects_value(rt, input.tools, "tools"));
  LANTERN_ASSIGN(Value documents, objects_value(rt, input.documents, "documents"));
  variables.emplace_back("messages", std::move(list));
  variables.emplace_back("tools", std::move(tools));
  variables.emplace_back("documents", std::move(documents));
  variables.emplace_back("add_generation_prompt", Value::boolean(input.add_generation_prompt));
  LANTERN_TRY(add_variables(rt, input, variables));
  auto text = jinja::Interpreter(source, rt).run(std::move(variables));
  if (!text.ok()) return std::move(text).error().within("chat template");
  return text;
}

/// The last message's text, to which the marker is added: its content, or the last text block
/// of it.
Result<std::string*> text_to_continue(OrderedJson& messages) {
  const Error none =
      make_error(ErrorCode::kInvalidArgument, "the last message has no text content to continue");
  if (!messages.is_array() || messages.empty() || !messages.back().is_object()) return none;
  const auto content = messages.back().find("content");
  if (content == messages.back().end()) return none;
  if (content->is_string()) return content->get_ptr<std::string*>();
  if (!content->is_array()) return none;
  for (auto block = content->rbegin(); block != content->rend(); ++block) {
    if (!block->is_object()) continue;
    const auto text = block->find("text");
    if (text != block->end() && text->is_string()) return text->get_ptr<std::string*>();
  }
  return none;
}

std::string_view trimmed(std::string_view text) {
  text.remove_prefix(jinja::leading_space_bytes(text));
  text.remove_suffix(jinja::trailing_space_bytes(text));
  return text;
}

/// The text up to the marker; where the template trimmed the content, so is what stays.
Result<Text> cut_at_marker(const Text& text, std::string_view final_text) {
  const std::string_view marker = trimmed(kContinueMarker);
  const size_t at = jinja::rfind_bytes(text.view(), marker);
  if (at == std::string_view::npos ||
      jinja::find_bytes(text.view(), trimmed(final_text)) == std::string_view::npos)
    return make_error(ErrorCode::kUnsupported,
                      "chat template: it does not write the last message as it is, so that message "
                      "cannot be continued");
  size_t end = at;
  if (text.view().substr(at, kContinueMarker.size()) != kContinueMarker)
    end -= jinja::trailing_space_bytes(text.view().substr(0, at));
  Text out;
  out.append(text, 0, end);
  return out;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::parse(std::string source) {
  if (source.size() > kSourceBytesMax)
    return make_error(ErrorCode::kTooLarge, "chat template: {} bytes, at most {} are read",
                      source.size(), kSourceBytesMax);
  if (!jinja::is_utf8(source))
    return make_error(ErrorCode::kCorrupt, "chat template: it is not UTF-8");
  auto parsed = jinja::parse_template(source);
  if (!parsed.ok()) return std::move(parsed).error().within("chat template");
  ChatTemplate out;
  out.source_ = std::move(source);
  out.template_ = std::move(parsed).value();
  return out;
}

Result<std::vector<Span>> ChatTemplate::render(const RenderInput& input,
                                               const RenderLimits& limits) const {
  if (!input.continue_final_message) {
    LANTERN_ASSIGN(const Text text, render_text(*template_, input, input.messages, limits));
    return text.spans();
  }
  if (input.add_generation_prompt)
    return make_error(ErrorCode::kInvalidArgument,
                      "a message is either continued or prompted for, not both");
  OrderedJson messages = input.messages;
  LANTERN_ASSIGN(std::string * last, text_to_continue(messages));
  const std::string final_text = *last;
  *last += kContinueMarker;
  LANTERN_ASSIGN(const Text text, render_text(*template_, input, messages, limits));
  LANTERN_ASSIGN(const Text open, cut_at_marker(text, final_text));
  return open.spans();
}

Result<std::string> ChatTemplate::turn_end(const RenderInput& input) const {
  RenderInput probe = input;
  probe.tools.reset();
  probe.documents.reset();
  probe.add_generation_prompt = false;
  const OrderedJson messages = {{{"role", "user"}, {"content", "Hello"}},
                                {{"role", "assistant"}, {"content", kTurnMarker}}};
  LANTERN_ASSIGN(const Text text, render_text(*template_, probe, messages, {}));
  const size_t at = jinja::rfind_bytes(text.view(), kTurnMarker);
  if (at == std::string_view::npos) return std::string();
  Text after;
  after.append(text, at + kTurnMarker.size(), text.size_bytes());
  std::string end;
  for (const Span& span : after.spans())
    if (span.kind == SpanKind::kLiteral) end += span.text;
  return end;
}

std::string to_text(const std::vector<Span>& spans) {
  std::string out;
  for (const Span& span : spans) out += span.text;
  return out;
}

}  // namespace lantern::text
