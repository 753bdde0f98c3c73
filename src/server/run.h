// The whole service, as `lantern serve` runs it.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http_server.h"
#include "server/service.h"

namespace lantern::server {

/// What may change while the service runs.
struct RunSettings {
  HttpLimits limits = {};
  bool keys_required = false;           // also on loopback; elsewhere they are unless overridden
  std::vector<std::string> hosts = {};  // further names by which it is called
};

struct RunOptions {
  ListenAddress listen = {};
  std::optional<TlsFiles> tls = {};
  std::optional<SocketPath> socket = {};
  /// The service goes on without a socket that it cannot have: another service has it, say.
  bool socket_may_lack = false;
  /// What an address that others reach takes and this one does without: said and recorded.
  bool without_tls = false, without_keys = false;
  RunSettings settings = {};
  std::chrono::seconds drain{30};
  /// Once requests are taken, with the address and the socket's path, where there is one.
  std::function<Status(const std::string& url, const std::string& socket)> on_ready = {};
  /// Reads the settings again; nothing: they are as they were. Called now and then, and on SIGHUP.
  std::function<Result<std::optional<RunSettings>>()> reload = {};
  /// What a person or a journal should read; from any thread.
  std::function<void(std::string_view)> notice = {};
};

/// kDenied for an address that others reach, without keys and TLS. Checked before models load,
/// which takes long.
Status check_listen(const RunOptions& options);

/// Where the service's socket is, unless it is told: in LANTERN_HOME, /run/lantern on a managed
/// machine, $XDG_RUNTIME_DIR/lantern, or the state folder. Errors: own_folders()'s.
Result<std::filesystem::path> default_socket();

/// Serves the host's models until `stop`. Errors: check_listen()'s, load_tls()'s, kIo, on_ready's,
/// those of the log.
Status run_service(std::unique_ptr<gate::ModelHost> host, const RunOptions& options,
                   const std::stop_token& stop);

}  // namespace lantern::server
