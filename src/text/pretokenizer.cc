#include "text/pretokenizer.h"

#include <array>
#include <cstdint>
#include <cstring>

#include "text/unicode.h"

namespace lantern::text {
namespace {

// The patterns as tokenizer.json spells them.
//
// gpt-2 (pre_tokenizers.ByteLevel with use_regex), in order of preference:
//   's|'t|'re|'ve|'m|'ll|'d    contractions, lower case only
//   | ?\p{L}+ | ?\p{N}+ | ?[^\s\p{L}\p{N}]+
//   |\s+(?!\S)                 white space but its last character, or all of it at the end
//   |\s+
// smollm, starcoder, refact: every \p{N} is cut out alone first (pre_tokenizers.Digits), then
// gpt-2 between them, for which a digit is the end of the text.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Classes of the last two patterns. A letter that is in both, or a mark, is "caseless".
constexpr ClassSet kCaseless =
    class_bit(CharClass::kLm) | class_bit(CharClass::kLo) | class_bit(CharClass::kM);
constexpr ClassSet kUpper = kCaseless | class_bit(CharClass::kLu) | class_bit(CharClass::kLt);
constexpr ClassSet kLower = kCaseless | class_bit(CharClass::kLl);
constexpr ClassSet kPunctuation = class_bit(CharClass::kOther) | class_bit(CharClass::kM);

constexpr std::array<CharClass, 128> make_ascii_classes() {
  std::array<CharClass, 128> classes{};
  for (size_t c = 'A'; c <= 'Z'; ++c) classes[c] = CharClass::kLu;
  for (size_t c = 'a'; c <= 'z'; ++c) classes[c] = CharClass::kLl;
  for (size_t c = '0'; c <= '9'; ++c) classes[c] = CharClass::kN;
  for (const char c : {' ', '\t', '\n', '\v', '\f', '\r'}) {
    classes[static_cast<unsigned char>(c)] = CharClass::kSpace;
  }
  return classes;
}
constexpr std::array<CharClass, 128> kAsciiClasses = make_ascii_classes();

struct Step {
  ClassSet set = 0;  // the character's class; 0 at the end of the text
  const char* next = nullptr;
};

Step step_beyond_ascii(const char* p, const char* end) {
  const Decoded d = decode_utf8({p, static_cast<size_t>(end - p)});
  const CharClass c =
      d.state == Decoded::State::kValid ? char_class(d.code_point) : CharClass::kOther;
  return {class_bit(c), p + d.length};
}

inline Step step(const char* p, const char* end) {
  if (p == end) return {0, p};
  const auto byte = static_cast<uint8_t>(*p);
  if (byte < 0x80) return {class_bit(kAsciiClasses[byte]), p + 1};
  return step_beyond_ascii(p, end);
}

/// The end of the run of characters of `set` that begins at p; p itself if there is none.
inline const char* run(const char* p, const char* end, ClassSet set) {
  for (;;) {
    const Step s = step(p, end);
    if ((s.set & set) == 0) return p;
    p = s.next;
  }
}

inline bool is_newline(char c) { return c == '\r' || c == '\n'; }

/// 's 't 're 've 'm 'll 'd at p, or p. Without regard to case, 's has a third form: U+017F, the
/// long s, folds to s.
template <bool kAnyCase>
const char* contraction(const char* p, const char* end) {
  if (end - p < 2 || *p != '\'') return p;
  const auto lower = [](char c) {
    return kAnyCase && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  };
  const char first = lower(p[1]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
  if (end - p < 3) return p;
  const char second = lower(p[2]);
  if ((first == 'r' || first == 'v') && second == 'e') return p + 3;
  if (first == 'l' && second == 'l') return p + 3;
  if (kAnyCase && std::memcmp(p + 1, "\xC5\xBF", 2) == 0) return p + 3;
  return p;
}

/// \s+(?!\S)|\s+ at p, where white space stands: all of it before the end of the text, else all
/// but its last character, which goes to the next word, unless it is the only one.
/// `stop` are classes that end the text.
const char* white_space(const char* p, const char* end, ClassSet stop) {
  const char* begin = p;
  const char* last = p;  // the run's last character so far
  Step s = step(p, end);
  while ((s.set & kSpaces) != 0) {
    last = p;
    p = s.next;
    s = step(p, end);
  }
  const bool at_end = s.set == 0 || (s.set & stop) != 0;
  return at_end || last == begin ? p : last;
}

template <bool kDigitsApart>
const char* gpt2_word(const char* p, const char* end) {
  if (const char* e = contraction<false>(p, end); e != p) return e;
  const Step first = step(p, end);
  if (kDigitsApart && (first.set & kNumber) != 0) return first.next;
  const Step body = *p == ' ' ? step(first.next, end) : first;
  if ((body.set & kLetter) != 0) return run(body.next, end, kLetter);
  if ((body.set & kNumber) != 0 && !kDigitsApart) return run(body.next, end, kNumber);
  if ((body.set & kPunctuation) != 0) return run(body.next, end, kPunctuation);
  return white_space(p, end, kDigitsApart ? kNumber : ClassSet{0});
}

/// \p{N}{1,kDigits} after the first
template <int kDigits>
const char* digits(const char* p, const char* end) {
  for (int i = 1; i < kDigits; ++i) {
    const Step s = step(p, end);
    if ((s.set & kNumber) == 0) break;
    p = s.next;
  }
  return p;
}

/// What the newer patterns share after their words and numbers:
///   | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+     with kSlash [\r\n/]*
template <bool kSlash>
const char* punctuation_or_space(const char* p, const char* end, Step first) {
  const Step body = *p == ' ' ? step(first.next, end) : first;
  if ((body.set & kPunctuation) != 0) {
    const char* e = run(body.next, end, kPunctuation);
    while (e != end && (is_newline(*e) || (kSlash && *e == '/'))) ++e;
    return e;
  }
  const char* spaces = run(p, end, kSpaces);
  for (const char* e = spaces; e != p; --e)
    if (is_newline(e[-1])) return e;
  return white_space(p, end, 0);
}

template <int kDigits>
const char* cl100k_word(const char* p, const char* end) {
  if (const char* e = contraction<true>(p, end); e != p) return e;
  const Step first = step(p, end);
  if ((first.set & kLetter) != 0) return run(first.next, end, kLetter);
  if ((first.set & kNumber) != 0) return digits<kDigits>(first.next, end);
  if (!is_newline(*p)) {
    const Step second = step(first.next, end);
    if ((second.set & kLetter) != 0) return run(second.next, end, kLetter);
  }
  return punctuation_or_space<false>(p, end, first);
}

/// [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ at p, or p. Where no lower-case
/// letter follows the first run, the expression gives characters back to the last caseless one.
const char* mixed_case(const char* p, const char* end) {
  const char* after_caseless = p;
  const char* q = p;
  for (;;) {
    const Step s = step(q, end);
    if ((s.set & kUpper) == 0) break;
    q = s.next;
    if ((s.set & kCaseless) != 0) after_caseless = q;
  }
  const char* e = run(q, end, kLower);
  return e != q ? e : after_caseless;
}

template <int kDigits, bool kContractions>
const char* o200k_word(const char* p, const char* end) {
  const auto finish = [&](const char* e) { return kContractions ? contraction<true>(e, end) : e; };
  const Step first = step(p, end);
  const bool prefix = (first.set & (kLetter | kNumber)) == 0 && !is_newline(*p);
  const char* body = prefix ? first.next : p;
  if (const char* e = mixed_case(body, end); e != body) return finish(e);
  // A mark may be the optional prefix or the word itself.
  if (prefix && (first.set & class_bit(CharClass::kM)) != 0) return finish(first.next);
  if (const char* e = run(body, end, kUpper); e != body) return finish(e);
  if ((first.set & kNumber) != 0) return digits<kDigits>(first.next, end);
  return punctuation_or_space<true>(p, end, first);
}

constexpr PreTokenizer kAll[] = {
    {"gpt-2", gpt2_word<false>, false, false, false},
    {"smollm", gpt2_word<true>, false, false, false},
    {"starcoder", gpt2_word<true>, false, false, false},
    {"refact", gpt2_word<true>, false, false, false},
    {"llama-bpe", cl100k_word<3>, false, true, true},
    {"llama3", cl100k_word<3>, false, true, true},
    {"llama-v3", cl100k_word<3>, false, true, true},
    {"dbrx", cl100k_word<3>, false, false, false},
    {"smaug-bpe", cl100k_word<3>, false, false, false},
    {"qwen2", cl100k_word<1>, true, false, false},
    {"tekken", o200k_word<1, false>, false, true, true},
    {"gpt-4o", o200k_word<3, true>, false, false, false},
    {"llama4", o200k_word<3, true>, false, false, false},
};

}  // namespace

Result<PreTokenizer> find_pre_tokenizer(std::string_view gguf_name) {
  for (const PreTokenizer& p : kAll)
    if (p.name == gguf_name) return p;
  std::string names;
  for (const PreTokenizer& p : kAll) names.append(names.empty() ? "" : ", ").append(p.name);
  if (gguf_name.empty())
    return make_error(ErrorCode::kUnsupported,
                      "tokenizer.ggml.pre: missing, so how words are cut is not known; convert the "
                      "model again with a current converter");
  return make_error(ErrorCode::kUnsupported,
                    "tokenizer.ggml.pre: pre-tokenizer \"{}\" is not supported; these are: {}",
                    gguf_name, names);
}

std::optional<std::string_view> pre_tokenizer_of_pattern(std::string_view pattern) {
  if (pattern == kGpt2) return "gpt-2";
  // A dbrx file has the same pattern; what else tells the two apart is in tokenizer.json itself.
  if (pattern == kLlama3) return "llama-bpe";
  if (pattern == kQwen2) return "qwen2";
  if (pattern == kTekken) return "tekken";
  if (pattern == kGpt4o) return "gpt-4o";
  return std::nullopt;
}

}  // namespace lantern::text
