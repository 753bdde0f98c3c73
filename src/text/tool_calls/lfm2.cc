// LFM2: a list of Python's calls between two tokens.
//   <|tool_call_start|>[weather(city="Rome")]<|tool_call_end|>
#include <array>

#include "text/message/python_calls.h"

namespace lantern::text {
namespace {

constexpr std::array<std::string_view, 2> kTokens = {"<|tool_call_start|>", "<|tool_call_end|>"};
constexpr std::array<Opening, 1> kOpenings = {{{.text = kTokens[0]}}};

}  // namespace

extern const ToolSyntax k_lfm2;
const ToolSyntax k_lfm2 = {
    .name = "lfm2",
    .openings = kOpenings,
    .tokens = kTokens,
    .spelling = {.open = "<|tool_call_start|>[",
                 .before_arguments = "(",
                 .after_arguments = ")",
                 .between = ", ",
                 .close = "]<|tool_call_end|>"},
    .keywords = true,
    .reader =
        [](const TokenTest& is_token) {
          return python_call_reader({.list = true, .close = marked(kTokens[1], is_token)});
        },
};

}  // namespace lantern::text
