// Encodings that payloads hide in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lantern::supply::scan {

/// A Python string literal's characters: quotes stripped, \x41 \u0041 \101 \n and so on replaced;
/// what is no escape stays.
std::string unescape_python(std::string_view text);

/// Base64 (standard or URL alphabet, line breaks allowed); nothing where a character is none.
std::optional<std::string> decode_base64_loosely(std::string_view text);
std::optional<std::string> decode_hex(std::string_view text);

/// Whether `bytes` begin as a pickle with a protocol mark or an archive does, or look like a pickle
/// of a protocol without one: a global's two lines, then a call.
bool looks_like_payload(std::string_view bytes);
/// What `text` decodes to, by base64 or hexadecimal, where that looks like a payload; else empty.
std::string decode_if_payload(std::string_view text);

}  // namespace lantern::supply::scan
