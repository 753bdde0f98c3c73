// POST /api/embed: Ollama's embeddings.
#include "server/embedding.h"

namespace lantern::server {
namespace {

std::string document(const gate::ServedModel& model, const engine::EmbedResult& result) {
  std::string out = fmt::format(R"({{"model":{},"embeddings":[)", json_string(model.name()));
  for (size_t i = 0; i < result.vectors.size(); ++i) {
    if (i > 0) out += ',';
    append_numbers(result.vectors[i], out);
  }
  out += fmt::format(R"(],"total_duration":{},"load_duration":0,"prompt_eval_count":{}}})",
                     static_cast<int64_t>(result.seconds * 1e9), result.n_tokens);
  return out + "\n";
}

}  // namespace

extern const Endpoint k_api_embed;
const Endpoint k_api_embed = {
    .method = "POST",
    .path = "/api/embed",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kAnswer,
    .api = Api::kOllama,
    .summary = "vectors of texts",
    .request_schema = R"({"type":"object","required":["model","input"],"properties":{
"model":{"type":"string"},
"input":{"anyOf":[{"type":"string"},{"type":"array","minItems":1,"maxItems":2048,"items":{"type":"string"}}]},
"truncate":{"type":"boolean"},"dimensions":{"type":"integer","minimum":0}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          auto embedding = parse_ollama_embed(request.body);
          if (!embedding.ok()) return reply->send(error_response(Api::kOllama, embedding.error()));
          embed(service, request, reply, Api::kOllama, std::move(*embedding), document);
        },
};

}  // namespace lantern::server
