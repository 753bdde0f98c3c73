#include "server/openai/run.h"

namespace lantern::server::openai {

void run(Service& service, const Request& request, const std::shared_ptr<Reply>& reply, Kind kind,
         Result<TextRequest> parsed) {
  if (!parsed.ok()) return reply->send(error_response(Api::kOpenAi, parsed.error()));
  Generation& generation = parsed->generation;
  const auto model = service.find(generation.model);
  if (!model.ok()) return reply->send(error_response(Api::kOpenAi, model.error()));
  AnswerOptions options{.kind = kind,
                        .stream = generation.stream,
                        .include_usage = parsed->include_usage,
                        .id = request.id,
                        .model = (*model)->name(),
                        .fingerprint = fingerprint_of(**model),
                        .n_choices = generation.n_choices};
  if (const auto* raw = std::get_if<std::string>(&generation.prompt); raw && parsed->echo)
    options.echo = *raw;
  if (generation.options.logprobs >= 0) options.tokenizer = &(*model)->text().tokenizer();
  settle_seed(generation, options.headers);
  Result<MessageReading> reading = prepare_message(**model, generation);
  if (!reading.ok()) return reply->send(error_response(Api::kOpenAi, reading.error()));
  generate(service, **model, std::move(generation), request, reply->gone(),
           read_messages(std::move(*reading), answer_sink(std::move(options), reply)));
}

}  // namespace lantern::server::openai
