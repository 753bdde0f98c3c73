// Whether a request may come from a web page: only from this service's own.
//
// A browser sends other sites' requests to loopback, and a name of theirs may come to mean
// 127.0.0.1 (DNS rebinding). So the Host must be a loopback name or address or the one that is
// listened on, and an Origin, where there is one, this service itself. No CORS header is ever sent.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/http.h"

namespace lantern::server {

/// What may stand in Host, beside loopback's names and addresses.
struct OwnNames {
  std::string listened = {};            // the address that is listened on
  std::vector<std::string> names = {};  // in lower case
  /// Any address, though no other name: a service that is reached from elsewhere. Nobody rebinds an
  /// address.
  bool any_address = false;
  /// Anything: where keys and TLS are needed, another site's page has neither a key nor this
  /// service's certificate.
  bool any = false;
};

/// kDenied, naming lantern.host or lantern.origin; kInvalidArgument for no Host, or two.
Status check_origin(const Headers& headers, const OwnNames& own);

}  // namespace lantern::server
