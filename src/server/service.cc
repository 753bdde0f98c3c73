#include "server/service.h"

#include <algorithm>

#include "base/printable.h"
#include "server/access.h"

namespace lantern::server {
namespace {

/// Error shapes of paths that no endpoint has.
Api api_of_path(std::string_view path) {
  if (path.starts_with("/v1/messages")) return Api::kAnthropic;
  if (path.starts_with("/v1/")) return Api::kOpenAi;
  return path.starts_with("/api/") ? Api::kOllama : Api::kPlain;
}

/// Counts what goes through it.
class MeteredReply final : public Reply {
 public:
  MeteredReply(Metrics& metrics, std::string_view endpoint, std::shared_ptr<Reply> reply)
      : metrics_(metrics), endpoint_(endpoint), reply_(std::move(reply)) {}
  ~MeteredReply() override {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
    metrics_.count_request(endpoint_, status_, took.count());
  }
  void send(Response response) override {
    status_ = response.status;
    reply_->send(std::move(response));
  }
  void start(Response response) override {
    status_ = response.status;
    reply_->start(std::move(response));
  }
  void write(std::string piece) override { reply_->write(std::move(piece)); }
  void end() override { reply_->end(); }
  [[nodiscard]] std::stop_token gone() const override { return reply_->gone(); }
  [[nodiscard]] std::optional<Error> why_gone() const override { return reply_->why_gone(); }

 private:
  Metrics& metrics_;
  const std::string_view endpoint_;
  const std::shared_ptr<Reply> reply_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::atomic<int> status_ = 500;
};

}  // namespace

Response fault_response(std::string_view target, int status, const std::string& message) {
  const Result<std::string> path = path_of_target(target);
  const Api api = api_of_path(path.ok() ? *path : std::string());
  const Error error = make_error(ErrorCode::kInvalidArgument, "{}", message);
  if (api != Api::kPlain) return json_response(status, error_document(api, error, status));
  return {.status = status,
          .headers = {{"Content-Type", "text/plain; charset=utf-8"}},
          .body = message + "\n"};
}

bool match_path(std::string_view pattern, std::string_view path,
                std::map<std::string, std::string>& parameters) {
  while (!pattern.empty() && !path.empty()) {
    if (pattern.front() != '{') {
      if (pattern.front() != path.front()) return false;
      pattern.remove_prefix(1);
      path.remove_prefix(1);
      continue;
    }
    const size_t end = pattern.find('}');
    const size_t n = std::min(path.find('/'), path.size());
    if (end == std::string_view::npos || n == 0) return false;
    parameters[std::string(pattern.substr(1, end - 1))] = path.substr(0, n);
    pattern.remove_prefix(end + 1);
    path.remove_prefix(n);
  }
  return pattern.empty() && path.empty();
}

Result<gate::KeptResponses*> Service::kept_responses() {
  const std::lock_guard lock(kept_mutex_);
  if (kept_ == nullptr) {
    LANTERN_ASSIGN(kept_, gate::KeptResponses::open());
  }
  return kept_.get();
}

Service::Service(OwnNames own, std::unique_ptr<Access> access,
                 std::unique_ptr<gate::ModelHost> host)
    : own_(std::make_shared<const OwnNames>(std::move(own))),
      access_(std::move(access)),
      host_(std::move(host)) {}
Service::~Service() = default;

void Service::handle(Request request, const std::shared_ptr<Reply>& reply) {
  Result<std::string> path = path_of_target(request.target);
  const Api api = api_of_path(path.ok() ? *path : std::string());
  if (!path.ok()) return reply->send(error_response(api, path.error()));
  request.path = std::move(*path);
  // No browser's page reaches the socket.
  if (!request.on_socket)
    if (const Status status = check_origin(request.headers, *own_names()); !status.ok())
      return reply->send(error_response(api, status.error()));

  std::string allowed;
  const std::string_view method =
      request.method == "HEAD" ? "GET" : std::string_view(request.method);
  for (const Endpoint* endpoint : all_endpoints()) {
    request.parameters.clear();
    if (!match_path(endpoint->path, request.path, request.parameters)) continue;
    if (endpoint->method == method) {
      std::shared_ptr<Reply> metered =
          std::make_shared<MeteredReply>(metrics_, endpoint->path, reply);
      if (auto refused = access_->check(*endpoint, request, metered))
        return metered->send(std::move(*refused));
      return endpoint->handle(*this, request, metered);
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(endpoint->method);
  }
  const int status = allowed.empty() ? 404 : 405;
  const base::OrderedJson document =
      error_document(api,
                     make_error(ErrorCode::kNotFound, "{}: {}{}", base::printable(request.path),
                                allowed.empty() ? "no such path" : "that path takes ", allowed),
                     status);
  Response response = json_response(status, document);
  if (!allowed.empty()) response.headers.add("Allow", allowed);
  reply->send(std::move(response));
}

}  // namespace lantern::server
