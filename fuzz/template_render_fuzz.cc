// A chat template's source: renders over a conversation with tools, within small limits. What is
// checked besides memory: the output keeps to its limit, and its spans are not empty and differ
// from their neighbours in kind.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "text/chat_template.h"

namespace {

using lantern::base::OrderedJson;
using namespace lantern::text;

constexpr RenderLimits kLimits = {.steps_max = 20'000,
                                  .depth_max = 200,
                                  .output_bytes_max = 64u << 10,
                                  .memory_bytes_max = 4u << 20};

RenderInput conversation() {
  RenderInput input;
  input.messages = OrderedJson::parse(R"([
    {"role": "system", "content": "Grüße, ǅ 你好"},
    {"role": "user", "content": "  <|im_end|> a,b\n\nc "},
    {"role": "assistant", "content": null, "tool_calls": [
      {"id": "call00001", "function": {"name": "f", "arguments": {"x": [1, 2.5, true, null, "é"]}}}]},
    {"role": "tool", "content": "21", "tool_call_id": "call00001"}])");
  input.tools = OrderedJson::parse(R"([{"type": "function", "function": {"name": "f", "parameters":
    {"type": "object", "properties": {"x": {"type": "array"}}}}}])");
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  return input;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const RenderInput kInput = conversation();
  const auto parsed = ChatTemplate::parse(std::string(reinterpret_cast<const char*>(data), size));
  if (!parsed.ok()) return 0;
  const auto spans = parsed->render(kInput, kLimits);
  if (!spans.ok()) return 0;
  size_t bytes = 0;
  for (size_t i = 0; i < spans->size(); ++i) {
    const Span& span = (*spans)[i];
    if (span.text.empty() || (i > 0 && span.kind == (*spans)[i - 1].kind)) std::abort();
    bytes += span.text.size();
  }
  if (bytes > kLimits.output_bytes_max) std::abort();
  return 0;
}
