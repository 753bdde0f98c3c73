// Words from outside that become part of messages and records.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lantern::policy {

inline constexpr size_t kLineBytesMax = 500;
inline constexpr size_t kNameBytesMax = 200;
/// Of policies and revocation lists: exact in every reader of JSON.
inline constexpr int64_t kVersionMax = int64_t{1} << 53;

/// Empty where `text` is one line of at least one visible character: UTF-8 without control
/// characters or signs that reorder text, at most `bytes_max` long. Else what is wrong with it.
std::string line_fault(std::string_view text, size_t bytes_max);
inline bool is_line(std::string_view text, size_t bytes_max) {
  return line_fault(text, bytes_max).empty();
}

/// The place of `name` in `names`, whose order is an enumeration's.
template <typename E, size_t N>
std::optional<E> enum_of(const std::string_view (&names)[N], std::string_view name) {
  for (size_t i = 0; i < N; ++i)
    if (names[i] == name) return static_cast<E>(i);
  return {};
}

/// "a, b, c"
std::string listed(std::span<const std::string_view> names);

}  // namespace lantern::policy
