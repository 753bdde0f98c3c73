// Mistral Small 3.2, Devstral, Magistral, Ministral 3: each call after a token, its name up to
// another one; an id may stand between them.
//   [TOOL_CALLS]weather[ARGS]{"city": "Rome"}[TOOL_CALLS]time[CALL_ID]a1b2c3d4e[ARGS]{}
#include <array>

#include "text/message/json_calls.h"

namespace lantern::text {
namespace {

constexpr std::array<std::string_view, 3> kTokens = {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"};
constexpr size_t kHeadBytesMax = 512;  // name, id and the tokens around them

class ArgsCalls final : public CallReader {
 public:
  explicit ArgsCalls(const TokenTest& is_token)
      : args_(marked(kTokens[1], is_token)), call_id_(marked(kTokens[2], is_token)) {}

  Step push(char byte, CallSink& sink) override {
    if (in_arguments_) return push_arguments(byte, sink);
    head_ += byte;
    if (head_.size() > kHeadBytesMax) return Step::kNotACall;
    if (!head_.ends_with(args_)) return Step::kMore;
    std::string_view name(head_.data(), head_.size() - args_.size());
    name = name.substr(0, name.find(call_id_));
    while (!name.empty() && (name.front() == ' ' || name.front() == '\n')) name.remove_prefix(1);
    if (!sink.knows(name)) return Step::kNotACall;
    in_arguments_ = true;
    sink.begin(name);
    return Step::kMore;
  }

 private:
  Step push_arguments(char byte, CallSink& sink) {
    if (!opened_ && (byte == ' ' || byte == '\n')) return Step::kMore;
    if (!opened_ && byte != '{') return Step::kNotACall;
    opened_ = true;
    if (scanner_.in_string() && static_cast<unsigned char>(byte) < 0x20) {
      sink.arguments(json_string_byte(byte));
      return Step::kMore;
    }
    const JsonScanner::Step step = scanner_.push(byte);
    if (step == JsonScanner::Step::kBad) return Step::kNotACall;
    sink.arguments({&byte, 1});
    if (step != JsonScanner::Step::kDone) return Step::kMore;
    sink.end();
    return Step::kDone;
  }

  const std::string args_, call_id_;
  std::string head_;  // before the arguments
  bool in_arguments_ = false;
  bool opened_ = false;
  JsonScanner scanner_;
};

constexpr std::array<Opening, 1> kOpenings = {{{.text = kTokens[0]}}};

}  // namespace

extern const ToolSyntax k_mistral_args;
const ToolSyntax k_mistral_args = {
    .name = "mistral_args",
    .openings = kOpenings,
    .tokens = kTokens,
    .spelling = {.open = "[TOOL_CALLS]",
                 .before_name = "",
                 .before_arguments = "[ARGS]",
                 .after_arguments = "",
                 .between = "[TOOL_CALLS]",
                 .close = ""},
    .id_bytes = 9,
    .reader = [](const TokenTest& is_token) -> std::unique_ptr<CallReader> {
      return std::make_unique<ArgsCalls>(is_token);
    },
};

}  // namespace lantern::text
