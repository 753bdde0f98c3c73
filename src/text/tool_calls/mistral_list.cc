// Mistral 7B v0.3, Nemo, Small 2409: a token, then all calls as a JSON list.
//   [TOOL_CALLS][{"name": "weather", "arguments": {"city": "Rome"}}]
#include <array>

#include "text/message/json_calls.h"

namespace lantern::text {
namespace {

constexpr std::array<std::string_view, 1> kTokens = {"[TOOL_CALLS]"};

/// A list, and no single call: a name without one is mistral_args'.
class ListCalls final : public CallReader {
 public:
  Step push(char byte, CallSink& sink) override {
    const bool space = byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
    if (!begun_ && space) return Step::kMore;
    if (!begun_ && byte != '[') return Step::kNotACall;
    begun_ = true;
    return reader_->push(byte, sink);
  }

 private:
  std::unique_ptr<CallReader> reader_ = json_call_reader({});
  bool begun_ = false;
};

constexpr std::array<Opening, 1> kOpenings = {{{.text = kTokens[0]}}};

}  // namespace

extern const ToolSyntax k_mistral_list;
const ToolSyntax k_mistral_list = {
    .name = "mistral_list",
    .openings = kOpenings,
    .tokens = kTokens,
    .spelling = {.open = "[TOOL_CALLS][",
                 .before_name = "{\"name\": \"",
                 .before_arguments = "\", \"arguments\": ",
                 .after_arguments = "}",
                 .between = ", ",
                 .close = "]"},
    .id_bytes = 9,
    .reader = [](const TokenTest&) -> std::unique_ptr<CallReader> {
      return std::make_unique<ListCalls>();
    },
};

}  // namespace lantern::text
