// Base64 as RFC 4648 section 4: with padding, no line breaks.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::base {

std::string to_base64(std::span<const std::byte> bytes);
inline std::string to_base64(std::string_view text) {
  return to_base64(std::as_bytes(std::span(text)));
}
/// kCorrupt for anything but the one canonical encoding of some bytes.
Result<std::vector<std::byte>> from_base64(std::string_view text);

}  // namespace lantern::base
