// GET /api/ps: Ollama's list of loaded models.
#include "server/ollama/answer.h"

namespace lantern::server {

extern const Endpoint k_api_ps;
const Endpoint k_api_ps = {
    .method = "GET",
    .path = "/api/ps",
    .scope = Scope::kModels,
    .audit = AuditClass::kNone,
    .api = Api::kOllama,
    .summary = "the models that are loaded",
    .handle =
        [](Service& service, const Request&, const std::shared_ptr<Reply>& reply) {
          base::OrderedJson models = base::OrderedJson::array();
          for (const gate::LoadedModel& model : service.host().loaded()) {
            if (model.is_loading) continue;
            base::OrderedJson one = ollama::model_document(
                {model.name, model.id, model.memory_bytes, model.architecture, model.parent});
            one["expires_at"] =
                model.expires ? ollama::time_text(*model.expires) : "9999-12-31T23:59:59Z";
            one["size_vram"] = 0;
            one["context_length"] = model.context;
            models.push_back(std::move(one));
          }
          reply->send(json_response(200, {{"models", std::move(models)}}));
        },
};

}  // namespace lantern::server
