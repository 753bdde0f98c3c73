// A tokenizer.json, a zero byte, and a text: parses, creates, encodes as a user's and as a
// template's text, and decodes. What is checked besides memory: ids lie in the vocabulary, decoded
// text is valid UTF-8 and the same in one piece as in a stream, and a user's text yields no
// special token.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace {

using namespace lantern::text;

void require(bool condition) {
  if (!condition) std::abort();
}

void round_trip(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options) {
  const std::vector<TokenId> ids = tokenizer.encode(text, options);
  StreamDecoder decoder(tokenizer);
  std::string streamed;
  for (TokenId id : ids) {
    require(id >= 0 && id < tokenizer.size());
    require(options.special || !tokenizer.is_special(id) || id == tokenizer.unk());
    streamed += decoder.push(id);
    require(is_valid_utf8(streamed));
  }
  streamed += decoder.flush();
  require(streamed == tokenizer.decode(ids));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t zero = all.find('\0');
  const std::string_view json = all.substr(0, zero);
  const std::string_view text =
      zero == std::string_view::npos ? "Hello <s> world 123" : all.substr(zero + 1);
  auto spec = parse_tokenizer_json(json, "tokenizer.json");
  if (!spec.ok()) return 0;
  auto tokenizer = Tokenizer::create(std::move(spec).value());
  if (!tokenizer.ok()) return 0;
  round_trip(*tokenizer, text, {});
  round_trip(*tokenizer, text, {.special = true, .add_bos = true, .add_eos = true});
  const std::vector<Span> spans = {
      {std::string(text.substr(0, text.size() / 2)), SpanKind::kLiteral},
      {std::string(text.substr(text.size() / 2)), SpanKind::kContent}};
  for (TokenId id : tokenizer->encode(spans)) require(id >= 0 && id < tokenizer->size());
  return 0;
}
