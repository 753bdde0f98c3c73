// GET /v1/models/{model}: one of OpenAI's models.
#include "server/openai/model.h"
#include "server/service.h"

namespace lantern::server {

extern const Endpoint k_v1_model;
const Endpoint k_v1_model = {
    .method = "GET",
    .path = "/v1/models/{model}",
    .scope = Scope::kModels,
    .audit = AuditClass::kNone,
    .api = Api::kOpenAi,
    .summary = "one of the models that are served",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          const auto model =
              service.host().find(request.parameters.at("model"), asker_of(request).caller);
          reply->send(model.ok() ? json_response(200, openai::model_document(*model))
                                 : model_error_response(Api::kOpenAi, model.error()));
        },
};

}  // namespace lantern::server
