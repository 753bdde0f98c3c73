#include "server/openai/request.h"

#include <algorithm>
#include <set>
#include <utility>

#include "server/structured_output.h"

namespace lantern::server::openai {
namespace {

using base::OrderedJson;

/// Choices of all prompts of a completion: each is an answer of its own that waits for its turn.
constexpr size_t kCompletionsMax = 128;
/// As OpenAI's older API has it.
constexpr int64_t kCompletionLogprobsMax = 5;

/// A field that would change the answer if it were obeyed: only a value that asks for nothing
/// passes.
void refuse_unless(Fields& fields, std::string_view name,
                   bool (*asks_for_nothing)(const OrderedJson&)) {
  const OrderedJson* value = fields.find(name);
  if (value != nullptr && !asks_for_nothing(*value))
    fields.fail(name, "not supported by this service; leave it out");
}

bool is_zero(const OrderedJson& value) { return value.is_number() && value.get<double>() == 0; }
bool is_false(const OrderedJson& value) { return value.is_boolean() && !value.get<bool>(); }
bool is_empty(const OrderedJson& value) { return value.is_structured() && value.empty(); }
bool is_text_only(const OrderedJson& value) { return value == OrderedJson::array({"text"}); }

/// Fields that both APIs have.
void read_common(Fields& fields, TextRequest& out) {
  Generation& to = out.generation;
  auto& sampler = to.options.sampler;
  fields.read("model", to.model, 512);
  if (to.model.empty()) fields.fail("model", "the name of a model is needed");
  int64_t n = 1;
  fields.read("n", n, 1, kChoicesMax);
  to.n_choices = static_cast<uint32_t>(n);
  fields.read("temperature", sampler.temperature, 0.0f, 2.0f);
  fields.read("top_p", sampler.top_p, 1e-6f, 1.0f);
  fields.read("top_k", sampler.top_k, 0, INT32_MAX);
  fields.read("min_p", sampler.min_p, 0.0f, 1.0f);
  fields.read("repeat_penalty", sampler.repeat_penalty, 0.01f, 100.0f);
  fields.read("ignore_eos", to.options.ignore_end);
  fields.read_seed("seed", to.seed);
  fields.read_strings("stop", to.options.stop, 64);
  fields.read("max_tokens", to.options.max_tokens, 1, kTokensMax);
  fields.read("stream", to.stream);
  if (const OrderedJson* options = fields.object("stream_options")) {
    Fields inner(*options, "stream_options");
    inner.read("include_usage", out.include_usage);
    inner.ignore({"include_obfuscation"});
    if (!inner.ok())
      fields.fail("stream_options.include_usage", "true or false is needed");
    else if (!to.stream)
      fields.fail("stream_options", "only where stream is true");
  }
  read_openai_shape(fields, to.shape);
  refuse_unless(fields, "presence_penalty", is_zero);
  refuse_unless(fields, "frequency_penalty", is_zero);
  refuse_unless(fields, "logit_bias", is_empty);
  fields.ignore({"user"});
}

Status finish(const Fields& fields) {
  LANTERN_TRY(fields.status());
  if (const auto name = fields.unknown())
    return make_error(ErrorCode::kInvalidArgument, "Unrecognized request argument supplied: {}",
                      *name);
  return {};
}

Status read_choice(const OrderedJson& choice, ToolChoice& out) {
  if (choice == "auto" || choice == "none" || choice == "required") {
    out.kind = choice == "none"   ? ToolChoice::kNone
               : choice == "auto" ? ToolChoice::kAuto
                                  : ToolChoice::kRequired;
    return {};
  }
  if (choice.is_object() && choice.value("type", OrderedJson()) == "function" &&
      choice.contains("function") && choice["function"].is_object() &&
      choice["function"].value("name", OrderedJson()).is_string()) {
    out = {.kind = ToolChoice::kNamed, .name = choice["function"]["name"]};
    return {};
  }
  return make_error(ErrorCode::kInvalidArgument,
                    "tool_choice: \"auto\", \"none\", \"required\" or a function by its name is "
                    "needed");
}

Status read_tools(Fields& fields, ToolUse& use) {
  const OrderedJson* tools = fields.array("tools");
  const OrderedJson* choice = fields.find("tool_choice");
  fields.read("parallel_tool_calls", use.several);
  LANTERN_TRY(fields.status());
  if (tools != nullptr) LANTERN_TRY(add_openai_tools(use, *tools));
  if (choice != nullptr) LANTERN_TRY(read_choice(*choice, use.choice));
  return check_choice(use);
}

/// What tools were called before there were any: one call an answer, and no ids.
Status read_functions(Fields& fields, TextRequest& out) {
  ToolUse& use = out.generation.tools;
  const OrderedJson* functions = fields.array("functions");
  const OrderedJson* choice = fields.find("function_call");
  if (functions != nullptr && functions->empty()) functions = nullptr;
  const bool is_name =
      choice != nullptr && choice->is_object() && choice->value("name", OrderedJson()).is_string();
  if (functions != nullptr && !use.tools.empty())
    fields.fail("functions", "not together with tools, which took their place");
  else if (choice != nullptr && *choice != "none" && *choice != "auto" && !is_name)
    fields.fail("function_call",
                "\"none\", \"auto\" or an object with a function's name is needed");
  else if (is_name && functions == nullptr)
    fields.fail("function_call", "there are no functions to choose");
  LANTERN_TRY(fields.status());
  if (functions == nullptr) return {};
  LANTERN_TRY(add_openai_functions(use, *functions));
  out.by_functions = true;
  use.several = false;
  if (is_name) use.choice = {.kind = ToolChoice::kNamed, .name = (*choice)["name"]};
  if (choice != nullptr && *choice == "none") use.choice.kind = ToolChoice::kNone;
  const Status chosen = check_choice(use);
  if (!chosen.ok()) fields.fail("function_call", "no function has that name");
  return fields.status();
}

/// Variables of the chat template: OpenAI's own field, and the one that other servers have.
Status read_variables(Fields& fields, text::RenderInput& input) {
  std::string effort;
  fields.read("reasoning_effort", effort, 64);
  if (!effort.empty()) input.extra["reasoning_effort"] = effort;
  if (effort == "none") input.extra["enable_thinking"] = false;
  if (const OrderedJson* more = fields.object("chat_template_kwargs")) input.extra.update(*more);
  return fields.status();
}

/// A message that calls or answers one of `functions`, without an id.
bool is_of_functions(const OrderedJson& message) {
  return message.value("role", OrderedJson()) == "function" || message.contains("function_call");
}

Result<OrderedJson> message_of(const OrderedJson& json, size_t index) {
  const std::string path = fmt::format("messages[{}]", index);
  Fields fields(json, path);
  std::string role, name;
  fields.read("role", role, 64);
  fields.read("name", name, 1024);
  LANTERN_TRY(fields.status());
  static const std::set<std::string> kRoles = {"system",    "developer", "user",
                                               "assistant", "tool",      "function"};
  if (!kRoles.contains(role))
    return make_error(ErrorCode::kInvalidArgument,
                      "{}.role: system, developer, user, assistant or tool is needed", path);
  if (role == "developer") role = "system";
  if (role == "function") role = "tool";
  OrderedJson message = {{"role", role}};
  if (const OrderedJson* content = fields.find("content")) {
    LANTERN_ASSIGN(message["content"], text_of_content(*content, path + ".content"));
  } else if (role != "assistant") {
    return make_error(ErrorCode::kInvalidArgument, "{}.content: a text is needed", path);
  } else {
    message["content"] = "";
  }
  if (!name.empty()) message["name"] = name;
  if (const OrderedJson* calls = fields.array("tool_calls"); calls != nullptr && !calls->empty()) {
    LANTERN_ASSIGN(message["tool_calls"], past_openai_calls(*calls, path + ".tool_calls"));
  }
  if (const OrderedJson* call = fields.object("function_call")) {
    Fields inner(*call, path + ".function_call");
    std::string called;
    inner.read("name", called, 1024);
    LANTERN_TRY(inner.status());
    LANTERN_ASSIGN(OrderedJson made,
                   past_call(path + ".function_call", {}, called, inner.find("arguments")));
    message["tool_calls"].push_back(std::move(made));
  }
  std::string reasoning;
  fields.read("reasoning_content", reasoning, 16u << 20);
  if (!reasoning.empty()) message["reasoning_content"] = reasoning;
  std::string call_id;
  fields.read("tool_call_id", call_id, 1024);
  if (!call_id.empty()) message["tool_call_id"] = call_id;
  LANTERN_TRY(fields.status());
  return message;
}

}  // namespace

Result<TextRequest> parse_chat(std::string_view body) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  TextRequest out;
  read_common(fields, out);
  fields.read("max_completion_tokens", out.generation.options.max_tokens, 1, kTokensMax);
  bool logprobs = false;
  int64_t top_logprobs = 0;
  fields.read("logprobs", logprobs);
  fields.read("top_logprobs", top_logprobs, 0, engine::Logprobs::kTopMax);
  if (top_logprobs > 0 && !logprobs) fields.fail("top_logprobs", "only where logprobs is true");
  if (logprobs) out.generation.options.logprobs = static_cast<int>(top_logprobs);
  refuse_unless(fields, "modalities", is_text_only);
  refuse_unless(fields, "audio", is_empty);
  refuse_unless(fields, "web_search_options", [](const OrderedJson&) { return false; });
  refuse_unless(fields, "store", is_false);
  // What these change is how the vendor's own service goes about it, or how fast; docs/serve.md
  // names them.
  fields.ignore({"metadata", "prediction", "service_tier", "verbosity", "safety_identifier",
                 "prompt_cache_key", "prompt_cache_retention"});

  text::RenderInput input;
  LANTERN_TRY(read_tools(fields, out.generation.tools));
  LANTERN_TRY(read_functions(fields, out));
  LANTERN_TRY(read_variables(fields, input));
  const OrderedJson* messages = fields.array("messages");
  if (messages == nullptr || messages->empty() || messages->size() > kMessagesMax)
    fields.fail("messages", fmt::format("an array of 1 to {} messages is needed", kMessagesMax));
  LANTERN_TRY(finish(fields));
  for (size_t i = 0; i < messages->size(); ++i) {
    LANTERN_ASSIGN(OrderedJson message, message_of((*messages)[i], i));
    input.messages.push_back(std::move(message));
  }
  if (std::ranges::any_of(*messages, is_of_functions)) fill_call_ids(input.messages);
  name_results(input.messages);
  out.generation.prompt = std::move(input);
  return out;
}

Result<TextRequest> parse_completion(std::string_view body) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  TextRequest out;
  out.generation.options.max_tokens = 16;  // the API's own default
  read_common(fields, out);
  fields.read("echo", out.echo);
  int64_t logprobs = -1;
  fields.read("logprobs", logprobs, 0, kCompletionLogprobsMax);
  out.generation.options.logprobs = static_cast<int>(logprobs);
  if (out.echo && logprobs >= 0)
    fields.fail("logprobs",
                "not together with echo: those of the prompt's own tokens are not worked out by "
                "this service; leave one of the two out");
  refuse_unless(fields, "suffix", [](const OrderedJson& value) { return value == ""; });
  const int64_t n = out.generation.n_choices;
  int64_t best_of = n;
  fields.read("best_of", best_of, 1, kChoicesMax);
  if (best_of < n) fields.fail("best_of", "at least n is needed");
  if (best_of > n)
    fields.fail("best_of",
                "more than n is not supported by this service, which chooses among "
                "no answers; leave it out");
  fields.read_texts("prompt", out.prompts, kCompletionsMax);
  if (out.prompts.size() * out.generation.n_choices > kCompletionsMax)
    fields.fail("prompt", fmt::format("{} prompts of {} choices each are more than the {} choices "
                                      "that are taken",
                                      out.prompts.size(), n, kCompletionsMax));
  LANTERN_TRY(finish(fields));
  return out;
}

}  // namespace lantern::server::openai
