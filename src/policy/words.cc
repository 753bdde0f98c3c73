#include "policy/words.h"

#include <fmt/ranges.h>

#include "base/printable.h"

namespace lantern::policy {
namespace {

/// C1 controls (C2 80..9F), and what reorders or breaks a line: U+200E, U+200F, U+2028..U+202E,
/// U+2066..U+2069.
bool is_hidden_sign(std::string_view sequence) {
  if (sequence.size() == 2)
    return sequence[0] == '\xc2' && static_cast<unsigned char>(sequence[1]) < 0xa0;
  if (sequence.size() != 3 || sequence[0] != '\xe2') return false;
  const auto second = static_cast<unsigned char>(sequence[1]);
  const auto third = static_cast<unsigned char>(sequence[2]);
  if (second == 0x80) return third == 0x8e || third == 0x8f || (third >= 0xa8 && third <= 0xae);
  return second == 0x81 && third >= 0xa6 && third <= 0xa9;
}

}  // namespace

std::string line_fault(std::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max)
    return fmt::format("{} bytes long, at most {} are allowed", text.size(), bytes_max);
  bool has_visible = false;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t length = base::utf8_sequence_length(rest);
    if (length == 0) return "not UTF-8";
    const auto first = static_cast<unsigned char>(rest[0]);
    if (first < 0x20 || first == 0x7f || is_hidden_sign(rest.substr(0, length)))
      return "a control character; one line of text is needed";
    has_visible = has_visible || first != ' ';
    rest.remove_prefix(length);
  }
  return has_visible ? "" : "empty";
}

std::string listed(std::span<const std::string_view> names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace lantern::policy
