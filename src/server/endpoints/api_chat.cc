// POST /api/chat: Ollama's conversations.
#include "server/ollama/answer.h"

namespace lantern::server {

extern const Endpoint k_api_chat;
const Endpoint k_api_chat = {
    .method = "POST",
    .path = "/api/chat",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kAnswer,
    .api = Api::kOllama,
    .summary = "answer a conversation",
    .request_schema = R"({"type":"object","required":["model","messages"],"properties":{
"model":{"type":"string"},"stream":{"type":"boolean"},
"messages":{"type":"array","maxItems":4096,"items":{"type":"object","required":["role","content"],"properties":{
  "role":{"enum":["system","user","assistant","tool"]},"content":{"type":"string"},"thinking":{"type":"string"},
  "tool_name":{"type":"string"},"tool_calls":{"type":"array","items":{"type":"object","required":["function"],"properties":{
    "id":{"type":"string"},"function":{"type":"object","required":["name"],"properties":{"name":{"type":"string","minLength":1},"arguments":{"type":"object"}}}}}}}}},
"tools":{"type":"array","maxItems":128,"items":{"type":"object","required":["type","function"],"properties":{
  "type":{"const":"function"},"function":{"type":"object","required":["name"],"properties":{
    "name":{"type":"string","pattern":"^[A-Za-z0-9_-]{1,64}$"},"description":{"type":"string"},"parameters":{"type":"object"}}}}}},
"think":{"anyOf":[{"type":"boolean"},{"enum":["low","medium","high"]}]},
"options":{"type":"object","properties":{"temperature":{"type":"number","minimum":0,"maximum":100},
  "top_k":{"type":"integer","minimum":0},"top_p":{"type":"number","minimum":0,"maximum":1},
  "min_p":{"type":"number","minimum":0,"maximum":1},"repeat_penalty":{"type":"number","minimum":0.01,"maximum":100},
  "seed":{"type":"integer"},"num_predict":{"type":"integer","minimum":-2},
  "stop":{"anyOf":[{"type":"string"},{"type":"array","maxItems":64,"items":{"type":"string"}}]}}}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          ollama::run(service, request, reply, ollama::Kind::kChat,
                      ollama::parse_chat(request.body));
        },
};

}  // namespace lantern::server
