// Calls as Python writes them, weather(city="Rome", days=3): keyword arguments with literals, which
// become JSON. True, False and None may be spelled as in JSON.
#pragma once

#include <memory>
#include <string>

#include "text/message/tool_syntax.h"

namespace lantern::text {

struct PythonCallsStyle {
  bool list = false;       // [a(), b()]; else one after another, on lines or after ";"
  std::string close = {};  // after the last call; may be missing
};

std::unique_ptr<CallReader> python_call_reader(PythonCallsStyle style);

}  // namespace lantern::text
