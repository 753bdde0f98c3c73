// GET /healthz: whether the process answers.
#include "server/service.h"

namespace lantern::server {

extern const Endpoint k_healthz;
const Endpoint k_healthz = {
    .method = "GET",
    .path = "/healthz",
    .scope = Scope::kPublic,
    .audit = AuditClass::kNone,
    .summary = "whether the process answers",
    .handle =
        [](Service&, const Request&, const std::shared_ptr<Reply>& reply) {
          reply->send(json_response(200, {{"status", "ok"}}));
        },
};

}  // namespace lantern::server
