#include "text/message/json_scanner.h"

#include "base/ascii.h"

namespace lantern::text {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// -1 where it is none.
int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

JsonScanner::Step JsonScanner::to(State state) {
  state_ = state;
  return Step::kMore;
}

JsonScanner::Step JsonScanner::begin_value(char byte) {
  switch (byte) {
    case '{':
      return open(true);
    case '[':
      return open(false);
    case '"':
      is_key_ = false;
      return to(State::kString);
    case 't':
      word_ = "rue";
      return to(State::kWord);
    case 'f':
      word_ = "alse";
      return to(State::kWord);
    case 'n':
      word_ = "ull";
      return to(State::kWord);
    case '-':
      return to(State::kMinus);
    case '0':
      return to(State::kZero);
    default:
      return is_digit(byte) ? to(State::kDigits) : bad();
  }
}

JsonScanner::Step JsonScanner::end_value() {
  state_ = depth_ == 0 ? State::kBad : State::kCommaOrEnd;
  return depth_ == 0 ? Step::kDone : Step::kMore;
}

JsonScanner::Step JsonScanner::open(bool object) {
  if (depth_ == kDepthMax) return bad();
  ++depth_;
  objects_ = objects_ << 1 | (object ? 1 : 0);
  return to(object ? State::kKeyOrEnd : State::kValueOrEnd);
}

JsonScanner::Step JsonScanner::close(bool object) {
  if (((objects_ & 1) != 0) != object) return bad();
  --depth_;
  objects_ >>= 1;
  return end_value();
}

JsonScanner::Step JsonScanner::push_string(char byte) {
  switch (state_) {
    case State::kString:
      if (byte == '\\') return to(State::kEscape);
      if (byte == '"') return is_key_ ? to(State::kColon) : end_value();
      return static_cast<unsigned char>(byte) < 0x20 ? bad() : Step::kMore;
    case State::kEscape:
      if (byte == 'u') {
        n_hex_ = 0;
        hex_ = 0;
        low_ = false;
        return to(State::kHex);
      }
      for (char known : {'"', '\\', '/', 'b', 'f', 'n', 'r', 't'})
        if (byte == known) return to(State::kString);
      return bad();
    case State::kLowEscape:
      return byte == '\\' ? to(State::kLowU) : bad();
    case State::kLowU:
      if (byte != 'u') return bad();
      n_hex_ = 0;
      hex_ = 0;
      low_ = true;
      return to(State::kHex);
    default:
      return push_hex(byte);
  }
}

JsonScanner::Step JsonScanner::push_hex(char byte) {
  const int digit = hex_digit(byte);
  if (digit < 0) return bad();
  hex_ = static_cast<uint16_t>(hex_ << 4 | digit);
  if (++n_hex_ < 4) return Step::kMore;
  const bool is_high = hex_ >= 0xD800 && hex_ < 0xDC00;
  const bool is_low = hex_ >= 0xDC00 && hex_ < 0xE000;
  if (is_low != low_) return bad();
  return to(is_high ? State::kLowEscape : State::kString);
}

JsonScanner::Step JsonScanner::push_number(char byte) {
  switch (state_) {
    case State::kMinus:
      if (byte == '0') return to(State::kZero);
      return is_digit(byte) ? to(State::kDigits) : bad();
    case State::kPoint:
      return is_digit(byte) ? to(State::kFraction) : bad();
    case State::kExponent:
      if (byte == '+' || byte == '-') return to(State::kExponentSign);
      [[fallthrough]];
    case State::kExponentSign:
      return is_digit(byte) ? to(State::kExponentDigits) : bad();
    default:
      break;
  }
  const bool whole = state_ == State::kZero || state_ == State::kDigits;
  if (is_digit(byte)) return state_ == State::kZero ? bad() : Step::kMore;
  if (whole && byte == '.') return to(State::kPoint);
  if (state_ != State::kExponentDigits && (byte == 'e' || byte == 'E')) return to(State::kExponent);
  if (end_value() == Step::kDone) return Step::kDoneBefore;
  return push_structure(byte);
}

JsonScanner::Step JsonScanner::push_structure(char byte) {
  if (base::is_json_space(byte)) return Step::kMore;
  switch (state_) {
    case State::kValueOrEnd:
      if (byte == ']') return close(false);
      [[fallthrough]];
    case State::kValue:
      return begin_value(byte);
    case State::kKeyOrEnd:
      if (byte == '}') return close(true);
      [[fallthrough]];
    case State::kKey:
      if (byte != '"') return bad();
      is_key_ = true;
      return to(State::kString);
    case State::kColon:
      return byte == ':' ? to(State::kValue) : bad();
    default:  // kCommaOrEnd
      if (byte == '}' || byte == ']') return close(byte == '}');
      if (byte != ',') return bad();
      return to((objects_ & 1) != 0 ? State::kKey : State::kValue);
  }
}

JsonScanner::Step JsonScanner::push(char byte) {
  switch (state_) {
    case State::kString:
    case State::kEscape:
    case State::kHex:
    case State::kLowEscape:
    case State::kLowU:
      return push_string(byte);
    case State::kWord:
      if (byte != *word_) return bad();
      ++word_;
      return *word_ == '\0' ? end_value() : Step::kMore;
    case State::kMinus:
    case State::kZero:
    case State::kDigits:
    case State::kPoint:
    case State::kFraction:
    case State::kExponent:
    case State::kExponentSign:
    case State::kExponentDigits:
      return push_number(byte);
    case State::kBad:
      return Step::kBad;
    default:
      return push_structure(byte);
  }
}

}  // namespace lantern::text
