// The response object, whole or as events: created, in_progress, each item opened and, of a text,
// its one part, deltas, both closed, completed (or incomplete).
#include <utility>
#include <vector>

#include "server/openai/responses.h"

namespace lantern::server::openai {
namespace {

using base::OrderedJson;

OrderedJson or_null(std::string_view text) {
  return text.empty() ? OrderedJson() : OrderedJson(text);
}

OrderedJson usage_of(const engine::GenerateResult& result) {
  const auto output = std::ssize(result.ids);
  return {{"input_tokens", result.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", result.cached_tokens}}},
          {"output_tokens", output},
          {"output_tokens_details", {{"reasoning_tokens", 0}}},
          {"total_tokens", result.prompt_tokens + output}};
}

class Sink final : public MessageSink {
 public:
  Sink(ResponsesAnswer options, std::shared_ptr<Reply> reply)
      : options_(std::move(options)), reply_(std::move(reply)) {}

  void on_block(uint32_t, size_t index, const Block& block) override {
    if (!options_.asked.generation.stream) return;
    begin();
    while (closed_ < blocks_.size()) close(closed_++, "completed");
    write("response.output_item.added",
          {{"output_index", index}, {"item", item(index, block, "in_progress", Parts::kNone)}});
    if (block.kind == Block::Kind::kCall) return;
    OrderedJson part = in_part(index, block);
    part["part"] = part_of(block, "");
    write("response.content_part.added", std::move(part));
  }

  void on_piece(uint32_t, size_t index, const Block& block, std::string_view piece) override {
    if (!options_.asked.generation.stream) return;
    OrderedJson event = in_part(index, block);
    event["delta"] = piece;
    if (block.kind == Block::Kind::kText) event["logprobs"] = OrderedJson::array();
    write(event_name(block, "delta"), std::move(event));
  }

  /// Whether the last one is whole shows at the answer's end; those before it are.
  void on_block_end(uint32_t, size_t, const Block& block) override { blocks_.push_back(block); }

  void on_done(Result<gate::Answer> answer, const std::vector<Message>& messages) override {
    if (!answer.ok()) return fail(answer.error());
    const engine::GenerateResult& result = answer->choices.front();
    const Message& message = messages.front();
    const bool whole = result.finish != engine::FinishReason::kLength;
    const std::string_view status = whole ? "completed" : "incomplete";
    OrderedJson document = response(status);
    if (!whole) document["incomplete_details"] = {{"reason", "max_output_tokens"}};
    // An answer has an item, also one that says nothing.
    const std::vector<Block> nothing(1);
    const std::vector<Block>& blocks = message.blocks.empty() ? nothing : message.blocks;
    for (size_t i = 0; i < blocks.size(); ++i)
      document["output"].push_back(
          item(i, blocks[i], i + 1 < blocks.size() ? "completed" : status, Parts::kAll));
    document["usage"] = usage_of(result);
    if (Status kept = keep(document, message); !kept.ok()) return fail(kept.error());
    if (!options_.asked.generation.stream) {
      Response out = json_response(200, document);
      for (const auto& [name, value] : options_.headers) out.headers.add(name, value);
      return reply_->send(std::move(out));
    }
    begin();
    if (message.blocks.empty()) {
      on_block(0, 0, nothing.front());
      on_block_end(0, 0, nothing.front());
    }
    while (closed_ < blocks_.size()) close(closed_++, status);
    write(whole ? "response.completed" : "response.incomplete", {{"response", document}});
    reply_->end();
  }

 private:
  enum class Parts { kNone, kAll };

  static std::string event_name(const Block& block, std::string_view what) {
    const std::string_view kind = block.kind == Block::Kind::kCall ? "function_call_arguments"
                                  : block.kind == Block::Kind::kReasoning ? "reasoning_text"
                                                                          : "output_text";
    return fmt::format("response.{}.{}", kind, what);
  }

  [[nodiscard]] std::string item_id(size_t index, const Block& block) const {
    if (block.kind == Block::Kind::kCall) return "fc_" + block.id;
    const std::string_view prefix = block.kind == Block::Kind::kReasoning ? "rs" : "msg";
    return index == 0 ? fmt::format("{}_{}", prefix, options_.id)
                      : fmt::format("{}_{}_{}", prefix, options_.id, index);
  }

  static OrderedJson part_of(const Block& block, std::string_view text) {
    if (block.kind == Block::Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", text}};
    return {{"type", "output_text"},
            {"annotations", OrderedJson::array()},
            {"logprobs", OrderedJson::array()},
            {"text", text}};
  }

  [[nodiscard]] OrderedJson item(size_t index, const Block& block, std::string_view status,
                                 Parts parts) const {
    const bool all = parts == Parts::kAll;
    if (block.kind == Block::Kind::kCall)
      return {{"id", item_id(index, block)},
              {"type", "function_call"},
              {"status", status},
              {"call_id", "call_" + block.id},
              {"name", block.name},
              {"arguments", all ? block.text : std::string()}};
    OrderedJson content = OrderedJson::array();
    if (all) content.push_back(part_of(block, block.text));
    OrderedJson out = {{"id", item_id(index, block)}};
    if (block.kind == Block::Kind::kReasoning)
      out.update({{"type", "reasoning"}, {"status", status}, {"summary", OrderedJson::array()}});
    else
      out.update({{"type", "message"}, {"status", status}, {"role", "assistant"}});
    out["content"] = std::move(content);
    return out;
  }

  [[nodiscard]] OrderedJson in_part(size_t index, const Block& block) const {
    OrderedJson out = {{"item_id", item_id(index, block)}, {"output_index", index}};
    if (block.kind != Block::Kind::kCall) out["content_index"] = 0;
    return out;
  }

  /// The events that end block `index`.
  void close(size_t index, std::string_view status) {
    if (!options_.asked.generation.stream) return;
    const Block& block = blocks_[index];
    OrderedJson done = in_part(index, block);
    if (block.kind == Block::Kind::kCall) {
      done["name"] = block.name;
      done["arguments"] = block.text;
    } else {
      done["text"] = block.text;
    }
    if (block.kind == Block::Kind::kText) done["logprobs"] = OrderedJson::array();
    write(event_name(block, "done"), std::move(done));
    if (block.kind != Block::Kind::kCall) {
      OrderedJson part = in_part(index, block);
      part["part"] = part_of(block, block.text);
      write("response.content_part.done", std::move(part));
    }
    write("response.output_item.done",
          {{"output_index", index}, {"item", item(index, block, status, Parts::kAll)}});
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
            {"parallel_tool_calls", asked.generation.tools.several},
            {"previous_response_id", or_null(asked.previous_id)},
            {"reasoning", {{"effort", or_null(asked.effort)}, {"summary", nullptr}}},
            {"store", asked.store},
            {"temperature", generate.sampler.temperature},
            {"text", {{"format", asked.format}}},
            {"tool_choice", asked.tool_choice},
            {"tools", asked.tools},
            {"top_p", generate.sampler.top_p},
            {"truncation", "disabled"},
            {"usage", nullptr},
            {"user", nullptr}};
  }

  void write(std::string_view type, OrderedJson fields) {
    OrderedJson event = {{"type", type}, {"sequence_number", sequence_++}};
    event.update(fields);
    events_.write(sse_event(event, type));
  }

  void begin() {
    if (events_.started()) return;
    write("response.created", {{"response", response("in_progress")}});
    write("response.in_progress", {{"response", response("in_progress")}});
  }

  Status keep(const OrderedJson& document, const Message& message) {
    if (!options_.asked.store) return {};
    LANTERN_ASSIGN(gate::KeptResponses* const kept, options_.service->kept_responses());
    KeptResponse content{.response = document, .messages = options_.messages};
    content.messages.push_back(turn_of(message));
    return kept->keep("resp_" + options_.id, options_.caller, kept_text(content));
  }

  /// As templates have it, and parse_responses() makes of its items.
  static OrderedJson turn_of(const Message& message) {
    OrderedJson out = {{"role", "assistant"}, {"content", message.text_of(Block::Kind::kText)}};
    const std::string reasoning = message.text_of(Block::Kind::kReasoning);
    if (!reasoning.empty()) out["reasoning_content"] = reasoning;
    for (const Block& block : message.blocks)
      if (block.kind == Block::Kind::kCall)
        out["tool_calls"].push_back(
            {{"type", "function"},
             {"function", {{"name", block.name}, {"arguments", arguments_of(block)}}},
             {"id", "call_" + block.id}});
    return out;
  }

  void fail(const Error& error) {
    if (!events_.started()) return reply_->send(error_response(Api::kOpenAi, error));
    const OrderedJson document = error_document(Api::kOpenAi, error)["error"];
    OrderedJson failed = response("failed");
    const OrderedJson& code = document["code"];
    failed["error"] = {{"code", code.is_null() ? OrderedJson("server_error") : code},
                       {"message", error.message}};
    write("error",
          {{"code", document["code"]}, {"message", error.message}, {"param", document["param"]}});
    write("response.failed", {{"response", std::move(failed)}});
    reply_->end();
  }

  const ResponsesAnswer options_;
  const std::shared_ptr<Reply> reply_;
  EventStream events_{reply_, options_.headers};
  const int64_t created_ = unix_seconds();
  std::vector<Block> blocks_;  // that are whole
  size_t closed_ = 0;          // of these, those whose end was told
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
  ResponsesAnswer options{
      .service = &service, .caller = asker.caller, .id = asker.id, .model = model->name()};
  auto messages = earlier_messages(service, asked, options.caller);
  // OpenAI's status and code: it is the request's field that leads nowhere, not its address.
  if (!messages.ok() && messages.error().code == ErrorCode::kNotFound)
    return reply->send(
        error_response(Api::kOpenAi,
                       make_error(ErrorCode::kInvalidArgument, "previous_response_id: {}",
                                  messages.error().message),
                       "previous_response_not_found"));
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
  name_results(input.messages);
  if (!asked.effort.empty()) input.extra["reasoning_effort"] = asked.effort;
  if (asked.effort == "none") input.extra["enable_thinking"] = false;
  options.messages = std::move(*messages);
  Generation generation = asked.generation;
  generation.prompt = std::move(input);
  settle_seed(generation, options.headers);
  options.asked = std::move(asked);
  Result<MessageReading> reading = prepare_message(*model, generation);
  if (!reading.ok()) return refuse(reading.error());
  generate(service, model, std::move(generation), asker, reply,
           read_messages(std::move(*reading), responses_sink(std::move(options), reply)));
}

}  // namespace

std::shared_ptr<MessageSink> responses_sink(ResponsesAnswer answer, std::shared_ptr<Reply> reply) {
  return std::make_shared<Sink>(std::move(answer), std::move(reply));
}

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
