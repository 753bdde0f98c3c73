#include "supply/scan/text_codes.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace lantern::supply::scan {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+' || c == '-') return 62;
  if (c == '/' || c == '_') return 63;
  return -1;
}

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | (c >> 6));
    out += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | (c >> 12));
    out += static_cast<char>(0x80 | ((c >> 6) & 63));
    out += static_cast<char>(0x80 | (c & 63));
  } else {
    out += static_cast<char>(0xf0 | ((c >> 18) & 7));
    out += static_cast<char>(0x80 | ((c >> 12) & 63));
    out += static_cast<char>(0x80 | ((c >> 6) & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
}

/// Up to `n_max` digits of `base` at text[at]; moves `at` past them.
std::optional<uint32_t> digits(std::string_view text, size_t& at, size_t n_max, int base) {
  uint32_t value = 0;
  size_t n = 0;
  for (; n < n_max && at < text.size(); ++n, ++at) {
    const int digit = hex_value(text[at]);
    if (digit < 0 || digit >= base) break;
    value = value * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit);
  }
  return n == 0 ? std::nullopt : std::optional(value);
}

}  // namespace

std::string unescape_python(std::string_view text) {
  if (text.size() >= 2 && (text.front() == '\'' || text.front() == '"') &&
      text.back() == text.front())
    text = text.substr(1, text.size() - 2);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i++];
      continue;
    }
    const char kind = text[i + 1];
    size_t at = i + 2;
    std::optional<uint32_t> value;
    if (kind == 'x') value = digits(text, at, 2, 16);
    if (kind == 'u') value = digits(text, at, 4, 16);
    if (kind == 'U') value = digits(text, at, 8, 16);
    if (kind >= '0' && kind <= '7') value = digits(text, --at, 3, 8);
    constexpr std::string_view kNames = "nrtabfv\\'\"", kValues = "\n\r\t\a\b\f\v\\'\"";
    if (const size_t known = kNames.find(kind); known != kNames.npos)
      value = static_cast<uint32_t>(kValues[known]);
    if (value) {
      append_utf8(out, *value);
      i = at;
    } else {
      out += text[i++];
    }
  }
  return out;
}

std::optional<std::string> decode_base64_loosely(std::string_view text) {
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int n_bits = 0;
  for (const char c : text) {
    if (c == '=' || c == '\n' || c == '\r') continue;
    const int value = base64_value(c);
    if (value < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(value);
    n_bits += 6;
    if (n_bits >= 8) {
      n_bits -= 8;
      out += static_cast<char>(bits >> n_bits);
      bits &= (1u << n_bits) - 1;
    }
  }
  return out;
}

std::optional<std::string> decode_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]), low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
  }
  return out;
}

bool looks_like_payload(std::string_view bytes) {
  if (bytes.size() < 4) return false;
  if (bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5) return true;
  if (bytes.starts_with("PK\x03\x04") || bytes.starts_with("\x1f\x8b\x08")) return true;
  constexpr size_t kLineBytes = 200;
  const size_t line = bytes.substr(0, kLineBytes).find('\n');
  if (line == bytes.npos || bytes.substr(line + 1, kLineBytes).find('\n') == bytes.npos)
    return false;
  return bytes.find("R.") != bytes.npos || bytes.find("\nR") != bytes.npos ||
         bytes.find("(i") != bytes.npos || bytes.ends_with('.');
}

std::string decode_if_payload(std::string_view text) {
  constexpr size_t kProbe = 16;
  constexpr size_t kUnmarkedMax = 64u << 10;  // longer text is decoded only where it begins so
  if (text.size() < kProbe) return {};
  const auto decode = [&](auto function) -> std::string {
    const auto probe = function(text.substr(0, kProbe));
    if (!probe || (text.size() > kUnmarkedMax && !looks_like_payload(*probe))) return {};
    auto decoded = function(text);
    return decoded && looks_like_payload(*decoded) ? std::move(*decoded) : std::string{};
  };
  if (std::string decoded = decode(decode_hex); !decoded.empty()) return decoded;
  return decode(decode_base64_loosely);
}

}  // namespace lantern::supply::scan
