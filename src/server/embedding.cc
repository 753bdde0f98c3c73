#include "server/embedding.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/base64.h"
#include "server/generation.h"
#include "server/service.h"

namespace lantern::server {
namespace {

using base::OrderedJson;

}  // namespace

Result<Embedding> parse_openai_embeddings(std::string_view body) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  Embedding out;
  std::string encoding = "float";
  fields.read("model", out.model, 512);
  if (out.model.empty()) fields.fail("model", "the name of a model is needed");
  fields.read("encoding_format", encoding, 16);
  if (encoding != "float" && encoding != "base64")
    fields.fail("encoding_format", "float or base64 is needed");
  out.base64 = encoding == "base64";
  fields.read("dimensions", out.dimensions, 1, 1 << 20);
  fields.ignore({"user"});
  fields.read_texts("input", out.inputs, kTextsMax);
  LANTERN_TRY(fields.status());
  if (const auto name = fields.unknown())
    return make_error(ErrorCode::kInvalidArgument, "Unrecognized request argument supplied: {}",
                      *name);
  return out;
}

Result<Embedding> parse_ollama_embed(std::string_view body) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  Embedding out{.truncate = true};
  fields.read("model", out.model, 512);
  if (out.model.empty()) fields.fail("model", "the name of a model is needed");
  fields.read("truncate", out.truncate);
  fields.read("dimensions", out.dimensions, 0, 1 << 20);
  fields.read_texts("input", out.inputs, kTextsMax);
  LANTERN_TRY(fields.status());
  return out;
}

Result<Embedding> parse_ollama_embeddings(std::string_view body) {
  LANTERN_ASSIGN(const OrderedJson json, parse_body(body));
  Fields fields(json);
  Embedding out{.truncate = true};
  std::string prompt;
  fields.read("model", out.model, 512);
  if (out.model.empty()) fields.fail("model", "the name of a model is needed");
  fields.read("prompt", prompt, 16u << 20);
  LANTERN_TRY(fields.status());
  out.inputs.emplace_back(std::move(prompt));
  return out;
}

namespace {

using Answer =
    std::function<std::string(const gate::ServedModel& model, const engine::EmbedResult& result)>;

void embed_with(Service& service, const gate::ModelUse& model, const Asker& asker,
                const std::shared_ptr<Reply>& reply, Api api, Embedding embedding, Answer answer) {
  const int64_t n_embd = model->info().model.n_embd;
  if (embedding.dimensions > n_embd)
    return reply->send(error_response(
        api,
        make_error(ErrorCode::kInvalidArgument, "dimensions: {} is more than the {} that {} has",
                   embedding.dimensions, n_embd, model->name())));
  auto done = [&service, model, reply, api, dimensions = embedding.dimensions,
               answer = std::move(answer)](Result<engine::EmbedResult> result) {
    if (result.ok() && dimensions > 0)
      if (Status cut = engine::shorten(result->vectors, dimensions); !cut.ok())
        result = std::move(cut).error();
    if (!result.ok())
      return reply->send(error_response(api, why_cut(*reply, std::move(result).error())));
    service.metrics().count_answer({.model = model->name(),
                                    .operation = "embeddings",
                                    .prompt_tokens = result->n_tokens,
                                    .request_seconds = result->seconds});
    Response response{.headers = {{"Content-Type", "application/json"}},
                      .body = answer(*model, *result)};
    if (!model->is_made_to_embed())
      response.headers.add(
          "Warning",
          "299 lantern \"this model was not made for embeddings; they are the mean of its last "
          "layer's states\"");
    reply->send(std::move(response));
  };
  model->embed({.caller = asker.caller,
                .id = asker.id,
                .inputs = std::move(embedding.inputs),
                .truncate = embedding.truncate,
                .cancel = reply->gone()},
               std::move(done));
}

}  // namespace

void embed(Service& service, const Request& request, const std::shared_ptr<Reply>& reply, Api api,
           Embedding embedding, Answer answer) {
  const Asker asker = asker_of(request);
  const ModelWish wish{.name = embedding.model, .api = api, .action = policy::Action::kEmbed};
  with_model(service, wish, asker, reply,
             [&service, asker, reply, api, embedding = std::move(embedding),
              answer = std::move(answer)](const gate::ModelUse& model) mutable {
               embed_with(service, model, asker, reply, api, std::move(embedding),
                          std::move(answer));
             });
}

void append_numbers(const std::vector<float>& vector, std::string& out) {
  out += '[';
  for (size_t i = 0; i < vector.size(); ++i)
    fmt::format_to(std::back_inserter(out), "{}{}", i == 0 ? "" : ",", vector[i]);
  out += ']';
}

std::string base64_of(const std::vector<float>& vector) {
  static_assert(std::endian::native == std::endian::little);
  return base::to_base64(std::as_bytes(std::span(vector)));
}

std::string json_string(std::string_view text) {
  return OrderedJson(text).dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace lantern::server
