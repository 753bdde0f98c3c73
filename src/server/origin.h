// Whether a request may come from a web page: only from this service's own.
//
// A browser sends other sites' requests to loopback, and a name of theirs may come to mean
// 127.0.0.1 (DNS rebinding). So the Host must be a loopback name or address or the one that is
// listened on, and an Origin, where there is one, this service itself. No CORS header is ever sent.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "server/http.h"

namespace lantern::server {

/// kDenied, naming lantern.host or lantern.origin; kInvalidArgument for no Host, or two.
/// `listened` is the address that is listened on.
Status check_origin(const Headers& headers, std::string_view listened);

}  // namespace lantern::server
