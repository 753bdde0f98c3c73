#include "cli/remote_model.h"

#include <utility>

#include "cli/service_client.h"

namespace lantern::cli {
namespace {

using base::OrderedJson;

constexpr size_t kEventBytesMax = 4u << 20;

const OrderedJson* member(const OrderedJson& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() ? &*found : nullptr;
}

}  // namespace

Result<std::string> AnswerEvents::text_of(std::string_view line) {
  constexpr std::string_view kData = "data: ";
  if (!line.starts_with(kData) || line.substr(kData.size()) == "[DONE]") return std::string();
  LANTERN_ASSIGN(const OrderedJson event,
                 base::parse_ordered_json(line.substr(kData.size()), "the service's answer"));
  if (const OrderedJson* error = member(event, "error")) {
    const OrderedJson* message = member(*error, "message");
    return server::error_of(message != nullptr && message->is_string() ? message->get<std::string>()
                                                                       : "the service broke off",
                            ErrorCode::kIo);
  }
  const OrderedJson* choices = member(event, "choices");
  if (choices == nullptr || !choices->is_array() || choices->empty()) return std::string();
  const OrderedJson& choice = (*choices)[0];
  if (const OrderedJson* finish = member(choice, "finish_reason");
      finish != nullptr && finish->is_string())
    finish_ = finish->get<std::string>();
  const OrderedJson* text = member(choice, "text");
  if (const OrderedJson* delta = member(choice, "delta")) text = member(*delta, "content");
  return text != nullptr && text->is_string() ? text->get<std::string>() : std::string();
}

Result<std::string> AnswerEvents::take(std::string_view bytes) {
  std::string out;
  waiting_ += bytes;
  if (waiting_.size() > kEventBytesMax)
    return make_error(ErrorCode::kCorrupt, "the service's answer: an event of more than {} bytes",
                      kEventBytesMax);
  size_t at = 0;
  for (size_t end = waiting_.find('\n'); end != std::string::npos; end = waiting_.find('\n', at)) {
    LANTERN_ASSIGN(const std::string text,
                   text_of(std::string_view(waiting_).substr(at, end - at)));
    out += text;
    at = end + 1;
  }
  waiting_.erase(0, at);
  return out;
}

Result<RemoteModel> RemoteModel::open(const EngineFlags& flags) {
  const EngineFlags usual;
  if (flags.threads != usual.threads || flags.kv != usual.kv || flags.context != usual.context ||
      flags.paranoid || !flags.consent.reason.empty())
    return make_error(ErrorCode::kInvalidArgument,
                      "on this managed machine the service runs the model: --threads, --kv, "
                      "--context, --paranoid and --approve are its own");
  LANTERN_ASSIGN(server::SocketClient client, service_that_owns_state());
  return RemoteModel(std::move(client), flags.model);
}

Result<RemoteModel::Said> RemoteModel::ask(const char* target, OrderedJson body,
                                           const SamplingFlags& sampling, const OnText& on_text,
                                           const std::stop_token& stop) const {
  const engine::SamplerOptions& how = sampling.sampler;
  body["model"] = name_;
  body["stream"] = true;
  body["temperature"] = how.temperature;
  body["top_k"] = how.top_k;
  body["top_p"] = how.top_p;
  body["min_p"] = how.min_p;
  body["repeat_penalty"] = how.repeat_penalty;
  body["seed"] = how.seed;
  if (sampling.max_tokens > 0) body["max_tokens"] = sampling.max_tokens;
  if (!sampling.stop.empty()) body["stop"] = sampling.stop;
  Said said;
  AnswerEvents events;
  const auto take = [&](std::string_view bytes) -> Status {
    LANTERN_ASSIGN(const std::string text, events.take(bytes));
    said.text += text;
    return text.empty() ? Status() : on_text(text);
  };
  const auto answer = client_.ask(
      "POST", target, body.dump(-1, ' ', false, OrderedJson::error_handler_t::replace), take, stop);
  if (!answer.ok() && answer.error().code != ErrorCode::kCancelled) return answer.error();
  if (answer.ok() && answer->status != 200) return server::error_of(*answer);
  said.finish = answer.ok() ? events.finish() : "cancelled";
  return said;
}

Result<RemoteModel::Said> RemoteModel::chat(const OrderedJson& messages,
                                            const SamplingFlags& sampling, const OnText& on_text,
                                            const std::stop_token& stop) const {
  return ask("/v1/chat/completions", {{"messages", messages}}, sampling, on_text, stop);
}

Result<RemoteModel::Said> RemoteModel::complete(std::string_view prompt,
                                                const SamplingFlags& sampling,
                                                const OnText& on_text,
                                                const std::stop_token& stop) const {
  return ask("/v1/completions", {{"prompt", prompt}}, sampling, on_text, stop);
}

}  // namespace lantern::cli
