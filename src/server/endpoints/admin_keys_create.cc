// POST /admin/keys: for `lantern key create`.
#include "server/admin/keys.h"
#include "server/admin/status.h"

namespace lantern::server {

extern const Endpoint k_admin_keys_create;
const Endpoint k_admin_keys_create = {
    .method = "POST",
    .path = "/admin/keys",
    .scope = Scope::kAdmin,
    .audit = AuditClass::kAnswer,
    .summary = "makes an API key, told this once; on the service's socket alone",
    .request_schema = R"({"type":"object","required":["name"],"properties":{
"name":{"type":"string"},"user":{"type":"string"},"models":{"type":"array","items":{"type":"string"}},
"scopes":{"type":"array","items":{"enum":["answers","models","metrics"]}},
"tokens_a_day":{"type":"integer","minimum":0},"requests_a_minute":{"type":"integer","minimum":0},
"lasts_s":{"type":"integer","minimum":0}}})",
    .handle =
        [](Service&, const Request& request, const std::shared_ptr<Reply>& reply) {
          const auto asked = admin::parse_key_request(request.body);
          if (!asked.ok()) return reply->send(error_response(Api::kPlain, asked.error()));
          const auto made = gate::create_api_key(*asked, admin::asker_of(request));
          if (!made.ok()) return reply->send(error_response(Api::kPlain, made.error()));
          base::OrderedJson key = admin::key_document(made->record);
          key["key"] = made->key;
          reply->send(json_response(200, {{"keys", base::OrderedJson::array({std::move(key)})}}));
        },
};

}  // namespace lantern::server
