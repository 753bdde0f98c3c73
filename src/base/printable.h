// Names from outside, made fit for a message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lantern::base {

/// `text` on one line, harmless to a terminal: control characters, deletes and bytes that are no
/// UTF-8 as \xNN, a backslash as \\, cut with "..." after about `max_bytes`.
std::string printable(std::string_view text, size_t max_bytes = 120);

/// The length of the UTF-8 sequence at the front of `text`, 0 where there is none (overlong
/// forms, surrogates and numbers past U+10FFFF are none).
size_t utf8_sequence_length(std::string_view text);

/// At most `bytes_max` of `text`, which is UTF-8: no sequence cut in two, "..." where any is
/// missing.
std::string cut_utf8(std::string_view text, size_t bytes_max);

/// Whether all of `text` is UTF-8.
bool is_utf8(std::string_view text);

}  // namespace lantern::base
