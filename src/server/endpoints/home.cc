// GET /: says that the service runs.
#include "server/service.h"

namespace lantern::server {

extern const Endpoint k_home;
const Endpoint k_home = {
    .method = "GET",
    .path = "/",
    .scope = Scope::kPublic,
    .audit = AuditClass::kNone,
    .api = Api::kPlain,
    .summary = "says that the service runs",
    .handle =
        [](Service&, const Request&, const std::shared_ptr<Reply>& reply) {
          reply->send({.headers = {{"Content-Type", "text/plain; charset=utf-8"}},
                       .body = "Lantern is running\n"});
        },
};

}  // namespace lantern::server
