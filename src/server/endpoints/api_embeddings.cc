// POST /api/embeddings: Ollama's older API, one text at a time.
#include "server/embedding.h"

namespace lantern::server {

extern const Endpoint k_api_embeddings;
const Endpoint k_api_embeddings = {
    .method = "POST",
    .path = "/api/embeddings",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kAnswer,
    .api = Api::kOllama,
    .summary = "the vector of a text",
    .request_schema = R"({"type":"object","required":["model","prompt"],"properties":{
"model":{"type":"string"},"prompt":{"type":"string"}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          auto embedding = parse_ollama_embeddings(request.body);
          if (!embedding.ok()) return reply->send(error_response(Api::kOllama, embedding.error()));
          embed(service, request, reply, Api::kOllama, std::move(*embedding),
                [](const gate::ServedModel&, const engine::EmbedResult& result) {
                  std::string out = R"({"embedding":)";
                  append_numbers(result.vectors.front(), out);
                  return out + "}\n";
                });
        },
};

}  // namespace lantern::server
