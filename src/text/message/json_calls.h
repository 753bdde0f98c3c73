// Calls as JSON: {"name": ..., "arguments": {...}}, one or a list of them. "parameters" counts as
// "arguments"; the keys may come in any order, and "id" and "type" are passed over. An object with
// any other key is no call, so an answer that is JSON itself is told apart at its first key.
#pragma once

#include <memory>
#include <string>

#include "text/message/json_scanner.h"
#include "text/message/tool_syntax.h"

namespace lantern::text {

struct JsonCallsStyle {
  std::string close = {};  // after the last call; may be missing
  char separator = '\0';   // may stand between calls that are no list
  bool goes_on = false;    // calls that are no list may follow one another
};

std::unique_ptr<CallReader> json_call_reader(JsonCallsStyle style);

/// `byte` as it may stand in a JSON string: a control character is escaped.
std::string json_string_byte(char byte);

}  // namespace lantern::text
