// Hermes 2 and 3, Qwen 2.5 and 3, Granite 4 and others: one JSON object in tags for each call.
//   <tool_call>
//   {"name": "weather", "arguments": {"city": "Rome"}}
//   </tool_call>
#include <array>

#include "text/message/json_calls.h"

namespace lantern::text {
namespace {

constexpr std::array<std::string_view, 2> kTokens = {"<tool_call>", "</tool_call>"};
constexpr std::array<Opening, 1> kOpenings = {{{.text = kTokens[0]}}};

}  // namespace

extern const ToolSyntax k_hermes;
const ToolSyntax k_hermes = {
    .name = "hermes",
    .openings = kOpenings,
    .tokens = kTokens,
    .spelling = {.open = "<tool_call>\n",
                 .before_name = "{\"name\": \"",
                 .before_arguments = "\", \"arguments\": ",
                 .after_arguments = "}",
                 .between = "\n</tool_call>\n<tool_call>\n",
                 .close = "\n</tool_call>"},
    .reader =
        [](const TokenTest& is_token) {
          return json_call_reader({.close = marked(kTokens[1], is_token), .goes_on = true});
        },
};

}  // namespace lantern::text
