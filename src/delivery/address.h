// Addresses of receivers, read by libcurl's own parser so that what is checked is what is asked.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace lantern::delivery {

struct Address {
  std::string text = {};    // as it was given
  std::string scheme = {};  // lower case
  std::string host = {};    // without the brackets of an IPv6 address
  int port = 0;             // 0: not said
  std::string path = {};
  /// Whether it names a user, a password or a fragment: nothing of that belongs into a config.
  bool has_more = false;
};

/// A URL, or "unix:/path". kInvalidArgument for what is neither.
Result<Address> parse_address(std::string_view text);

/// "scheme://host:port/path" or "unix:/path", without a query, which may hold a token.
std::string address_label(const Address& address);

}  // namespace lantern::delivery
