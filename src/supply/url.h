// URLs, read by libcurl's own parser so that what is checked is what is asked for.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace lantern::supply {

struct Url {
  std::string text = {};    // normalized, without fragment
  std::string scheme = {};  // lower case
  std::string host = {};
  std::string origin = {};  // scheme://host[:port]
  std::string path = {};    // percent-encoded, begins with '/'
};

/// kInvalidArgument for what is no URL.
Result<Url> parse_url(std::string_view text);
/// `reference` resolved against `base`, as a Location or Link header means it.
Result<Url> resolve_url(const Url& base, std::string_view reference);

/// https, or http to this machine itself; kInvalidArgument otherwise.
Status check_scheme(const Url& url);

/// Percent-encodes all but letters, digits and - . _ ~ (and '/' where `keep_slashes`).
std::string percent_encode(std::string_view text, bool keep_slashes = false);
/// Undoes percent-encoding; kInvalidArgument for a broken escape or an encoded NUL.
Result<std::string> percent_decode(std::string_view text);

}  // namespace lantern::supply
