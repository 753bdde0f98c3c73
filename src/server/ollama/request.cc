#include "server/ollama/request.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "server/structured_output.h"

namespace lantern::server::ollama {
namespace {

using base::OrderedJson;

bool asks_for_something(const OrderedJson& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !(value.is_structured() && value.empty());
}

/// Go's notation for durations ("1h30m", "-1s", "500ms"), or a number of seconds; a negative one
/// is for ever, what is shorter than a second a whole one. Nothing for anything else.
std::optional<std::chrono::seconds> keep_alive_of(const OrderedJson& json) {
  constexpr double kSecondsMax = 10.0 * 366 * 86'400;
  if (json.is_number()) {
    const double seconds = json.get<double>();
    if (seconds < 0) return gate::kForever;
    return std::chrono::seconds(static_cast<int64_t>(std::ceil(std::min(seconds, kSecondsMax))));
  }
  if (!json.is_string()) return std::nullopt;
  std::string_view text = json.get_ref<const std::string&>();
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 64) return std::nullopt;
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}};
  double seconds = 0;
  while (!text.empty()) {
    double count = 0;
    const auto [end, fault] =
        std::from_chars(text.data(), text.data() + text.size(), count, std::chars_format::fixed);
    if (fault != std::errc() || !(count >= 0)) return std::nullopt;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    const auto n = std::min(text.find_first_of("0123456789."), text.size());
    const std::string_view unit = text.substr(0, n);
    const auto found = std::find_if(std::begin(kUnits), std::end(kUnits),
                                    [&](const auto& one) { return one.first == unit; });
    if (found == std::end(kUnits)) {
      if (unit.empty() && seconds == 0 && text.empty()) return keep_alive_of(negative ? -1 : count);
      return std::nullopt;
    }
    seconds += count * found->second;
    text.remove_prefix(n);
  }
  return keep_alive_of(negative ? -1 : seconds);
}

void refuse(Fields& fields, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names)
    if (const OrderedJson* value = fields.find(name);
        value != nullptr && asks_for_something(*value))
      fields.fail(name, "not supported by this service; leave it out");
}

Status read_options(Fields& fields, Generation& to) {
  const OrderedJson* options = fields.object("options");
  if (options == nullptr) return {};
  Fields inner(*options, "options");
  auto& sampler = to.options.sampler;
  inner.read("temperature", sampler.temperature, 0.0f, 100.0f);
  inner.read("top_k", sampler.top_k, 0, INT32_MAX);
  inner.read("top_p", sampler.top_p, 0.0f, 1.0f);
  inner.read("min_p", sampler.min_p, 0.0f, 1.0f);
  inner.read("repeat_penalty", sampler.repeat_penalty, 0.01f, 100.0f);
  inner.read("repeat_last_n", sampler.repeat_last_n, -1, 1 << 20);
  inner.read_seed("seed", to.seed);
  inner.read_strings("stop", to.options.stop, 64);
  inner.read("num_ctx", to.context, 1, kTokensMax);
  int64_t n_predict = -1;  // no limit, as -2 (the context's end) is
  inner.read("num_predict", n_predict, -2, kTokensMax);
  if (n_predict == 0) inner.fail("num_predict", "1 at least, or -1 for no limit");
  to.options.max_tokens = n_predict > 0 ? n_predict : 0;
  for (std::string_view name : {"presence_penalty", "frequency_penalty"}) {
    float penalty = 0;
    inner.read(name, penalty, -2.0f, 2.0f);
    if (penalty != 0) inner.fail(name, "not supported by this service; leave it out");
  }
  // Other ways to draw, by what turns each off.
  struct Other {
    std::string_view name;
    float off;
  };
  for (const auto& [name, off] : {Other{"mirostat", 0}, Other{"typical_p", 1}, Other{"tfs_z", 1}}) {
    float value = off;
    inner.read(name, value, 0.0f, 100.0f);
    if (value != off) inner.fail(name, "not supported by this service; leave it out");
  }
  // 0 turns top_p off there; ours says so with 1.
  if (sampler.top_p <= 0) sampler.top_p = 1;
  return inner.status();
}

void read_common(Fields& fields, TextRequest& request) {
  Generation& to = request.generation;
  if (const OrderedJson* keep_alive = fields.find("keep_alive")) {
    to.keep_alive = keep_alive_of(*keep_alive);
    if (!to.keep_alive)
      fields.fail("keep_alive", "seconds, or a duration such as \"5m\" or \"1h30m\"; -1: for ever");
  }
  to.stream = true;
  fields.read("model", to.model, 512);
  if (to.model.empty()) fields.fail("model", "the name of a model is needed");
  fields.read("stream", to.stream);
  read_ollama_shape(fields, to.shape);
  refuse(fields, {"logprobs"});
  if (const OrderedJson* think = fields.find("think")) {
    const bool level = *think == "low" || *think == "medium" || *think == "high";
    if (think->is_boolean())
      to.thinking = think->get<bool>();
    else if (level)
      to.thinking = true;
    else
      fields.fail("think", "true or false is needed");
  }
}

Result<OrderedJson> message_of(const OrderedJson& json, size_t index) {
  const std::string path = fmt::format("messages[{}]", index);
  Fields fields(json, path);
  std::string role, content, thinking, tool;
  fields.read("role", role, 64);
  fields.read("content", content, 16u << 20);
  fields.read("thinking", thinking, 16u << 20);
  fields.read("tool_name", tool, 1024);
  std::string call_id;
  fields.read("tool_call_id", call_id, 1024);
  if (const OrderedJson* images = fields.array("images"); images != nullptr && !images->empty())
    fields.fail("images", "images cannot be read here: this service answers text");
  static const std::set<std::string> kRoles = {"system", "user", "assistant", "tool"};
  if (!kRoles.contains(role)) fields.fail("role", "system, user, assistant or tool is needed");
  const OrderedJson* calls = fields.array("tool_calls");
  LANTERN_TRY(fields.status());
  OrderedJson message = {{"role", role}, {"content", content}};
  if (!thinking.empty()) message["reasoning_content"] = thinking;
  if (!tool.empty()) message["name"] = tool;
  if (!call_id.empty()) message["tool_call_id"] = call_id;
  if (calls != nullptr && !calls->empty()) {
    LANTERN_ASSIGN(message["tool_calls"], past_openai_calls(*calls, path + ".tool_calls"));
  }
  return message;
}

}  // namespace

Result<TextRequest> parse_chat(std::string_view body) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  TextRequest out;
  read_common(fields, out);
  const OrderedJson* messages = fields.array("messages");
  if (messages != nullptr && messages->size() > kMessagesMax)
    fields.fail("messages", fmt::format("at most {} are taken", kMessagesMax));
  LANTERN_TRY(fields.status());
  LANTERN_TRY(read_options(fields, out.generation));
  text::RenderInput input;
  for (size_t i = 0; messages != nullptr && i < messages->size(); ++i) {
    LANTERN_ASSIGN(OrderedJson message, message_of((*messages)[i], i));
    input.messages.push_back(std::move(message));
  }
  fill_call_ids(input.messages);
  name_results(input.messages);
  if (const OrderedJson* tools = fields.array("tools"))
    LANTERN_TRY(add_openai_tools(out.generation.tools, *tools));
  LANTERN_TRY(fields.status());
  out.only_loads = input.messages.empty();
  out.generation.prompt = std::move(input);
  return out;
}

Result<TextRequest> parse_generate(std::string_view body) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  TextRequest out;
  read_common(fields, out);
  std::string prompt, system;
  bool raw = false;
  fields.read("prompt", prompt, 16u << 20);
  fields.read("system", system, 16u << 20);
  fields.read("raw", raw);
  if (const OrderedJson* images = fields.array("images"); images != nullptr && !images->empty())
    fields.fail("images", "images cannot be read here: this service answers text");
  refuse(fields, {"suffix", "template", "context"});
  LANTERN_TRY(fields.status());
  LANTERN_TRY(read_options(fields, out.generation));
  out.only_loads = prompt.empty();
  if (raw) {
    out.generation.prompt = std::move(prompt);
    return out;
  }
  text::RenderInput input;
  if (!system.empty()) input.messages.push_back({{"role", "system"}, {"content", system}});
  input.messages.push_back({{"role", "user"}, {"content", prompt}});
  out.generation.prompt = std::move(input);
  return out;
}

Result<PullRequest> parse_pull(std::string_view body) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  PullRequest out;
  fields.read("name", out.model, 512);
  fields.read("model", out.model, 512);
  fields.read("stream", out.stream);
  if (out.model.empty()) fields.fail("model", "the name of a model is needed");
  bool insecure = false;
  fields.read("insecure", insecure);
  if (insecure) fields.fail("insecure", "models come over verified connections only");
  LANTERN_TRY(fields.status());
  return out;
}

Result<std::string> parse_show(std::string_view body) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  std::string model;
  fields.read("name", model, 512);
  fields.read("model", model, 512);
  if (model.empty()) fields.fail("model", "the name of a model is needed");
  LANTERN_TRY(fields.status());
  return model;
}

}  // namespace lantern::server::ollama
