// A literal of Python, byte by byte, as the JSON of the same value.
#pragma once

#include <string>
#include <vector>

#include "text/message/json_scanner.h"

namespace lantern::text {

/// Strings, numbers, True, False, None (JSON's spelling, too), lists, and dicts with strings as
/// keys. No tuples, no sets, no prefixes, no arithmetic.
class PythonLiteral {
 public:
  using Step = JsonScanner::Step;

  /// White space before the value is passed over. Adds the JSON that `byte` completes to `json`.
  Step push(char byte, std::string& json);

 private:
  enum class State {
    kValue,
    kValueOrEnd,
    kKey,
    kKeyOrEnd,
    kColon,
    kCommaOrEnd,
    kString,
    kEscape,
    kHex,
    kWord,
  };
  Step begin_value(char byte, std::string& json);
  Step begin_string(char quote, bool key, std::string& json);
  Step push_string(char byte, std::string& json);
  Step push_escape(char byte, std::string& json);
  Step push_hex(char byte, std::string& json);
  Step push_word(char byte, std::string& json);
  Step push_structure(char byte, std::string& json);
  Step close(char bracket, std::string& json);
  Step end_value();
  Step to(State state) {
    state_ = state;
    return Step::kMore;
  }

  State state_ = State::kValue;
  std::vector<char> open_;  // brackets, innermost last; at most JsonScanner::kDepthMax
  char quote_ = '"';
  bool is_key_ = false;
  std::string word_;  // a number or a name
  size_t n_hex_ = 0;  // digits that are still to come
  unsigned hex_ = 0;
};

}  // namespace lantern::text
