#include "server/run.h"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

#include "base/path_stamp.h"
#include "base/paths.h"
#include "base/thread.h"
#include "gate/service_log.h"
#include "gate/usage.h"
#include "server/access.h"
#include "server/notify.h"

namespace lantern::server {
namespace {

/// How soon a changed file is seen without SIGHUP.
constexpr auto kLookAgain = std::chrono::seconds(1);

bool is_open_to_others(const RunOptions& options) { return !is_loopback(options.listen); }

bool needs_keys(const RunOptions& options, const RunSettings& settings) {
  return settings.keys_required || (is_open_to_others(options) && !options.without_keys);
}

OwnNames own_names(const RunOptions& options, const RunSettings& settings) {
  OwnNames own{.listened = options.listen.host,
               .any_address = is_open_to_others(options),
               .any = options.tls.has_value() && needs_keys(options, settings)};
  for (std::string name : settings.hosts) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    own.names.push_back(std::move(name));
  }
  return own;
}

void say(const RunOptions& options, std::string_view text) {
  if (options.notice) options.notice(text);
}

std::string url_of(const RunOptions& options, const ListenAddress& got) {
  const bool v6 = got.host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", options.tls ? "https" : "http", v6 ? "[" : "", got.host,
                     v6 ? "]" : "", got.port);
}

/// In the log before anybody is answered.
Status record_start(const RunOptions& options, const std::string& url, const std::string& socket) {
  std::string missing;
  if (is_open_to_others(options) && !options.tls) missing = "TLS";
  if (is_open_to_others(options) && !needs_keys(options, options.settings))
    missing += missing.empty() ? "keys" : " and keys";
  if (!missing.empty())
    say(options, fmt::format("WARNING: {} can be reached from other machines WITHOUT {}: whoever "
                             "reaches it can {}. This is in the audit log.",
                             url, missing,
                             missing == "TLS" ? "read keys, prompts and answers on the way"
                                              : "use its models"));
  return gate::record_service(
      missing.empty()
          ? "the service begins"
          : fmt::format("--insecure-listen: reached from elsewhere without {}", missing),
      missing.empty() ? "" : "lantern.listen",
      {{.name = "url", .value = url},
       {.name = "socket", .value = socket},
       {.name = "keys_required", .value = needs_keys(options, options.settings) ? 1 : 0}});
}

/// Looks at the certificate's files and at the settings, and puts what changed in force.
class Reloader {
 public:
  Reloader(const RunOptions& options, Service& service, HttpServer& server)
      : options_(options), service_(service), server_(server), seen_(stamps()) {
    server_.on_hangup([this] { wake(); });
  }
  Status start() {
    LANTERN_ASSIGN(thread_, base::start_thread("read settings again",
                                               [this](const std::stop_token& stop) { run(stop); }));
    return {};
  }

 private:
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      asked_ = true;
    }
    changed_.notify_one();
  }
  void run(const std::stop_token& stop) {
    for (;;) {
      bool asked = false;
      {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, stop, kLookAgain, [this] { return asked_; });
        if (stop.stop_requested()) return;
        asked = std::exchange(asked_, false);
      }
      reload_tls(asked);
      reload_settings();
    }
  }
  [[nodiscard]] std::string stamps() const {
    if (!options_.tls) return {};
    const base::PathStamp certificate = base::path_stamp(options_.tls->certificate);
    const base::PathStamp key = base::path_stamp(options_.tls->key);
    return certificate.text + "\n" + key.text;
  }
  /// Two files cannot change at once: where they do not fit the old ones stay, and the next look
  /// finds them whole.
  void reload_tls(bool asked) {
    if (!options_.tls) return;
    std::string now = stamps();
    if (now == seen_ && !asked) return;
    auto tls = load_tls(*options_.tls);
    if (now != seen_ || asked)
      say(options_, tls.ok() ? "the certificate was read again"
                             : "the old certificate stays: " + tls.error().message);
    seen_ = std::move(now);
    if (tls.ok()) server_.set_tls(*tls);
  }
  void reload_settings() {
    if (!options_.reload) return;
    auto changed = options_.reload();
    if (!changed.ok()) return say(options_, "the old settings stay: " + changed.error().message);
    if (!*changed) return;
    const RunSettings& settings = **changed;
    const Status recorded = gate::record_service(
        "the service's settings changed", "",
        {{.name = "keys_required", .value = needs_keys(options_, settings) ? 1 : 0}});
    if (!recorded.ok()) return say(options_, "the old settings stay: " + recorded.error().message);
    server_.set_limits(settings.limits);
    service_.access().require_keys(needs_keys(options_, settings));
    service_.set_own_names(own_names(options_, settings));
    say(options_, "the settings were read again");
  }

  const RunOptions& options_;
  Service& service_;
  HttpServer& server_;
  std::string seen_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool asked_ = false;
  std::jthread thread_;  // last: ends before what it uses
};

/// With the socket, or without one that may lack.
Result<std::unique_ptr<HttpServer>> open_server(const RunOptions& options, Service& service,
                                                std::string& socket) {
  HttpListen where{.tcp = options.listen, .socket = options.socket};
  if (options.tls) {
    LANTERN_ASSIGN(where.tls, load_tls(*options.tls));
  }
  const auto open = [&] {
    return HttpServer::listen(
        where, options.settings.limits,
        [&service](Request request, std::shared_ptr<Reply> reply) {
          service.handle(std::move(request), reply);
        },
        fault_response);
  };
  if (where.socket) {
    // A folder of one's own, unless somebody made one.
    const std::filesystem::path folder = where.socket->path.parent_path();
    const Status made = folder.empty() ? Status() : base::make_private_folder(folder);
    auto server = made.ok() ? open() : Result<std::unique_ptr<HttpServer>>(made.error());
    if (server.ok()) socket = where.socket->path.string();
    if (server.ok() || !options.socket_may_lack) return server;
    // Without: whatever else was wrong shows then.
    where.socket.reset();
    auto without = open();
    if (without.ok())
      say(options, fmt::format("no socket for `lantern ps`: {}", server.error().message));
    return without;
  }
  return open();
}

}  // namespace

Status check_listen(const RunOptions& options) {
  if (!is_open_to_others(options)) return {};
  // Keys are asked for there unless somebody says no-keys.
  if (options.tls || options.without_tls) return {};
  return make_error(ErrorCode::kDenied,
                    "denied by rule lantern.listen: {} can be reached from other machines, which "
                    "takes keys and TLS: give --tls-cert and --tls-key; or listen on 127.0.0.1 or "
                    "[::1]; or say --insecure-listen no-tls, which is recorded",
                    options.listen.host);
}

Result<std::filesystem::path> default_socket() {
  constexpr const char* kName = "lantern.sock";
  if (base::machine_is_managed()) return std::filesystem::path("/run/lantern") / kName;
  const char* const home = std::getenv("LANTERN_HOME");        // NOLINT(concurrency-mt-unsafe)
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (home != nullptr && *home == '/') return std::filesystem::path(home) / kName;
  if (runtime != nullptr && *runtime == '/')
    return std::filesystem::path(runtime) / "lantern" / kName;
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  return folders.state / kName;
}

Status run_service(std::unique_ptr<gate::ModelHost> host, const RunOptions& options,
                   const std::stop_token& stop) {
  LANTERN_TRY(check_listen(options));
  LANTERN_ASSIGN(auto keys, gate::ApiKeys::open());
  LANTERN_ASSIGN(auto usage, gate::Usage::of_user());
  const bool keys_required = needs_keys(options, options.settings);
  if (keys_required) {
    LANTERN_ASSIGN(const bool any, keys->any());
    if (!any) say(options, "keys are asked for and there is none: `lantern key create` makes one");
  }
  LANTERN_ASSIGN(auto access, Access::start(std::move(keys), std::move(usage), keys_required));
  Service service(own_names(options, options.settings), std::move(access), std::move(host));
  std::string socket;
  LANTERN_ASSIGN(const auto server, open_server(options, service, socket));
  const std::string url = url_of(options, server->address());
  LANTERN_TRY(record_start(options, url, socket));
  if (options.on_ready) LANTERN_TRY(options.on_ready(url, socket));
  notify_service_manager("READY=1");
  {
    Reloader reloader(options, service, *server);
    LANTERN_TRY(reloader.start());
    const std::stop_callback from_outside(stop, [&service] { service.stop(); });
    const std::stop_callback draining(service.stopped(), [&service] {
      service.set_ready(false);
      notify_service_manager("STOPPING=1");
    });
    server->run(service.stopped(), options.drain);
  }
  service.end();
  return {};
}

}  // namespace lantern::server
