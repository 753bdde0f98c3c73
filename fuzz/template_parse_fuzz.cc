// A chat template's source: parses. What is checked besides memory: a template that parses says so
// again, and an error has a message of one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "text/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string source(reinterpret_cast<const char*>(data), size);
  const auto parsed = lantern::text::ChatTemplate::parse(source);
  if (parsed.ok() && parsed->source() != source) std::abort();
  if (!parsed.ok() && parsed.error().message.empty()) std::abort();
  return 0;
}
