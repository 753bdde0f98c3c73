// What a chat template renders to: pieces that remember where they came from.
#pragma once

#include <string>

namespace lantern::text {

/// `kLiteral`: the template's own text, in which special tokens such as <|im_start|> count.
/// `kContent`: what came from a message or a tool; there the same characters stay text.
enum class SpanKind { kLiteral, kContent };

struct Span {
  std::string text;  // UTF-8
  SpanKind kind = SpanKind::kContent;
};

}  // namespace lantern::text
