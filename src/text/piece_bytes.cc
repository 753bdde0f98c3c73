#include "text/piece_bytes.h"

#include <array>
#include <cstdint>

namespace lantern::text {
namespace {

// GPT-2's encoder.py: printable Latin-1 characters stand for themselves, the other 68 bytes, in
// order, for U+0100 and up.
constexpr size_t kAlphabetEnd = 0x100 + 68;

constexpr std::array<int16_t, kAlphabetEnd> make_alphabet() {
  std::array<int16_t, kAlphabetEnd> bytes{};
  size_t next = 0x100;
  for (size_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b != 0xAD);
    if (!printable) bytes[b] = -1;
    bytes[printable ? b : next++] = static_cast<int16_t>(b);
  }
  return bytes;
}
constexpr std::array<int16_t, kAlphabetEnd> kAlphabet = make_alphabet();

}  // namespace

void append_with_plain_spaces(std::string_view text, std::string& out) {
  for (;;) {
    const size_t at = text.find(kVisibleSpace);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return;
    out += ' ';
    text.remove_prefix(at + kVisibleSpace.size());
  }
}

bool append_piece_bytes(TokenizerKind kind, std::string_view spelling, std::string& out) {
  if (kind == TokenizerKind::kSentencePieceBpe) {
    append_with_plain_spaces(spelling, out);
    return true;
  }
  const size_t before = out.size();
  for (size_t i = 0; i < spelling.size();) {
    const auto lead = static_cast<uint8_t>(spelling[i]);
    size_t c = lead;
    size_t length = 1;
    // The alphabet ends at U+0143, so two bytes of UTF-8 are the most.
    if ((lead == 0xC2 || lead == 0xC3 || lead == 0xC4 || lead == 0xC5) && i + 1 < spelling.size()) {
      c = (lead & 0x1Fu) << 6 | (static_cast<uint8_t>(spelling[i + 1]) & 0x3Fu);
      length = 2;
    } else if (lead >= 0x80) {
      c = kAlphabetEnd;
    }
    if (c >= kAlphabetEnd || kAlphabet[c] < 0) {
      out.resize(before);
      out += spelling;
      return false;
    }
    out += static_cast<char>(kAlphabet[c]);
    i += length;
  }
  return true;
}

int byte_token_value(std::string_view spelling) {
  if (spelling.size() != 6 || !spelling.starts_with("<0x") || spelling[5] != '>') return -1;
  int value = 0;
  for (char c : spelling.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

}  // namespace lantern::text
