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

}  // namespace lantern::cli
