#include "cli/service_client.h"

#include "base/paths.h"
#include "server/run.h"

namespace lantern::cli {

Result<server::SocketClient> service_client(const std::string& path) {
  if (!path.empty()) return server::SocketClient(path);
  LANTERN_ASSIGN(const std::filesystem::path found, server::default_socket());
  return server::SocketClient(found);
}

bool service_owns_state() { return base::machine_is_managed() && !base::own_folders().ok(); }

Result<server::SocketClient> service_that_owns_state() {
  LANTERN_ASSIGN(server::SocketClient client, service_client());
  const Status reached = client.reach();
  if (reached.ok()) return client;
  const auto folders = base::own_folders();
  if (folders.ok() || reached.error().code != ErrorCode::kNotFound) return reached.error();
  Error refusal = folders.error();
  refusal.message += "; " + reached.error().message;
  return refusal;
}

}  // namespace lantern::cli
