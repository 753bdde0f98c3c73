// GET /v1/responses/{id}: a response that its caller had kept.
#include "server/openai/responses.h"

namespace lantern::server {
namespace {

Result<base::OrderedJson> find(Service& service, const Request& request) {
  const gate::Caller caller = request.identify ? request.identify() : gate::Caller();
  LANTERN_ASSIGN(gate::KeptResponses* const kept, service.kept_responses());
  LANTERN_ASSIGN(const std::string text, kept->find(request.parameters.at("id"), caller));
  LANTERN_ASSIGN(openai::KeptResponse found, openai::parse_kept(text));
  return std::move(found.response);
}

}  // namespace

extern const Endpoint k_v1_response;
const Endpoint k_v1_response = {
    .method = "GET",
    .path = "/v1/responses/{id}",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kNone,
    .api = Api::kOpenAi,
    .summary = "a response that was kept",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          const auto response = find(service, request);
          reply->send(response.ok() ? json_response(200, *response)
                                    : error_response(Api::kOpenAi, response.error()));
        },
};

}  // namespace lantern::server
