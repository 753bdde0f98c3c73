// POST /v1/completions: OpenAI's older API, texts that are completed as they stand.
#include "server/openai/completions.h"

namespace lantern::server {

extern const Endpoint k_v1_completions;
const Endpoint k_v1_completions = {
    .method = "POST",
    .path = "/v1/completions",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kAnswer,
    .api = Api::kOpenAi,
    .summary = "complete texts as they stand",
    .request_schema = R"({"type":"object","required":["model","prompt"],"properties":{
"model":{"type":"string"},
"prompt":{"anyOf":[{"type":"string"},{"type":"array","minItems":1,"maxItems":128,"items":{"type":"string"}},
  {"type":"array","minItems":1,"items":{"type":"integer","minimum":0}},
  {"type":"array","minItems":1,"maxItems":128,"items":{"type":"array","minItems":1,"items":{"type":"integer","minimum":0}}}]},
"echo":{"type":"boolean"},"logprobs":{"type":["integer","null"],"minimum":0,"maximum":5},
"stream":{"type":"boolean"},"stream_options":{"type":"object","properties":{"include_usage":{"type":"boolean"}}},
"n":{"type":"integer","minimum":1,"maximum":16},
"seed":{"type":"integer"},
"temperature":{"type":"number","minimum":0,"maximum":2},
"top_p":{"type":"number","exclusiveMinimum":0,"maximum":1},
"stop":{"anyOf":[{"type":"string"},{"type":"array","maxItems":64,"items":{"type":"string"}}]},
"max_tokens":{"type":"integer","minimum":1}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          openai::run_completions(service, request, reply, openai::parse_completion(request.body));
        },
};

}  // namespace lantern::server
