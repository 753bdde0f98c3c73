// GET /api/tags: Ollama's list of models.
#include "server/ollama/answer.h"

namespace lantern::server {

extern const Endpoint k_api_tags;
const Endpoint k_api_tags = {
    .method = "GET",
    .path = "/api/tags",
    .scope = Scope::kModels,
    .audit = AuditClass::kNone,
    .api = Api::kOllama,
    .summary = "the models that may be asked for",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          const auto all = service.host().servable(asker_of(request).caller);
          if (!all.ok()) return reply->send(error_response(Api::kOllama, all.error()));
          base::OrderedJson models = base::OrderedJson::array();
          for (const gate::ServableModel& model : *all) {
            base::OrderedJson one = ollama::model_document(
                {model.name, model.id, model.file_bytes, model.architecture, model.parent});
            one["modified_at"] = ollama::time_text(model.at);
            models.push_back(std::move(one));
          }
          reply->send(json_response(200, {{"models", std::move(models)}}));
        },
};

}  // namespace lantern::server
