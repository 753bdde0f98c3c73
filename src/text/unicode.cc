#include "text/unicode.h"

#include "text/unicode_tables.h"

namespace lantern::text {

CharClass char_class(char32_t c) {
  const size_t block = tables::kBlockIndex[c / tables::kBlock];
  return static_cast<CharClass>(
      tables::kClassAndFlags[block * tables::kBlock + c % tables::kBlock] & tables::kClassBits);
}

Decoded decode_utf8(std::string_view text) {
  using State = Decoded::State;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1, State::kValid};
  if (lead < 0xC2 || lead > 0xF4) return {0xFFFD, 1, State::kInvalid};
  const int length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what lies past U+10FFFF.
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t c = lead & (0xFFu >> (length + 1));
  for (int i = 1; i < length; ++i) {
    const auto at = static_cast<uint8_t>(i);
    if (text.size() == at) return {0xFFFD, at, State::kIncomplete};
    const uint8_t next = byte(at);
    if (next < (i == 1 ? low : 0x80) || next > (i == 1 ? high : 0xBF))
      return {0xFFFD, at, State::kInvalid};
    c = c << 6 | (next & 0x3Fu);
  }
  return {c, static_cast<uint8_t>(length), State::kValid};
}

bool is_valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Decoded d = decode_utf8(text);
    if (d.state != Decoded::State::kValid) return false;
    text.remove_prefix(d.length);
  }
  return true;
}

void append_utf8(char32_t c, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

}  // namespace lantern::text
