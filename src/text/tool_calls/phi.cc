// Phi-4-mini: a JSON list of all calls between two tokens.
//   <|tool_call|>[{"name": "weather", "arguments": {"city": "Rome"}}]<|/tool_call|>
#include <array>

#include "text/message/json_calls.h"

namespace lantern::text {
namespace {

constexpr std::array<std::string_view, 2> kTokens = {"<|tool_call|>", "<|/tool_call|>"};
constexpr std::array<Opening, 1> kOpenings = {{{.text = kTokens[0]}}};

}  // namespace

extern const ToolSyntax k_phi;
const ToolSyntax k_phi = {
    .name = "phi",
    .openings = kOpenings,
    .tokens = kTokens,
    .spelling = {.open = "<|tool_call|>[",
                 .before_name = "{\"name\": \"",
                 .before_arguments = "\", \"arguments\": ",
                 .after_arguments = "}",
                 .between = ", ",
                 .close = "]<|/tool_call|>"},
    .told_by_tokens = true,
    .reader =
        [](const TokenTest& is_token) {
          return json_call_reader({.close = marked(kTokens[1], is_token)});
        },
};

}  // namespace lantern::text
