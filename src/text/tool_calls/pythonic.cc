// Llama 3.2's and 4's second way, Gemma 3's first: the whole answer is a list of Python's calls.
//   [weather(city="Rome"), time(zone="CET")]
#include <array>

#include "text/message/python_calls.h"

namespace lantern::text {
namespace {

constexpr std::array<Opening, 1> kOpenings = {{{.text = "[", .at_start = true, .keep = true}}};

}  // namespace

extern const ToolSyntax k_pythonic;
const ToolSyntax k_pythonic = {
    .name = "pythonic",
    .openings = kOpenings,
    .tokens = {},
    .spelling = {.open = "[",
                 .before_arguments = "(",
                 .after_arguments = ")",
                 .between = ", ",
                 .close = "]"},
    .keywords = true,
    .reader = [](const TokenTest&) { return python_call_reader({.list = true}); },
};

}  // namespace lantern::text
