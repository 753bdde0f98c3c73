// An answer that is told apart: the first byte chooses the syntax, the second how the rest is cut.
// What is checked besides memory: pieces give the events of the whole, calls are of tools that were
// offered, and begin and end in turn.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/message/message_parser.h"

namespace {

using namespace lantern::text;
using Kind = MessageEvent::Kind;

constexpr ReasoningTags kThink{"<think>", "</think>"};

void require(bool condition) {
  if (!condition) std::abort();
}

MessageParser::Events parsed(const MessageParserOptions& options, std::string_view text,
                             size_t step) {
  MessageParser parser(options);
  MessageParser::Events all;
  for (; !text.empty(); text.remove_prefix(std::min(step, text.size()))) {
    MessageParser::Events events;
    parser.push(text.substr(0, step), events);
    for (MessageEvent& event : events) {
      const bool piece = event.kind != Kind::kCall && event.kind != Kind::kCallEnd;
      if (piece && !all.empty() && all.back().kind == event.kind)
        all.back().text += event.text;
      else
        all.push_back(std::move(event));
    }
  }
  parser.finish(all);
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto syntaxes = all_tool_syntaxes();
  const size_t choice = data[0] % (syntaxes.size() + 1);
  const MessageParserOptions options{
      .calls = choice < syntaxes.size() ? syntaxes[choice] : nullptr,
      .tools = {"f", "weather"},
      .reasoning = (data[1] & 0x80) != 0 ? &kThink : nullptr,
      .in_reasoning = (data[1] & 0x40) != 0 && (data[1] & 0x80) != 0};
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const MessageParser::Events whole = parsed(options, text, text.size() + 1);
  require(parsed(options, text, 1 + (data[1] & 0x0F)) == whole);
  bool in_call = false;
  for (const MessageEvent& event : whole) {
    if (event.kind == Kind::kCall) require(!in_call && options.tools.contains(event.text));
    if (event.kind == Kind::kArguments || event.kind == Kind::kCallEnd) require(in_call);
    if (event.kind == Kind::kCall) in_call = true;
    if (event.kind == Kind::kCallEnd) in_call = false;
    if (event.kind == Kind::kText || event.kind == Kind::kReasoning) require(!in_call);
  }
  require(!in_call);
  return 0;
}
