// The tokens of a template, after whitespace control.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::text::jinja {

enum class TokenType : uint8_t {
  kData,  // text outside of tags
  kBlockBegin,
  kBlockEnd,
  kVariableBegin,
  kVariableEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenType type = TokenType::kEnd;
  uint32_t line = 0;
  std::string text;  // data, a name, an operator, a string's characters
  int64_t integer = 0;
  double real = 0;

  [[nodiscard]] bool is_operator(std::string_view op) const {
    return type == TokenType::kOperator && text == op;
  }
  [[nodiscard]] bool is_name(std::string_view name) const {
    return type == TokenType::kName && text == name;
  }
};

/// The tokens of `source` (well-formed UTF-8), the last one kEnd, with trim_blocks and
/// lstrip_blocks applied. kCorrupt with the line of a character that begins no token, an
/// unbalanced bracket or a tag that does not end.
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace lantern::text::jinja
