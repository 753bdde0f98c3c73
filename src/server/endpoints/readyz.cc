// GET /readyz: whether requests are taken.
#include "server/service.h"

namespace lantern::server {

extern const Endpoint k_readyz;
const Endpoint k_readyz = {
    .method = "GET",
    .path = "/readyz",
    .scope = Scope::kPublic,
    .audit = AuditClass::kNone,
    .summary = "whether requests are taken",
    .handle =
        [](Service& service, const Request&, const std::shared_ptr<Reply>& reply) {
          reply->send(service.ready() ? json_response(200, {{"status", "ready"}})
                                      : json_response(503, {{"status", "draining"}}));
        },
};

}  // namespace lantern::server
