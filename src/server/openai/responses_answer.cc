// The response object, whole or as events: created, in_progress, the message's item and its one
// part opened, deltas, both closed, completed (or incomplete).
#include <utility>

#include "server/openai/answer.h"
#include "server/openai/responses.h"

namespace lantern::server::openai {
namespace {

using base::OrderedJson;

OrderedJson or_null(std::string_view text) {
  return text.empty() ? OrderedJson() : OrderedJson(text);
}

OrderedJson part_of(std::string_view text) {
  return {{"type", "output_text"},
          {"annotations", OrderedJson::array()},
          {"logprobs", OrderedJson::array()},
          {"text", text}};
}

OrderedJson usage_of(const engine::GenerateResult& result) {
  const auto output = std::ssize(result.ids);
  return {{"input_tokens", result.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", result.cached_tokens}}},
          {"output_tokens", output},
          {"output_tokens_details", {{"reasoning_tokens", 0}}},
          {"total_tokens", result.prompt_tokens + output}};
}

struct SinkOptions {
  Service* service = nullptr;
  gate::Caller caller = {};
  ResponsesRequest asked = {};
  OrderedJson messages = OrderedJson::array();  // the conversation so far, instructions left out
  std::string id = {};
  std::string model = {};
  Headers headers = {};
};

class Sink final : public gate::AnswerSink {
 public:
  Sink(SinkOptions options, std::shared_ptr<Reply> reply)
      : options_(std::move(options)), reply_(std::move(reply)) {}

  void on_text(uint32_t, std::string_view piece) override {
    if (!options_.asked.generation.stream) return;
    begin();
    OrderedJson event = in_part();
    event["delta"] = piece;
    event["logprobs"] = OrderedJson::array();
    write("response.output_text.delta", std::move(event));
  }

  void on_done(Result<gate::Answer> answer) override {
    if (!answer.ok()) return fail(answer.error());
    const engine::GenerateResult& result = answer->choices.front();
    const bool whole = result.finish != engine::FinishReason::kLength;
    OrderedJson document = response(whole ? "completed" : "incomplete");
    if (!whole) document["incomplete_details"] = {{"reason", "max_output_tokens"}};
    document["output"].push_back(item(whole ? "completed" : "incomplete", result.text));
    document["usage"] = usage_of(result);
    if (Status kept = keep(document, result.text); !kept.ok()) return fail(kept.error());
    if (!options_.asked.generation.stream) {
      Response out = json_response(200, document);
      for (const auto& [name, value] : options_.headers) out.headers.add(name, value);
      return reply_->send(std::move(out));
    }
    begin();
    OrderedJson done = in_part();
    done["text"] = result.text;
    done["logprobs"] = OrderedJson::array();
    write("response.output_text.done", std::move(done));
    OrderedJson part = in_part();
    part["part"] = part_of(result.text);
    write("response.content_part.done", std::move(part));
    write("response.output_item.done", {{"output_index", 0}, {"item", document["output"][0]}});
    write(whole ? "response.completed" : "response.incomplete", {{"response", document}});
    reply_->end();
  }

 private:
  [[nodiscard]] std::string item_id() const { return "msg_" + options_.id; }

  [[nodiscard]] OrderedJson item(std::string_view status,
                                 std::optional<std::string_view> text) const {
    OrderedJson content = OrderedJson::array();
    if (text) content.push_back(part_of(*text));
    return {{"id", item_id()},
            {"type", "message"},
            {"status", status},
            {"role", "assistant"},
            {"content", std::move(content)}};
  }

  [[nodiscard]] OrderedJson in_part() const {
    return {{"item_id", item_id()}, {"output_index", 0}, {"content_index", 0}};
  }

  [[nodiscard]] OrderedJson response(std::string_view status) const {
    const ResponsesRequest& asked = options_.asked;
    const engine::GenerateOptions& generate = asked.generation.options;
    OrderedJson most;
    if (generate.max_tokens > 0) most = generate.max_tokens;
    return {{"id", "resp_" + options_.id},
            {"object", "response"},
            {"created_at", created_},
            {"status", status},
            {"background", false},
            {"error", nullptr},
            {"incomplete_details", nullptr},
            {"instructions", or_null(asked.instructions)},
            {"max_output_tokens", std::move(most)},
            {"metadata", asked.metadata},
            {"model", options_.model},
            {"output", OrderedJson::array()},
            {"parallel_tool_calls", true},
            {"previous_response_id", or_null(asked.previous_id)},
            {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
            {"store", asked.store},
            {"temperature", generate.sampler.temperature},
            {"text", {{"format", {{"type", "text"}}}}},
            {"tool_choice", "auto"},
            {"tools", OrderedJson::array()},
            {"top_p", generate.sampler.top_p},
            {"truncation", "disabled"},
            {"usage", nullptr},
            {"user", nullptr}};
  }

  void write(std::string_view type, OrderedJson fields) {
    OrderedJson event = {{"type", type}, {"sequence_number", sequence_++}};
    event.update(fields);
    std::string text = sse_event(event, type);
    if (started_) return reply_->write(std::move(text));
    started_ = true;
    Response head{.headers = options_.headers, .body = std::move(text)};
    head.headers.add("Content-Type", "text/event-stream; charset=utf-8");
    reply_->start(std::move(head));
  }

  void begin() {
    if (started_) return;
    write("response.created", {{"response", response("in_progress")}});
    write("response.in_progress", {{"response", response("in_progress")}});
    write("response.output_item.added",
          {{"output_index", 0}, {"item", item("in_progress", std::nullopt)}});
    OrderedJson part = in_part();
    part["part"] = part_of("");
    write("response.content_part.added", std::move(part));
  }

  Status keep(const OrderedJson& document, std::string_view text) {
    if (!options_.asked.store) return {};
    LANTERN_ASSIGN(gate::KeptResponses* const kept, options_.service->kept_responses());
    KeptResponse content{.response = document, .messages = options_.messages};
    content.messages.push_back({{"role", "assistant"}, {"content", text}});
    return kept->keep("resp_" + options_.id, options_.caller, kept_text(content));
  }

  void fail(const Error& error) {
    if (!started_) return reply_->send(error_response(Api::kOpenAi, error));
    const OrderedJson document = error_document(Api::kOpenAi, error)["error"];
    OrderedJson failed = response("failed");
    failed["error"] = {{"code", "server_error"}, {"message", error.message}};
    write("error",
          {{"code", document["code"]}, {"message", error.message}, {"param", document["param"]}});
    write("response.failed", {{"response", std::move(failed)}});
    reply_->end();
  }

  const SinkOptions options_;
  const std::shared_ptr<Reply> reply_;
  const int64_t created_ = unix_seconds();
  bool started_ = false;
  int64_t sequence_ = 0;
};

/// The messages of the response that this one goes on with.
Result<OrderedJson> earlier_messages(Service& service, const ResponsesRequest& asked,
                                     const gate::Caller& caller) {
  if (asked.previous_id.empty()) return OrderedJson::array();
  LANTERN_ASSIGN(gate::KeptResponses* const kept, service.kept_responses());
  LANTERN_ASSIGN(const std::string text, kept->find(asked.previous_id, caller));
  LANTERN_ASSIGN(KeptResponse found, parse_kept(text));
  return std::move(found.messages);
}

/// The request with what came before it, once its model is there.
void answer_with(Service& service, const gate::ModelUse& model, const Asker& asker,
                 const std::shared_ptr<Reply>& reply, ResponsesRequest asked) {
  const auto refuse = [&](const Error& error) { reply->send(error_response(Api::kOpenAi, error)); };
  SinkOptions options{
      .service = &service, .caller = asker.caller, .id = asker.id, .model = model->name()};
  auto messages = earlier_messages(service, asked, options.caller);
  if (!messages.ok()) return refuse(messages.error());
  const auto& own = std::get<text::RenderInput>(asked.generation.prompt);
  for (const OrderedJson& message : own.messages) messages->push_back(message);
  if (messages->size() > kMessagesMax)
    return refuse(make_error(ErrorCode::kInvalidArgument,
                             "input: with those before it {} messages, at most {} are taken",
                             messages->size(), kMessagesMax));
  text::RenderInput input;
  if (!asked.instructions.empty())
    input.messages.push_back({{"role", "system"}, {"content", asked.instructions}});
  for (const OrderedJson& message : *messages) input.messages.push_back(message);
  options.messages = std::move(*messages);
  Generation generation = asked.generation;
  generation.prompt = std::move(input);
  settle_seed(generation, options.headers);
  options.asked = std::move(asked);
  generate(service, model, std::move(generation), asker, reply->gone(),
           std::make_shared<Sink>(std::move(options), reply));
}

}  // namespace

void run_responses(Service& service, const Request& request, const std::shared_ptr<Reply>& reply,
                   Result<ResponsesRequest> parsed) {
  if (!parsed.ok()) return reply->send(error_response(Api::kOpenAi, parsed.error()));
  const Asker asker = asker_of(request);
  if (parsed->store && asker.caller.user.empty())
    return reply->send(error_response(
        Api::kOpenAi, make_error(ErrorCode::kInvalidArgument,
                                 "store: it is not known who asks, so nobody could read the "
                                 "response back; leave it out")));
  const ModelWish wish{.name = parsed->generation.model, .api = Api::kOpenAi};
  with_model(
      service, wish, asker, reply,
      [&service, reply, asker, asked = std::move(*parsed)](const gate::ModelUse& model) mutable {
        answer_with(service, model, asker, reply, std::move(asked));
      });
}

}  // namespace lantern::server::openai
