// POST /v1/messages/count_tokens: Anthropic's messages, count a conversation's tokens.
#include "server/anthropic/messages.h"

namespace lantern::server {

extern const Endpoint k_v1_messages_count_tokens;
const Endpoint k_v1_messages_count_tokens = {
    .method = "POST",
    .path = "/v1/messages/count_tokens",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kRefusal,
    .api = Api::kAnthropic,
    .summary = "count a conversation's tokens",
    .request_schema = R"({"type":"object","required":["model","messages"],"properties":{
"model":{"type":"string"},"system":{"type":"string"},
"messages":{"type":"array","minItems":1,"maxItems":4096,"items":{"type":"object","required":["role","content"],"properties":{
  "role":{"enum":["user","assistant"]},"content":{"anyOf":[{"type":"string"},{"type":"array","items":{
    "type":"object","required":["type","text"],"properties":{"type":{"const":"text"},"text":{"type":"string"}}}}]}}}}}})",
    .handle = anthropic::count_tokens,
};

}  // namespace lantern::server
