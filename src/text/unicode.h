// UTF-8, character classes and normal form C, from pinned tables: an answer may not depend on
// the Unicode version of a machine's libraries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lantern::text {

/// What regular expressions of tokenizers tell apart; the values are those of the tables.
enum class CharClass : uint8_t {
  kOther,  // punctuation, symbols, controls, unassigned, bytes that are not UTF-8
  kLu,
  kLl,
  kLt,
  kLm,
  kLo,
  kM,
  kN,
  kSpace,  // White_Space, newlines included
};

/// A set of classes: bit 1 << class.
using ClassSet = uint16_t;
constexpr ClassSet class_bit(CharClass c) {
  return static_cast<ClassSet>(1u << static_cast<int>(c));
}
inline constexpr ClassSet kLetter = class_bit(CharClass::kLu) | class_bit(CharClass::kLl) |
                                    class_bit(CharClass::kLt) | class_bit(CharClass::kLm) |
                                    class_bit(CharClass::kLo);
inline constexpr ClassSet kNumber = class_bit(CharClass::kN);
inline constexpr ClassSet kSpaces = class_bit(CharClass::kSpace);

/// `c` is a code point below 0x110000.
CharClass char_class(char32_t c);

/// One step through UTF-8.
struct Decoded {
  enum class State : uint8_t {
    kValid,
    kInvalid,     // `length` bytes can never become a character: one U+FFFD stands for them
    kIncomplete,  // the text ends inside a character
  };
  char32_t code_point = 0xFFFD;
  uint8_t length = 0;  // bytes; at least 1
  State state = State::kInvalid;
};

/// The character at the beginning of `text`, which is not empty. Broken bytes are cut as
/// Unicode's "maximal subpart" practice says, which is also Rust's from_utf8_lossy.
Decoded decode_utf8(std::string_view text);

/// U+FFFD, which stands for broken bytes.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

bool is_valid_utf8(std::string_view text);

void append_utf8(char32_t c, std::string& out);

/// `text` in normal form C (that of Unicode 9.0; tools/unicode/tables.py says why). Bytes that
/// are not UTF-8 stay and separate what is around them.
std::string to_nfc(std::string_view text);
/// `text` in normal form D, of the same version. Bytes that are not UTF-8 are left out.
std::string to_nfd(std::string_view text);
/// Whether to_nfc() certainly returns `text` itself; false may be wrong.
bool is_surely_nfc(std::string_view text);

}  // namespace lantern::text
