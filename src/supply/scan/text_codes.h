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

/// What `text` decodes to, by base64 or hexadecimal, where that begins as a pickle or an archive
/// does; else empty.
std::string decode_if_payload(std::string_view text);

}  // namespace lantern::supply::scan
