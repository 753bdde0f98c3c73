// Llama 3.1 to 3.3: the whole answer is a JSON object, or several with ";" between them. Calls of
// the model's own tools follow a token, as name.call(...); other calls may follow it, too.
//   {"name": "weather", "parameters": {"city": "Rome"}}
//   <|python_tag|>brave_search.call(query="weather in Rome")
#include <array>

#include "text/message/json_calls.h"
#include "text/message/python_calls.h"

namespace lantern::text {
namespace {

constexpr std::array<std::string_view, 1> kTokens = {"<|python_tag|>"};
constexpr std::array<Opening, 2> kOpenings = {
    {{.text = kTokens[0]}, {.text = "{", .at_start = true, .keep = true}}};

/// JSON or Python, as the first byte says.
class LlamaCalls final : public CallReader {
 public:
  Step push(char byte, CallSink& sink) override {
    if (reader_) return reader_->push(byte, sink);
    if (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r') return Step::kMore;
    reader_ = byte == '{' ? json_call_reader({.separator = ';', .goes_on = true})
                          : python_call_reader({});
    return reader_->push(byte, sink);
  }

 private:
  std::unique_ptr<CallReader> reader_;
};

}  // namespace

extern const ToolSyntax k_llama;
const ToolSyntax k_llama = {
    .name = "llama",
    .openings = kOpenings,
    .tokens = kTokens,
    .spelling = {.open = "",
                 .before_name = "{\"name\": \"",
                 .before_arguments = "\", \"parameters\": ",
                 .after_arguments = "}",
                 .between = "; ",
                 .close = ""},
    .reader = [](const TokenTest&) -> std::unique_ptr<CallReader> {
      return std::make_unique<LlamaCalls>();
    },
};

}  // namespace lantern::text
