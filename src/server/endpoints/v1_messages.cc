// POST /v1/messages: Anthropic's messages, answer a conversation.
#include "server/anthropic/messages.h"

namespace lantern::server {

extern const Endpoint k_v1_messages;
const Endpoint k_v1_messages = {
    .method = "POST",
    .path = "/v1/messages",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kAnswer,
    .api = Api::kAnthropic,
    .summary = "answer a conversation",
    .request_schema =
        R"({"type":"object","required":["model","messages","max_tokens"],"properties":{
"model":{"type":"string"},"system":{"type":"string"},
"messages":{"type":"array","minItems":1,"maxItems":4096,"items":{"type":"object","required":["role","content"],"properties":{
  "role":{"enum":["user","assistant"]},"content":{"anyOf":[{"type":"string"},{"type":"array","items":{
    "type":"object","required":["type","text"],"properties":{"type":{"const":"text"},"text":{"type":"string"}}}}]}}}},
"tools":{"type":"array","maxItems":128,"items":{"type":"object","required":["name","input_schema"],"properties":{
  "name":{"type":"string","pattern":"^[A-Za-z0-9_-]{1,64}$"},"description":{"type":"string"},"input_schema":{"type":"object"}}}},
"tool_choice":{"type":"object","required":["type"],"properties":{"type":{"enum":["auto","any","tool","none"]},
  "name":{"type":"string"},"disable_parallel_tool_use":{"type":"boolean"}}},
"thinking":{"type":"object","required":["type"],"properties":{"type":{"enum":["enabled","adaptive","disabled"]},
  "budget_tokens":{"type":"integer","minimum":1}}},
"max_tokens":{"type":"integer","minimum":1},"stream":{"type":"boolean"},
"temperature":{"type":"number","minimum":0,"maximum":1},"top_p":{"type":"number","exclusiveMinimum":0,"maximum":1},
"top_k":{"type":"integer","minimum":0},"stop_sequences":{"type":"array","maxItems":64,"items":{"type":"string"}}}})",
    .handle = anthropic::run,
};

}  // namespace lantern::server
