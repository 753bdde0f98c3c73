// Gemma 3: Python's calls in a block of code, one a line.
//   ```tool_code
//   weather(city="Rome")
//   ```
#include <array>

#include "text/message/python_calls.h"

namespace lantern::text {
namespace {

constexpr std::array<Opening, 1> kOpenings = {{{.text = "```tool_code\n"}}};

}  // namespace

extern const ToolSyntax k_gemma_tool_code;
const ToolSyntax k_gemma_tool_code = {
    .name = "gemma_tool_code",
    .openings = kOpenings,
    .tokens = {},
    .spelling = {.open = "```tool_code\n",
                 .before_arguments = "(",
                 .after_arguments = ")",
                 .between = "\n",
                 .close = "\n```"},
    .keywords = true,
    .reader = [](const TokenTest&) { return python_call_reader({.close = "```"}); },
};

}  // namespace lantern::text
