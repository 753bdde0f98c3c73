// POST /v1/chat/completions: OpenAI's conversations.
#include "server/openai/run.h"

namespace lantern::server {

extern const Endpoint k_v1_chat_completions;
const Endpoint k_v1_chat_completions = {
    .method = "POST",
    .path = "/v1/chat/completions",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kAnswer,
    .api = Api::kOpenAi,
    .summary = "answer a conversation",
    .request_schema = R"({"type":"object","required":["model","messages"],"properties":{
"model":{"type":"string"},
"messages":{"type":"array","minItems":1,"maxItems":4096,"items":{"type":"object","required":["role"],"properties":{
  "role":{"enum":["system","developer","user","assistant","tool","function"]},
  "content":{"anyOf":[{"type":"string"},{"type":"null"},{"type":"array","items":{"type":"object","required":["type","text"],
    "properties":{"type":{"const":"text"},"text":{"type":"string"}}}}]},
  "name":{"type":"string"},"reasoning_content":{"type":"string"},"tool_call_id":{"type":"string"},
  "tool_calls":{"type":"array","items":{"type":"object","required":["function"],"properties":{
    "id":{"type":"string"},"function":{"type":"object","required":["name"],"properties":{"name":{"type":"string","minLength":1},"arguments":{"type":"string"}}}}}}}}},
"tools":{"type":"array","maxItems":128,"items":{"type":"object","required":["type","function"],"properties":{
  "type":{"const":"function"},"function":{"type":"object","required":["name"],"properties":{
    "name":{"type":"string","pattern":"^[A-Za-z0-9_-]{1,64}$"},"description":{"type":"string"},"parameters":{"type":"object"}}}}}},
"tool_choice":{"anyOf":[{"enum":["auto","none","required"]},{"type":"object","required":["type","function"],"properties":{
  "type":{"const":"function"},"function":{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}}}]},
"functions":{"type":"array","maxItems":128,"items":{"type":"object","required":["name"],"properties":{
  "name":{"type":"string","pattern":"^[A-Za-z0-9_-]{1,64}$"},"description":{"type":"string"},"parameters":{"type":"object"}}}},
"function_call":{"anyOf":[{"enum":["auto","none"]},{"type":"object","required":["name"],"properties":{"name":{"type":"string"}}}]},
"parallel_tool_calls":{"type":"boolean"},"reasoning_effort":{"enum":["none","minimal","low","medium","high"]},
"chat_template_kwargs":{"type":"object"},
"stream":{"type":"boolean"},"stream_options":{"type":"object","properties":{"include_usage":{"type":"boolean"}}},
"n":{"type":"integer","minimum":1,"maximum":16},
"seed":{"type":"integer"},
"temperature":{"type":"number","minimum":0,"maximum":2},
"top_p":{"type":"number","exclusiveMinimum":0,"maximum":1},
"top_k":{"type":"integer","minimum":0},"min_p":{"type":"number","minimum":0,"maximum":1},
"repeat_penalty":{"type":"number","minimum":0.01,"maximum":100},
"stop":{"anyOf":[{"type":"string"},{"type":"array","maxItems":64,"items":{"type":"string"}}]},
"max_tokens":{"type":"integer","minimum":1},"max_completion_tokens":{"type":"integer","minimum":1}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          openai::run_chat(service, request, reply, openai::parse_chat(request.body));
        },
};

}  // namespace lantern::server
