// DELETE /v1/responses/{id}: forgets a response that its caller had kept.
#include "server/openai/responses.h"

namespace lantern::server {
namespace {

Status remove(Service& service, const Request& request) {
  const gate::Caller caller = request.identify ? request.identify() : gate::Caller();
  LANTERN_ASSIGN(gate::KeptResponses* const kept, service.kept_responses());
  return kept->remove(request.parameters.at("id"), caller);
}

}  // namespace

extern const Endpoint k_v1_response_delete;
const Endpoint k_v1_response_delete = {
    .method = "DELETE",
    .path = "/v1/responses/{id}",
    .scope = Scope::kAnswers,
    .audit = AuditClass::kNone,
    .api = Api::kOpenAi,
    .summary = "forget a response that was kept",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          const Status removed = remove(service, request);
          if (!removed.ok()) return reply->send(error_response(Api::kOpenAi, removed.error()));
          reply->send(json_response(
              200,
              {{"id", request.parameters.at("id")}, {"object", "response"}, {"deleted", true}}));
        },
};

}  // namespace lantern::server
