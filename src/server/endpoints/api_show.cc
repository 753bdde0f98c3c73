// POST /api/show: Ollama's description of a model.
#include "server/ollama/answer.h"

namespace lantern::server {

extern const Endpoint k_api_show;
const Endpoint k_api_show = {
    .method = "POST",
    .path = "/api/show",
    .scope = Scope::kModels,
    .audit = AuditClass::kNone,
    .api = Api::kOllama,
    .summary = "what a model is",
    .request_schema =
        R"({"type":"object","required":["model"],"properties":{"model":{"type":"string"}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          const auto name = ollama::parse_show(request.body);
          if (!name.ok()) return reply->send(error_response(Api::kOllama, name.error()));
          const auto model = service.host().describe(*name, asker_of(request).caller);
          if (!model.ok()) return reply->send(error_response(Api::kOllama, model.error()));
          const gate::ServableModel& is = model->model;
          base::OrderedJson out =
              ollama::model_document({is.name, is.id, is.file_bytes, is.architecture, is.parent});
          out["modified_at"] = ollama::time_text(is.at);
          out["template"] = model->chat_template;
          out["license"] = is.licence;
          out["capabilities"] = base::OrderedJson::array(
              {model->model.is_made_to_embed ? "embedding" : "completion"});
          out["model_info"] = {{"general.architecture", is.architecture},
                               {is.architecture + ".context_length", model->n_context_train},
                               {is.architecture + ".vocab_size", model->n_vocab}};
          reply->send(json_response(200, out));
        },
};

}  // namespace lantern::server
