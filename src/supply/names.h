// Names that come from outside, before any of them becomes a path, a host or an argument.
#pragma once

#include <string>
#include <string_view>

namespace lantern::supply {

/// 1 to 128 of a-z 0-9 . _ -, beginning with a letter or digit; never 64 hexadecimal digits, which
/// would read as a digest.
bool is_alias(std::string_view text);
/// A valid alias made of any text: lower case, what is not allowed becomes '-'.
std::string make_alias(std::string_view text);

/// One component of a path: printable ASCII without / \ : * ? " < > |, at most 200 bytes, not
/// beginning with '.' or '-' or a blank. Model files have no need for more, and less can go wrong
/// on any file system and in any terminal.
bool is_safe_file_name(std::string_view name);
/// Safe names joined by '/', at most 4 of them.
bool is_safe_relative_path(std::string_view path);

/// The letters of an SPDX id or LicenseRef-…: A-Z a-z 0-9 . - +.
bool is_spdx_id(std::string_view text);

bool begins_with_ignoring_case(std::string_view text, std::string_view prefix);
bool ends_with_ignoring_case(std::string_view text, std::string_view suffix);

}  // namespace lantern::supply
