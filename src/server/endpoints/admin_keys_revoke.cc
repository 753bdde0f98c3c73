// DELETE /admin/keys/{key}: for `lantern key revoke`.
#include "server/admin/keys.h"
#include "server/admin/status.h"

namespace lantern::server {

extern const Endpoint k_admin_keys_revoke;
const Endpoint k_admin_keys_revoke = {
    .method = "DELETE",
    .path = "/admin/keys/{key}",
    .scope = Scope::kAdmin,
    .audit = AuditClass::kAnswer,
    .summary = "ends an API key, by its name or id; on the service's socket alone",
    .handle =
        [](Service&, const Request& request, const std::shared_ptr<Reply>& reply) {
          const auto revoked =
              gate::revoke_api_key(request.parameters.at("key"), admin::asker_of(request));
          if (!revoked.ok()) return reply->send(error_response(Api::kPlain, revoked.error()));
          reply->send(json_response(
              200, {{"keys", base::OrderedJson::array({admin::key_document(*revoked)})}}));
        },
};

}  // namespace lantern::server
