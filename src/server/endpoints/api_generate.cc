// POST /api/generate: Ollama's prompts.
#include "server/ollama/answer.h"

namespace lantern::server {

extern const Endpoint k_api_generate;
const Endpoint k_api_generate = {
    .method = "POST",
    .path = "/api/generate",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kAnswer,
    .api = Api::kOllama,
    .summary = "answer a prompt",
    .request_schema = R"({"type":"object","required":["model"],"properties":{
"model":{"type":"string"},"prompt":{"type":"string"},"system":{"type":"string"},"raw":{"type":"boolean"},
"stream":{"type":"boolean"},
"options":{"type":"object","properties":{"temperature":{"type":"number","minimum":0,"maximum":100},
  "top_k":{"type":"integer","minimum":0},"top_p":{"type":"number","minimum":0,"maximum":1},
  "min_p":{"type":"number","minimum":0,"maximum":1},"repeat_penalty":{"type":"number","minimum":0.01,"maximum":100},
  "seed":{"type":"integer"},"num_predict":{"type":"integer","minimum":-2},
  "stop":{"anyOf":[{"type":"string"},{"type":"array","maxItems":64,"items":{"type":"string"}}]}}}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          ollama::run(service, request, reply, ollama::Kind::kGenerate,
                      ollama::parse_generate(request.body));
        },
};

}  // namespace lantern::server
