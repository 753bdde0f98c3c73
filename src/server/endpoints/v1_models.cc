// GET /v1/models: OpenAI's list of models.
#include "server/openai/model.h"
#include "server/service.h"

namespace lantern::server {

extern const Endpoint k_v1_models;
const Endpoint k_v1_models = {
    .method = "GET",
    .path = "/v1/models",
    .scope = Scope::kModels,
    .audit = AuditClass::kNone,
    .api = Api::kOpenAi,
    .summary = "the models that are served",
    .handle =
        [](Service& service, const Request&, const std::shared_ptr<Reply>& reply) {
          base::OrderedJson data = base::OrderedJson::array();
          for (const auto& model : service.models())
            data.push_back(openai::model_document(service, *model));
          reply->send(json_response(200, {{"object", "list"}, {"data", std::move(data)}}));
        },
};

}  // namespace lantern::server
