// DELETE /api/delete: Ollama's way to remove a model.
#include "gate/model_pulls.h"
#include "server/ollama/answer.h"

namespace lantern::server {

extern const Endpoint k_api_delete;
const Endpoint k_api_delete = {
    .method = "DELETE",
    .path = "/api/delete",
    .scope = Scope::kModels,
    .audit = AuditClass::kRefusal,
    .api = Api::kOllama,
    .summary = "remove a model from the store; for the service's own account",
    .request_schema =
        R"({"type":"object","required":["model"],"properties":{"model":{"type":"string"}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          const auto name = ollama::parse_show(request.body);
          if (!name.ok()) return reply->send(error_response(Api::kOllama, name.error()));
          // While it still has its name; answers under way end as they would.
          const gate::Caller caller = asker_of(request).caller;
          const auto loaded = service.host().use_loaded(*name);
          const Status removed = gate::remove_model(*name, caller);
          if (!removed.ok()) return reply->send(error_response(Api::kOllama, removed.error()));
          if (loaded) service.host().let_go(*loaded);
          reply->send(json_response(200, base::OrderedJson::object()));
        },
};

}  // namespace lantern::server
