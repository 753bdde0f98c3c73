// Commands that ask the running service, over its socket, instead of working on their own.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "server/socket_client.h"

namespace lantern::cli {

/// The service's socket: `path`, or where the service puts it. Errors: where that cannot be told.
Result<server::SocketClient> service_client(const std::string& path = {});

/// Whether models, records and keys are the service's, and this account is not: a managed machine's
/// user.
bool service_owns_state();

/// The service that acts for such an account. kDenied where it is not running: by
/// lantern.service-account, as this account may not do it alone.
Result<server::SocketClient> service_that_owns_state();

}  // namespace lantern::cli
