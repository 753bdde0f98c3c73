// POST /api/pull: Ollama's way to get a model.
#include "gate/model_pulls.h"
#include "server/ollama/answer.h"

namespace lantern::server {
namespace {

using base::OrderedJson;

/// Tells a client how a pull goes: a line each, or one document at the end.
class PullReply {
 public:
  PullReply(bool stream, std::shared_ptr<Reply> reply)
      : stream_(stream), reply_(std::move(reply)) {}

  void line(const OrderedJson& document) {
    if (!stream_) return;
    std::string text = document.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
    if (started_) return reply_->write(std::move(text));
    started_ = true;
    reply_->start({.headers = {{"Content-Type", "application/x-ndjson"}}, .body = std::move(text)});
  }
  void end(const Result<gate::PulledModel>& pulled) {
    const OrderedJson last = pulled.ok() ? OrderedJson{{"status", "success"}}
                                         : error_document(Api::kOllama, pulled.error());
    if (!started_ && !pulled.ok())
      return reply_->send(error_response(Api::kOllama, pulled.error()));
    if (!stream_) return reply_->send(json_response(200, last));
    line(last);
    reply_->end();
  }

 private:
  const bool stream_;
  const std::shared_ptr<Reply> reply_;
  bool started_ = false;
};

void pull(Service& service, const Request& request, const std::shared_ptr<Reply>& reply) {
  const auto wanted = ollama::parse_pull(request.body);
  if (!wanted.ok()) return reply->send(error_response(Api::kOllama, wanted.error()));
  auto teller = std::make_shared<PullReply>(wanted->stream, reply);
  const Status started = service.pulls().start(
      wanted->model, asker_of(request).caller, reply->gone(),
      {.on_line =
           [teller](std::string_view line) {
             teller->line({{"status", line}});
           },
       .on_done = [teller](Result<gate::PulledModel> pulled) { teller->end(pulled); }});
  if (!started.ok()) reply->send(error_response(Api::kOllama, started.error()));
}

}  // namespace

extern const Endpoint k_api_pull;
const Endpoint k_api_pull = {
    .method = "POST",
    .path = "/api/pull",
    .scope = Scope::kModels,
    .audit = AuditClass::kRefusal,
    .api = Api::kOllama,
    .summary = "get a model into the store; for the service's own account",
    .request_schema =
        R"({"type":"object","required":["model"],"properties":{"model":{"type":"string"},"stream":{"type":"boolean"}}})",
    .handle = pull,
};

}  // namespace lantern::server
