#include "supply/network.h"

namespace lantern::supply {

Result<NetworkPermit> NetworkPermit::request(NetworkMode mode, std::string_view what) {
  if (mode == NetworkMode::kOffline)
    return make_error(ErrorCode::kIo, "{} needs the network, and --offline forbids it", what);
  return NetworkPermit();
}

}  // namespace lantern::supply
