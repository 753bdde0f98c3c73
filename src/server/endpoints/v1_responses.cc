// POST /v1/responses: OpenAI's newer API for answers.
#include "server/openai/responses.h"

namespace lantern::server {

extern const Endpoint k_v1_responses;
const Endpoint k_v1_responses = {
    .method = "POST",
    .path = "/v1/responses",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kAnswer,
    .api = Api::kOpenAi,
    .summary = "answer an input; kept only where it asks for it",
    .request_schema =
        R"({"type":"object","required":["model","input"],"additionalProperties":false,"properties":{
"model":{"type":"string"},
"input":{"anyOf":[{"type":"string"},{"type":"array","minItems":1,"maxItems":4096,"items":{"anyOf":[
  {"type":"object","required":["role","content"],"properties":{
    "type":{"const":"message"},
    "role":{"enum":["system","developer","user","assistant"]},
    "content":{"anyOf":[{"type":"string"},{"type":"array","items":{"type":"object","required":["type","text"],
      "properties":{"type":{"enum":["input_text","output_text"]},"text":{"type":"string"}}}}]}}},
  {"type":"object","required":["type","call_id","name","arguments"],"properties":{"type":{"const":"function_call"},
    "call_id":{"type":"string"},"name":{"type":"string","minLength":1},"arguments":{"type":"string"}}},
  {"type":"object","required":["type","call_id","output"],"properties":{"type":{"const":"function_call_output"},
    "call_id":{"type":"string","minLength":1},"output":{"type":"string"}}},
  {"type":"object","required":["type"],"properties":{"type":{"const":"reasoning"},"content":{"type":"array","items":{"type":"object"}}}}]}}]},
"instructions":{"type":["string","null"]},
"previous_response_id":{"type":["string","null"]},
"store":{"type":"boolean"},"stream":{"type":"boolean"},
"max_output_tokens":{"type":"integer","minimum":1},
"temperature":{"type":"number","minimum":0,"maximum":2},
"top_p":{"type":"number","exclusiveMinimum":0,"maximum":1},
"seed":{"type":"integer"},
"metadata":{"type":"object","maxProperties":16,"additionalProperties":{"type":"string","maxLength":128}},
"text":{"type":"object","properties":{"format":{"type":"object","required":["type"],
  "properties":{"type":{"enum":["text","json_object","json_schema"]},"name":{"type":"string"},"schema":{"type":"object"}}}}},
"tools":{"type":"array","maxItems":128,"items":{"type":"object","required":["type","name"],"properties":{
  "type":{"const":"function"},"name":{"type":"string","pattern":"^[A-Za-z0-9_-]{1,64}$"},
  "description":{"type":"string"},"parameters":{"type":"object"}}}},
"tool_choice":{"anyOf":[{"enum":["auto","none","required"]},
  {"type":"object","required":["type","name"],"properties":{"type":{"const":"function"},"name":{"type":"string"}}}]},
"parallel_tool_calls":{"type":"boolean"},
"reasoning":{"type":"object","properties":{"effort":{"type":["string","null"]}}},
"truncation":{"const":"disabled"}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          openai::run_responses(service, request, reply, openai::parse_responses(request.body));
        },
};

}  // namespace lantern::server
