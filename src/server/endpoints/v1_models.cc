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
    .summary = "the models that may be asked for",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          const auto all = service.host().servable(asker_of(request).caller);
          if (!all.ok()) return reply->send(error_response(Api::kOpenAi, all.error()));
          base::OrderedJson data = base::OrderedJson::array();
          for (const gate::ServableModel& model : *all)
            data.push_back(openai::model_document(model));
          reply->send(json_response(200, {{"object", "list"}, {"data", std::move(data)}}));
        },
};

}  // namespace lantern::server
