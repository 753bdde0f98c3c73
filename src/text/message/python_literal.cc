#include "text/message/python_literal.h"

#include <fmt/core.h>

#include "base/ascii.h"
#include "text/message/json_calls.h"

namespace lantern::text {
namespace {

constexpr size_t kWordBytesMax = 512;

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '.' || c == '+' || c == '-';
}

/// A number or a name as JSON; empty where it is neither.
std::string json_of(const std::string& word) {
  if (word == "True" || word == "true") return "true";
  if (word == "False" || word == "false") return "false";
  if (word == "None" || word == "null") return "null";
  std::string number = word;
  if (number.ends_with('.')) number += '0';
  if (number.starts_with('.')) number.insert(0, "0");
  if (number.starts_with("-.")) number.insert(1, "0");
  JsonScanner scanner;
  for (char c : number)
    if (scanner.push(c) != JsonScanner::Step::kMore) return {};
  return scanner.push(' ') == JsonScanner::Step::kDoneBefore ? number : std::string();
}

}  // namespace

PythonLiteral::Step PythonLiteral::push(char byte, std::string& json) {
  switch (state_) {
    case State::kString:
      return push_string(byte, json);
    case State::kEscape:
      return push_escape(byte, json);
    case State::kHex:
      return push_hex(byte, json);
    case State::kWord:
      return push_word(byte, json);
    default:
      return base::is_json_space(byte) ? Step::kMore : push_structure(byte, json);
  }
}

PythonLiteral::Step PythonLiteral::push_structure(char byte, std::string& json) {
  switch (state_) {
    case State::kValueOrEnd:
      if (byte == ']') return close(byte, json);
      [[fallthrough]];
    case State::kValue:
      return begin_value(byte, json);
    case State::kKeyOrEnd:
      if (byte == '}') return close(byte, json);
      [[fallthrough]];
    case State::kKey:
      return byte == '"' || byte == '\'' ? begin_string(byte, true, json) : Step::kBad;
    case State::kColon:
      if (byte != ':') return Step::kBad;
      json += ": ";
      return to(State::kValue);
    default:  // kCommaOrEnd
      if (byte == ']' || byte == '}') return close(byte, json);
      if (byte != ',') return Step::kBad;
      json += ", ";
      return to(open_.back() == '{' ? State::kKey : State::kValue);
  }
}

PythonLiteral::Step PythonLiteral::begin_value(char byte, std::string& json) {
  if (byte == '"' || byte == '\'') return begin_string(byte, false, json);
  if (byte == '[' || byte == '{') {
    if (open_.size() >= static_cast<size_t>(JsonScanner::kDepthMax)) return Step::kBad;
    open_.push_back(byte);
    json += byte;
    return to(byte == '{' ? State::kKeyOrEnd : State::kValueOrEnd);
  }
  if (!is_word(byte)) return Step::kBad;
  word_ = byte;
  return to(State::kWord);
}

PythonLiteral::Step PythonLiteral::begin_string(char quote, bool key, std::string& json) {
  quote_ = quote;
  is_key_ = key;
  json += '"';
  return to(State::kString);
}

PythonLiteral::Step PythonLiteral::push_string(char byte, std::string& json) {
  if (byte == quote_) {
    json += '"';
    return is_key_ ? to(State::kColon) : end_value();
  }
  if (byte == '\\') return to(State::kEscape);
  if (byte == '"') json += '\\';
  json += json_string_byte(byte);
  return Step::kMore;
}

PythonLiteral::Step PythonLiteral::push_escape(char byte, std::string& json) {
  state_ = State::kString;
  switch (byte) {
    case '\n':  // a line that goes on
    case '\'':
      if (byte == '\'') json += byte;
      return Step::kMore;
    case '"':
    case '\\':
    case 'n':
    case 'r':
    case 't':
    case 'b':
    case 'f':
      json += '\\';
      json += byte;
      return Step::kMore;
    case 'a':
    case 'v':
    case '0':
      json += byte == 'a' ? "\\u0007" : byte == 'v' ? "\\u000b" : "\\u0000";
      return Step::kMore;
    case 'x':
    case 'u':
      n_hex_ = byte == 'x' ? 2 : 4;
      hex_ = 0;
      return to(State::kHex);
    default:
      // Python leaves an escape that it does not know as it is.
      json += "\\\\";
      json += json_string_byte(byte);
      return Step::kMore;
  }
}

PythonLiteral::Step PythonLiteral::push_hex(char byte, std::string& json) {
  unsigned digit = 0;
  if (byte >= '0' && byte <= '9')
    digit = static_cast<unsigned>(byte - '0');
  else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
    digit = static_cast<unsigned>((byte | 0x20) - 'a') + 10;
  else
    return Step::kBad;
  hex_ = hex_ << 4 | digit;
  if (--n_hex_ > 0) return Step::kMore;
  // Half a pair is no character, and Python's \u makes no pairs.
  if (hex_ >= 0xD800 && hex_ < 0xE000) return Step::kBad;
  json += fmt::format("\\u{:04x}", hex_);
  return to(State::kString);
}

PythonLiteral::Step PythonLiteral::push_word(char byte, std::string& json) {
  if (is_word(byte)) {
    word_ += byte;
    return word_.size() > kWordBytesMax ? Step::kBad : Step::kMore;
  }
  const std::string value = json_of(word_);
  if (value.empty()) return Step::kBad;
  json += value;
  if (end_value() == Step::kDone) return Step::kDoneBefore;
  return push(byte, json);
}

PythonLiteral::Step PythonLiteral::close(char bracket, std::string& json) {
  if (open_.empty() || (open_.back() == '[') != (bracket == ']')) return Step::kBad;
  open_.pop_back();
  json += bracket;
  return end_value();
}

PythonLiteral::Step PythonLiteral::end_value() {
  state_ = State::kCommaOrEnd;
  return open_.empty() ? Step::kDone : Step::kMore;
}

}  // namespace lantern::text
