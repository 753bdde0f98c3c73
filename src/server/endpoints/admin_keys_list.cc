// GET /admin/keys: for `lantern key list`.
#include "server/admin/keys.h"
#include "server/service.h"

namespace lantern::server {

extern const Endpoint k_admin_keys_list;
const Endpoint k_admin_keys_list = {
    .method = "GET",
    .path = "/admin/keys",
    .scope = Scope::kAdmin,
    .audit = AuditClass::kRefusal,
    .summary = "the API keys, without their secrets; on the service's socket alone",
    .handle =
        [](Service&, const Request&, const std::shared_ptr<Reply>& reply) {
          const auto keys = gate::list_api_keys();
          if (!keys.ok()) return reply->send(error_response(Api::kPlain, keys.error()));
          base::OrderedJson list = base::OrderedJson::array();
          for (const supply::ApiKeyRecord& key : *keys) list.push_back(admin::key_document(key));
          reply->send(json_response(200, {{"keys", std::move(list)}}));
        },
};

}  // namespace lantern::server
