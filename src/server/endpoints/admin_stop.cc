// POST /admin/stop: unloads a model or ends the service, for `lantern stop`.
#include "gate/service_log.h"
#include "server/admin/status.h"
#include "server/fields.h"

namespace lantern::server {
namespace {

/// The model's name; empty: the service is meant.
Result<std::string> parse_stop(std::string_view body) {
  LANTERN_ASSIGN(const base::OrderedJson json, parse_body(body));
  Fields fields(json);
  std::string model;
  fields.read("model", model, 1024);
  LANTERN_TRY(fields.status());
  if (const auto name = fields.unknown())
    return make_error(ErrorCode::kInvalidArgument, "{}: no such field", *name);
  return model;
}

}  // namespace

extern const Endpoint k_admin_stop;
const Endpoint k_admin_stop = {
    .method = "POST",
    .path = "/admin/stop",
    .scope = Scope::kAdmin,
    .audit = AuditClass::kAnswer,
    .summary = "ends a model's answers and unloads it, or ends the service; on its socket alone",
    .request_schema = R"({"type":"object","properties":{"model":{"type":"string"}}})",
    .handle =
        [](Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
          const auto model = parse_stop(request.body);
          if (!model.ok()) return reply->send(error_response(Api::kPlain, model.error()));
          if (!model->empty())
            if (const Status ending = service.host().unload(*model, gate::UnloadWhen::kNow);
                !ending.ok())
              return reply->send(error_response(Api::kPlain, ending.error()));
          gate::record_stop(admin::asker_of(request),
                            model->empty() ? "the service" : "the model " + *model);
          reply->send(json_response(200, {{"stopping", model->empty() ? "service" : *model}}));
          if (model->empty()) service.stop();
        },
};

}  // namespace lantern::server
