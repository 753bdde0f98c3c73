// GET /web/{file}: what the chat page is made of.
#include "server/service.h"
#include "server/web.h"

namespace lantern::server {

extern const Endpoint k_web_file;
const Endpoint k_web_file = {
    .method = "GET",
    .path = "/web/{file}",
    .scope = Scope::kPublic,
    .audit = AuditClass::kNone,
    .api = Api::kPlain,
    .summary = "a file of the chat page",
    .handle =
        [](Service&, const Request& request, const std::shared_ptr<Reply>& reply) {
          reply->send(web_response(request.parameters.at("file"), request));
        },
};

}  // namespace lantern::server
