// The first byte says what the rest is: a JSON schema, GBNF or a regular expression. What compiles
// is walked: masks, tokens and rollbacks, which must agree with one another.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "text/grammar.h"

namespace {

using lantern::text::Grammar;
using lantern::text::GrammarMatcher;
using lantern::text::GrammarVocabulary;
using lantern::text::TokenId;

std::shared_ptr<const GrammarVocabulary> vocabulary() {
  static const auto kVocabulary = [] {
    std::vector<std::string> tokens;
    for (int b = 0; b < 256; ++b) tokens.emplace_back(1, static_cast<char>(b));
    for (const char* text : {"{\"", "\":", "},", "ab", "12", "true", " the", "é", "\xFF<s>"})
      tokens.emplace_back(text);
    tokens.emplace_back("</s>");
    const std::vector<TokenId> end = {static_cast<TokenId>(tokens.size() - 1)};
    return GrammarVocabulary::create(tokens, end);
  }();
  return kVocabulary;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 4096) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto grammar = data[0] % 3 == 0   ? Grammar::from_json_schema(text)
                       : data[0] % 3 == 1 ? Grammar::from_gbnf(text)
                                          : Grammar::from_regex(text);
  if (!grammar.ok()) return 0;
  GrammarMatcher matcher(*grammar, vocabulary());
  uint32_t random = static_cast<uint32_t>(size) * 2654435761u;
  for (int step = 0; step < 24 && !matcher.ended(); ++step) {
    const auto mask = matcher.mask();
    if (!mask.ok()) break;
    std::vector<TokenId> allowed;
    for (size_t i = 0; i < vocabulary()->size(); ++i)
      if ((*mask)->allows(static_cast<TokenId>(i))) allowed.push_back(static_cast<TokenId>(i));
    random = random * 1664525u + 1013904223u;
    const TokenId id = allowed[(random >> 8) % allowed.size()];
    LANTERN_CHECK(matcher.accept(id).ok());
    if (random % 7 == 0) {
      LANTERN_CHECK(matcher.rollback(1).ok());
      LANTERN_CHECK(matcher.accept(id).ok());
    }
  }
  return 0;
}
