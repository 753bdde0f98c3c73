// How files spell a token's bytes, and back to bytes.
#pragma once

#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace lantern::text {

/// U+2581, SentencePiece's visible space.
inline constexpr std::string_view kVisibleSpace = "\xE2\x96\x81";

/// Appends `text` with U+2581 as a space.
void append_with_plain_spaces(std::string_view text, std::string& out);

/// Appends the bytes that `spelling` stands for. False, with `spelling` itself appended, where a
/// byte-level token holds a character outside GPT-2's alphabet of 256.
bool append_piece_bytes(TokenizerKind kind, std::string_view spelling, std::string& out);

/// The value of "<0x00>" ... "<0xFF>", or -1.
int byte_token_value(std::string_view spelling);

}  // namespace lantern::text
