// Leave to speak to the network. The HTTP client and the runner of pip each ask for a permit in
// their constructor, and none is given under --offline: that is the whole of its enforcement.
#pragma once

#include <string_view>

#include "base/result.h"

namespace lantern::supply {

enum class NetworkMode { kOnline, kOffline };

class NetworkPermit {
 public:
  /// kIo under kOffline, naming `what` it would have been needed for.
  static Result<NetworkPermit> request(NetworkMode mode, std::string_view what);

 private:
  NetworkPermit() = default;
};

}  // namespace lantern::supply
