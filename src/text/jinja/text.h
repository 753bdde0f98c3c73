// A template's string: UTF-8 whose every byte knows whether the template or a message wrote it.
//
// Positions are code points, as in Python; where all bytes are ASCII they are bytes too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/span.h"

namespace lantern::text::jinja {

class Text {
 public:
  Text() = default;
  Text(std::string_view bytes, SpanKind kind);

  [[nodiscard]] std::string_view view() const { return bytes_; }
  [[nodiscard]] size_t size_bytes() const { return bytes_.size(); }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  /// Code points.
  [[nodiscard]] size_t length() const { return length_; }
  [[nodiscard]] bool ascii() const { return length_ == bytes_.size(); }
  /// Any byte of a message's.
  [[nodiscard]] bool has_content() const;
  /// kContent if any byte is.
  [[nodiscard]] SpanKind kind() const {
    return has_content() ? SpanKind::kContent : SpanKind::kLiteral;
  }
  /// The byte at which code point `index` begins; size_bytes() for length() or more.
  [[nodiscard]] size_t byte_at(size_t index) const;
  /// What this string holds in memory, itself included.
  [[nodiscard]] size_t memory_bytes() const {
    return sizeof(Text) + bytes_.capacity() + runs_.capacity() * sizeof(Run);
  }

  void append(std::string_view bytes, SpanKind kind);
  void append(const Text& other) { append(other, 0, other.size_bytes()); }
  /// Bytes [begin, end) of `other`, which must fall between code points.
  void append(const Text& other, size_t begin, size_t end);
  /// The same kinds as byte `at` of `source` for bytes that replace that byte's code point.
  void append_like(std::string_view bytes, const Text& source, size_t at);

  [[nodiscard]] std::vector<Span> spans() const;

 private:
  struct Run {
    size_t end;  // one past the run's last byte
    SpanKind kind;
  };

  [[nodiscard]] size_t run_at(size_t byte) const;
  void extend_run(size_t end, SpanKind kind);

  std::string bytes_;
  std::vector<Run> runs_;  // in order, neighbours differ; none when empty
  size_t length_ = 0;
};

/// Code points in well-formed UTF-8.
size_t count_code_points(std::string_view utf8);
/// Whether `bytes` is well-formed UTF-8 (no surrogates, nothing past U+10FFFF).
bool is_utf8(std::string_view bytes);
/// The code point at byte `at` and, in `size`, its bytes. `utf8` must be well formed.
uint32_t decode_code_point(std::string_view utf8, size_t at, size_t& size);
void append_code_point(std::string& out, uint32_t code_point);

/// The first place of `needle` from byte `from` on, or npos; in linear time whatever the two are.
size_t find_bytes(std::string_view text, std::string_view needle, size_t from = 0);
/// The last place of `needle`, likewise.
size_t rfind_bytes(std::string_view text, std::string_view needle);

/// The bytes at the beginning or end of `utf8` that Python's str.isspace() accepts.
size_t leading_space_bytes(std::string_view utf8);
size_t trailing_space_bytes(std::string_view utf8);

// Python's str predicates for one code point.
bool is_space(uint32_t c);
bool is_line_end(uint32_t c);  // where str.splitlines() breaks
bool is_alpha(uint32_t c);
bool is_decimal(uint32_t c);
bool is_digit(uint32_t c);
bool is_numeric(uint32_t c);
bool is_upper(uint32_t c);
bool is_lower(uint32_t c);
bool is_cased(uint32_t c);
bool is_printable(uint32_t c);
inline bool is_alnum(uint32_t c) {
  return is_alpha(c) || is_decimal(c) || is_digit(c) || is_numeric(c);
}
/// 0 to 9 of a decimal digit of any script, else -1.
int decimal_value(uint32_t c);

enum class CaseMapping { kUpper, kLower, kTitle };
/// Appends the full case mapping of `c`; the final sigma is change_case()'s business.
void append_mapped(std::string& out, uint32_t c, CaseMapping mapping);

enum class CaseChange { kUpper, kLower, kTitle, kCapitalize, kSwap };
/// str.upper(), lower(), title(), capitalize(), swapcase(): each character keeps its kind.
Text change_case(const Text& text, CaseChange change);

}  // namespace lantern::text::jinja
