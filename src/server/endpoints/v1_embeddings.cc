// POST /v1/embeddings: OpenAI's embeddings.
#include "server/embedding.h"

namespace lantern::server {
namespace {

std::string document(const gate::ServedModel& model, const engine::EmbedResult& result,
                     bool base64) {
  std::string out = R"({"object":"list","data":[)";
  for (size_t i = 0; i < result.vectors.size(); ++i) {
    out += fmt::format(R"({}{{"object":"embedding","index":{},"embedding":)", i == 0 ? "" : ",", i);
    if (base64)
      out += '"' + base64_of(result.vectors[i]) + '"';
    else
      append_numbers(result.vectors[i], out);
    out += '}';
  }
  out += fmt::format(R"(],"model":{},"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
                     json_string(model.name()), result.n_tokens, result.n_tokens);
  return out + "\n";
}

}  // namespace

extern const Endpoint k_v1_embeddings;
const Endpoint k_v1_embeddings = {
    .method = "POST",
    .path = "/v1/embeddings",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kAnswer,
    .api = Api::kOpenAi,
    .summary = "vectors of texts",
    .request_schema =
        R"({"type":"object","required":["model","input"],"additionalProperties":false,"properties":{
"model":{"type":"string"},
"input":{"anyOf":[{"type":"string"},
  {"type":"array","minItems":1,"maxItems":2048,"items":{"type":"string"}},
  {"type":"array","minItems":1,"items":{"type":"integer","minimum":0}},
  {"type":"array","minItems":1,"maxItems":2048,"items":{"type":"array","items":{"type":"integer","minimum":0}}}]},
"encoding_format":{"enum":["float","base64"]},
"dimensions":{"type":"integer","minimum":1},
"user":{"type":"string"}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          auto embedding = parse_openai_embeddings(request.body);
          if (!embedding.ok()) return reply->send(error_response(Api::kOpenAi, embedding.error()));
          const bool base64 = embedding->base64;
          embed(service, request, reply, Api::kOpenAi, std::move(*embedding),
                [base64](const auto& model, const auto& result) {
                  return document(model, result, base64);
                });
        },
};

}  // namespace lantern::server
