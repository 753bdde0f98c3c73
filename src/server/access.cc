#include "server/access.h"

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "base/thread.h"

namespace lantern::server {
namespace {

/// How soon a revoked key's answers end; the promise is a second.
constexpr auto kLookAgain = std::chrono::milliseconds(250);

/// Whoever writes this means one of our keys, however many characters he lost.
constexpr std::string_view kMeantAsKey = "lantern_";

std::string_view scope_name(Scope scope) {
  switch (scope.kind) {
    case Scope::kAnswers:
      return "answers";
    case Scope::kModels:
      return "models";
    case Scope::kMetrics:
      return "metrics";
    case Scope::kPublic:
    case Scope::kAdmin:
      break;
  }
  return {};
}

/// Keys that cannot be read are this service's fault, not the request's.
Error why_not(Error fault) {
  if (fault.code != ErrorCode::kDenied) fault.code = ErrorCode::kIo;
  return fault;
}

std::string_view without_scheme(std::string_view value) {
  constexpr std::string_view kBearer = "bearer ";
  if (value.size() < kBearer.size()) return {};
  for (size_t i = 0; i < kBearer.size(); ++i)
    if ((value[i] | 0x20) != kBearer[i]) return {};
  value.remove_prefix(kBearer.size());
  const size_t begin = std::min(value.find_first_not_of(' '), value.size());
  return value.substr(begin);
}

}  // namespace

const std::string* presented_key(const Request& request, std::string& space) {
  if (const std::string* header = request.headers.find("Authorization"))
    space = without_scheme(*header);
  const std::string* const key = request.headers.find("x-api-key");
  if (key != nullptr && !gate::ApiKeys::is_key(space)) space = *key;
  return space.empty() ? nullptr : &space;
}

struct Access::Leases {
  struct Lease {
    std::string key_id;
    std::stop_source ended = {};
    std::optional<Error> why = {};  // the key no longer stands
  };
  std::mutex mutex;
  std::condition_variable_any changed;
  std::list<Lease> all;  // under the mutex
};

/// A reply that also counts as gone once its key no longer stands.
class Access::LeasedReply final : public Reply {
 public:
  LeasedReply(std::shared_ptr<Leases> leases, std::string key_id, std::shared_ptr<Reply> reply)
      : leases_(std::move(leases)), reply_(std::move(reply)) {
    {
      const std::lock_guard lock(leases_->mutex);
      lease_ = leases_->all.insert(leases_->all.end(), {.key_id = std::move(key_id)});
      ended_ = lease_->ended;
    }
    leases_->changed.notify_one();
    client_went_.emplace(reply_->gone(), [ended = ended_]() mutable { ended.request_stop(); });
  }
  ~LeasedReply() override {
    client_went_.reset();
    const std::lock_guard lock(leases_->mutex);
    leases_->all.erase(lease_);
  }
  void send(Response response) override { reply_->send(std::move(response)); }
  void start(Response response) override { reply_->start(std::move(response)); }
  void write(std::string piece) override { reply_->write(std::move(piece)); }
  void end() override { reply_->end(); }
  [[nodiscard]] std::stop_token gone() const override { return ended_.get_token(); }
  [[nodiscard]] std::optional<Error> why_gone() const override {
    const std::lock_guard lock(leases_->mutex);
    return lease_->why ? lease_->why : reply_->why_gone();
  }

 private:
  const std::shared_ptr<Leases> leases_;
  const std::shared_ptr<Reply> reply_;
  std::list<Leases::Lease>::iterator lease_;
  std::stop_source ended_;
  std::optional<std::stop_callback<std::function<void()>>> client_went_;
};

Access::Access(std::unique_ptr<gate::ApiKeys> keys, std::shared_ptr<gate::Usage> usage,
               bool keys_required)
    : keys_(std::move(keys)),
      usage_(std::move(usage)),
      keys_required_(keys_required),
      leases_(std::make_shared<Leases>()) {}

Result<std::unique_ptr<Access>> Access::start(std::unique_ptr<gate::ApiKeys> keys,
                                              std::shared_ptr<gate::Usage> usage,
                                              bool keys_required) {
  std::unique_ptr<Access> made(new Access(std::move(keys), std::move(usage), keys_required));
  LANTERN_ASSIGN(made->watcher_,
                 base::start_thread("watch keys", [raw = made.get()](const std::stop_token& stop) {
                   raw->watch(stop);
                 }));
  return made;
}

Access::~Access() = default;

void Access::watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::set<std::string> ids;
    {
      std::unique_lock lock(leases_->mutex);
      leases_->changed.wait(lock, stop, [&] { return !leases_->all.empty(); });
      leases_->changed.wait_for(lock, stop, kLookAgain, [] { return false; });
      for (const Leases::Lease& lease : leases_->all) ids.insert(lease.key_id);
    }
    std::vector<std::stop_source> ended;
    for (const std::string& id : ids) {
      const Status stands = keys_->stands(id);
      if (stands.ok()) continue;
      const std::lock_guard lock(leases_->mutex);
      for (Leases::Lease& lease : leases_->all) {
        if (lease.key_id != id) continue;
        lease.why = why_not(stands.error());
        ended.push_back(lease.ended);
      }
    }
    // Outside the mutex: whoever is stopped may let go of its reply at once.
    for (std::stop_source& one : ended) one.request_stop();
  }
}

std::optional<Response> Access::refuse(const Endpoint& endpoint, const Request& request,
                                       const Error& error) {
  const std::string_view rule = error.message.find("lantern.key-scope") != std::string::npos
                                    ? "lantern.key-scope"
                                    : "lantern.key";
  if (error.code == ErrorCode::kDenied)
    keys_->record_refusal(request.identify(), rule, error.message);
  Response response = error_response(endpoint.api, error);
  if (response.status == 401) response.headers.add("WWW-Authenticate", "Bearer realm=\"lantern\"");
  return response;
}

std::optional<Response> Access::check(const Endpoint& endpoint, Request& request,
                                      std::shared_ptr<Reply>& reply) {
  if (endpoint.scope.kind == Scope::kPublic) return {};
  request.identify = [peer = std::move(request.identify), usage = usage_] {
    gate::Caller caller = peer ? peer() : gate::Caller();
    caller.usage = usage;
    return caller;
  };
  if (endpoint.scope.kind == Scope::kAdmin) {
    if (request.peer_is_admin) return {};
    return refuse(endpoint, request,
                  make_error(ErrorCode::kDenied,
                             "denied by rule lantern.admin-socket: {} answers the service's own "
                             "account and root alone, on its socket",
                             endpoint.path));
  }
  std::string space;
  const std::string* const presented = presented_key(request, space);
  // The kernel says who calls on the socket.
  const bool required = keys_required() && !request.on_socket;
  if (presented == nullptr || (!required && !presented->starts_with(kMeantAsKey))) {
    if (!required) return {};
    if (presented == nullptr)
      return refuse(endpoint, request,
                    make_error(ErrorCode::kDenied,
                               "denied by rule lantern.key: an API key is needed, as "
                               "`Authorization: Bearer KEY` or `x-api-key: KEY`; `lantern key "
                               "create` makes one"));
  }
  auto grant = keys_->check(*presented);
  if (!grant.ok()) return refuse(endpoint, request, why_not(grant.error()));
  request.identify = [peer = std::move(request.identify), grant = *grant] {
    gate::Caller caller = peer();
    caller.user = grant->user;
    caller.key_id = grant->id;
    caller.grant = grant;
    return caller;
  };
  const std::string scope(scope_name(endpoint.scope));
  if (!(*grant)->scopes.contains(scope))
    return refuse(endpoint, request,
                  make_error(ErrorCode::kDenied,
                             "denied by rule lantern.key-scope: key {} is not for \"{}\"; ask for "
                             "one made with --scopes {}",
                             (*grant)->id, scope, scope));
  reply = std::make_shared<LeasedReply>(leases_, (*grant)->id, std::move(reply));
  return {};
}

}  // namespace lantern::server
