// GET /: the chat page for a browser; for programs, that the service runs.
#include "server/service.h"
#include "server/web.h"

namespace lantern::server {

extern const Endpoint k_home;
const Endpoint k_home = {
    .method = "GET",
    .path = "/",
    .scope = Scope::kPublic,
    .audit = AuditClass::kNone,
    .api = Api::kPlain,
    .summary = "the chat page, for browsers; else says that the service runs",
    .handle =
        [](Service&, const Request& request, const std::shared_ptr<Reply>& reply) {
          const std::string* accept = request.headers.find("Accept");
          Response response;
          if (accept != nullptr && accept->find("text/html") != std::string::npos)
            response = web_response("index.html", request);
          else
            response = {.headers = {{"Content-Type", "text/plain; charset=utf-8"}},
                        .body = "Lantern is running\n"};
          response.headers.add("Vary", "Accept");
          reply->send(std::move(response));
        },
};

}  // namespace lantern::server
