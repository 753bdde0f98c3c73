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
          const auto model = service.find(*name);
          if (!model.ok()) return reply->send(error_response(Api::kOllama, model.error()));
          const engine::EngineInfo& info = (*model)->info();
          const std::string& family = info.model.architecture;
          base::OrderedJson out =
              ollama::model_document(**model, ollama::time_text(service.started()));
          const text::ChatTemplate* chat = (*model)->text().chat_template();
          out["template"] = chat == nullptr ? std::string() : chat->source();
          out["license"] = (*model)->composition().licence;
          out["capabilities"] = base::OrderedJson::array({"completion"});
          out["model_info"] = {{"general.architecture", family},
                               {family + ".context_length", info.model.n_context_train},
                               {family + ".vocab_size", info.model.n_vocab}};
          reply->send(json_response(200, out));
        },
};

}  // namespace lantern::server
