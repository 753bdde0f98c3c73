#include "base/printable.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace lantern::base {

size_t utf8_sequence_length(std::string_view text) {
  auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  auto continues = [&](size_t i) { return i < text.size() && (at(i) & 0xc0) == 0x80; };
  if (text.empty()) return 0;
  uint8_t first = at(0);
  if (first < 0x80) return 1;
  if (first < 0xc2) return 0;
  if (first < 0xe0) return continues(1) ? 2 : 0;
  if (first < 0xf0) {
    if (!continues(1) || !continues(2)) return 0;
    if (first == 0xe0 && at(1) < 0xa0) return 0;   // overlong
    if (first == 0xed && at(1) >= 0xa0) return 0;  // surrogates
    return 3;
  }
  if (first > 0xf4 || !continues(1) || !continues(2) || !continues(3)) return 0;
  if (first == 0xf0 && at(1) < 0x90) return 0;   // overlong
  if (first == 0xf4 && at(1) >= 0x90) return 0;  // past U+10FFFF
  return 4;
}

std::string cut_utf8(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  constexpr std::string_view kMore = "...";
  size_t end = bytes_max - std::min(bytes_max, kMore.size());
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)).append(kMore.substr(0, bytes_max - end));
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    size_t n = utf8_sequence_length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    if (out.size() >= max_bytes) {
      out += "...";
      break;
    }
    size_t n = utf8_sequence_length(text);
    auto byte = static_cast<uint8_t>(text[0]);
    // C1 controls (U+0080 to U+009F) steer terminals too.
    bool control = n == 0 || byte < 0x20 || byte == 0x7f ||
                   (n == 2 && byte == 0xc2 && static_cast<uint8_t>(text[1]) < 0xa0);
    if (n == 0) n = 1;
    if (control) {
      for (char c : text.substr(0, n))
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<uint8_t>(c));
    } else if (byte == '\\') {
      out += "\\\\";
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n);
  }
  return out;
}

}  // namespace lantern::base
