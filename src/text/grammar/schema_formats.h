// The formats of strings that are known, as regular expressions.
#pragma once

#include <optional>
#include <string_view>

namespace lantern::text::grammar {

struct Format {
  std::string_view pattern;  // of the whole string; regex.h
  int64_t length_max = -1;
};

/// nullopt for a format that is not known.
std::optional<Format> find_format(std::string_view name);
/// Formats of numbers, and of strings that any string may have (OpenAPI's `password`, `binary`).
bool format_says_nothing(std::string_view name);

}  // namespace lantern::text::grammar
