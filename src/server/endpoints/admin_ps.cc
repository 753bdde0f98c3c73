// GET /admin/ps: what the service does, for `lantern ps`.
#include "server/admin/status.h"

namespace lantern::server {

extern const Endpoint k_admin_ps;
const Endpoint k_admin_ps = {
    .method = "GET",
    .path = "/admin/ps",
    .scope = Scope::kAdmin,
    .audit = AuditClass::kRefusal,
    .summary = "models, users and requests of this service; on its socket alone",
    .handle =
        [](Service& service, const Request&, const std::shared_ptr<Reply>& reply) {
          const auto document = admin::status_document(service);
          reply->send(document.ok() ? json_response(200, *document)
                                    : error_response(Api::kPlain, document.error()));
        },
};

}  // namespace lantern::server
