#include "server/openai/run.h"

namespace lantern::server::openai {
namespace {

struct Asked {
  Kind kind;
  TextRequest request;
  Asker asker;
};

void answer(Service& service, const gate::ModelUse& model, Asked asked,
            const std::shared_ptr<Reply>& reply) {
  Generation& generation = asked.request.generation;
  AnswerOptions options{.kind = asked.kind,
                        .stream = generation.stream,
                        .include_usage = asked.request.include_usage,
                        .id = asked.asker.id,
                        .model = model->name(),
                        .fingerprint = fingerprint_of(*model),
                        .n_choices = generation.n_choices};
  if (const auto* raw = std::get_if<std::string>(&generation.prompt); raw && asked.request.echo)
    options.echo = *raw;
  if (generation.options.logprobs >= 0) options.tokenizer = &model->text().tokenizer();
  settle_seed(generation, options.headers);
  Result<MessageReading> reading = prepare_message(*model, generation);
  if (!reading.ok()) return reply->send(error_response(Api::kOpenAi, reading.error()));
  generate(service, model, std::move(generation), asked.asker, reply->gone(),
           read_messages(std::move(*reading), answer_sink(std::move(options), reply)));
}

}  // namespace

void run(Service& service, const Request& request, const std::shared_ptr<Reply>& reply, Kind kind,
         Result<TextRequest> parsed) {
  if (!parsed.ok()) return reply->send(error_response(Api::kOpenAi, parsed.error()));
  const Asker asker = asker_of(request);
  const ModelWish wish{.name = parsed->generation.model, .api = Api::kOpenAi};
  with_model(service, wish, asker, reply,
             [&service, reply, kind, asker,
              parsed = std::move(*parsed)](const gate::ModelUse& model) mutable {
               answer(service, model, {kind, std::move(parsed), asker}, reply);
             });
}

}  // namespace lantern::server::openai
