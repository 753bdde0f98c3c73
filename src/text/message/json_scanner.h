// One JSON value (RFC 8259), told apart byte by byte: for text that comes in pieces and must be
// passed on as it comes.
#pragma once

#include <cstdint>

namespace lantern::text {

class JsonScanner {
 public:
  static constexpr int kDepthMax = 64;

  enum class Step {
    kMore,        // the value goes on
    kDone,        // this byte was its last
    kDoneBefore,  // a number ended before this byte
    kBad,         // no JSON, or nested deeper than kDepthMax; push no more
  };

  /// White space before the value is passed over. Bytes from 0x80 on are taken inside strings as
  /// they are; an escaped half of a surrogate pair without the other is no JSON.
  Step push(char byte);
  /// Whether the next byte is a plain one of a string.
  [[nodiscard]] bool in_string() const { return state_ == State::kString; }

 private:
  enum class State : uint8_t {
    kValue,
    kValueOrEnd,  // after "["
    kKey,         // after "," in an object
    kKeyOrEnd,    // after "{"
    kColon,
    kCommaOrEnd,
    kString,
    kEscape,
    kHex,
    kLowEscape,  // the backslash of the low surrogate that must follow, then its u
    kLowU,
    kWord,  // true, false, null
    kMinus,
    kZero,
    kDigits,
    kPoint,
    kFraction,
    kExponent,
    kExponentSign,
    kExponentDigits,
    kBad,
  };

  Step begin_value(char byte);
  Step end_value();
  Step open(bool object);
  Step close(bool object);
  Step push_string(char byte);
  Step push_hex(char byte);
  Step push_number(char byte);
  Step push_structure(char byte);
  Step to(State state);
  Step bad() {
    state_ = State::kBad;
    return Step::kBad;
  }

  State state_ = State::kValue;
  bool is_key_ = false;    // of the string that is read
  bool low_ = false;       // of the escape that is read: the second half of a pair
  uint8_t n_hex_ = 0;      // digits of an escape read so far
  uint16_t hex_ = 0;       // their value
  const char* word_ = "";  // what is left of true, false or null
  uint64_t objects_ = 0;   // a bit for each open container: 1 is an object; the innermost lowest
  int depth_ = 0;
};

}  // namespace lantern::text
