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

Result<OrderedJson> message_of(const OrderedJson& item, size_t index) {
  const std::string path = fmt::format("input[{}]", index);
  Fields fields(item, path);
  std::string type = "message", role;
  fields.read("type", type, 64);
  fields.read("role", role, 64);
  LANTERN_TRY(fields.status());
  if (type != "message")
    return make_error(ErrorCode::kInvalidArgument,
                      "{}.type: \"message\" is needed, {} is not supported", path,
                      base::printable(type));
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
  for (size_t i = 0; i < input->size(); ++i) {
    LANTERN_ASSIGN(OrderedJson message, message_of((*input)[i], i));
    out.push_back(std::move(message));
  }
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

void refuse_what_is_not_here(Fields& fields) {
  const auto is_empty = [](const OrderedJson& v) { return v.is_structured() && v.empty(); };
  const auto never = [](const OrderedJson&) { return false; };
  const auto is_false = [](const OrderedJson& v) { return v == false; };
  refuse_unless(fields, "tools", is_empty);
  refuse_unless(fields, "tool_choice",
                [](const OrderedJson& v) { return v == "none" || v == "auto"; });
  refuse_unless(fields, "include", is_empty);
  refuse_unless(fields, "truncation", [](const OrderedJson& v) { return v == "disabled"; });
  refuse_unless(fields, "background", is_false);
  refuse_unless(fields, "top_logprobs", [](const OrderedJson& v) { return v == 0; });
  refuse_unless(fields, "prompt", never);
  refuse_unless(fields, "conversation", never);
  refuse_unless(fields, "context_management", is_empty);
  if (const OrderedJson* text = fields.object("text")) {
    Fields inner(*text, "text");
    refuse_unless(inner, "format", [](const OrderedJson& v) {
      return v.is_object() && v.size() == 1 && v.contains("type") && v["type"] == "text";
    });
    if (!inner.ok()) fields.fail("text.format", kNotSupported);
  }
  // What these change is how the vendor's own service goes about it.
  fields.ignore({"user", "parallel_tool_calls", "service_tier", "reasoning", "safety_identifier",
                 "prompt_cache_key", "prompt_cache_retention", "stream_options", "max_tool_calls"});
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
  LANTERN_TRY(fields.status());
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
