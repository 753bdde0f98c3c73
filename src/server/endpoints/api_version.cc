// GET /api/version: the version of this program.
#include "server/service.h"

namespace lantern::server {

extern const Endpoint k_api_version;
const Endpoint k_api_version = {
    .method = "GET",
    .path = "/api/version",
    .scope = Scope::kPublic,
    .audit = AuditClass::kNone,
    .api = Api::kOllama,
    .summary = "the version of this program",
    .handle =
        [](Service&, const Request&, const std::shared_ptr<Reply>& reply) {
          reply->send(json_response(200, {{"version", LANTERN_VERSION}}));
        },
};

}  // namespace lantern::server
