// The whole service, as `lantern serve` runs it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "server/http_server.h"
#include "server/service.h"

namespace lantern::server {

struct RunOptions {
  ListenAddress listen = {};
  HttpLimits limits = {};
  std::chrono::seconds drain{30};
  /// Once requests are taken, with the address.
  std::function<Status(const std::string& url)> on_ready = {};
};

/// kDenied for an address that others reach. Checked before models load, which takes long.
Status check_listen(const ListenAddress& address);

/// Serves the host's models until `stop`. Errors: check_listen()'s, kIo, on_ready's.
Status run_service(std::unique_ptr<gate::ModelHost> host, const RunOptions& options,
                   const std::stop_token& stop);

}  // namespace lantern::server
