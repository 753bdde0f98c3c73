// GET /openapi.json: what this service takes, made from the endpoints' own registry.
#include "server/openapi.h"
#include "server/service.h"

namespace lantern::server {

extern const Endpoint k_openapi_json;
const Endpoint k_openapi_json = {
    .method = "GET",
    .path = "/openapi.json",
    .scope = Scope::kPublic,
    .audit = AuditClass::kNone,
    .summary = "this document",
    .handle =
        [](Service&, const Request&, const std::shared_ptr<Reply>& reply) {
          reply->send(json_response(200, openapi_document()));
        },
};

}  // namespace lantern::server
