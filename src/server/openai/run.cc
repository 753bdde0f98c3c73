#include "server/openai/run.h"

namespace lantern::server::openai {
namespace {

void answer_chat(Service& service, const gate::ModelUse& model, const Asker& asker,
                 const std::shared_ptr<Reply>& reply, TextRequest asked) {
  Generation& generation = asked.generation;
  AnswerOptions options{.stream = generation.stream,
                        .include_usage = asked.include_usage,
                        .id = asker.id,
                        .model = model->name(),
                        .fingerprint = fingerprint_of(*model),
                        .n_choices = generation.n_choices,
                        .by_functions = asked.by_functions};
  if (generation.options.logprobs >= 0) options.tokenizer = &model->text().tokenizer();
  settle_seed(generation, options.headers);
  Result<MessageReading> reading = prepare_message(*model, generation);
  if (!reading.ok()) return reply->send(error_response(Api::kOpenAi, reading.error()));
  generate(service, model, std::move(generation), asker, reply,
           read_messages(std::move(*reading), answer_sink(std::move(options), reply)));
}

}  // namespace

void run_chat(Service& service, const Request& request, const std::shared_ptr<Reply>& reply,
              Result<TextRequest> parsed) {
  if (!parsed.ok()) return reply->send(error_response(Api::kOpenAi, parsed.error()));
  const Asker asker = asker_of(request);
  const ModelWish wish{.name = parsed->generation.model, .api = Api::kOpenAi};
  with_model(
      service, wish, asker, reply,
      [&service, reply, asker, asked = std::move(*parsed)](const gate::ModelUse& model) mutable {
        answer_chat(service, model, asker, reply, std::move(asked));
      });
}

}  // namespace lantern::server::openai
