// The headers that a receiver wants with each request, from a file of their own: what is in there
// is secret.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::delivery {

inline constexpr size_t kHeaderFileBytesMax = 64u << 10;

/// One "Name: value" a line; empty lines and those that begin with # are left out. kCorrupt naming
/// `what` and the line, never its content: no header, one that the request itself decides
/// (Content-Length and the like), or a control character.
Result<std::vector<std::string>> parse_headers(std::string_view text, std::string_view what);

}  // namespace lantern::delivery
