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
    .summary = "the models that are served",
    .handle =
        [](Service& service, const Request&, const std::shared_ptr<Reply>& reply) {
          base::OrderedJson models = base::OrderedJson::array();
          for (const auto& model : service.models())
            models.push_back(ollama::model_document(*model, ollama::time_text(service.started())));
          reply->send(json_response(200, {{"models", std::move(models)}}));
        },
};

}  // namespace lantern::server
