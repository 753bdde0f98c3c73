// The rules of whitespace, as Jinja has them with trim_blocks and lstrip_blocks:
//   {%-  removes all whitespace before the tag
//   {%+  keeps what lstrip_blocks would remove: blanks between a line's begin and the tag
//   -%}  removes all whitespace after the tag
//   +%}  keeps what trim_blocks would remove: one newline right after the tag
// lstrip_blocks and trim_blocks do not touch {{ }}; comments count as blocks. One newline at
// the template's end is dropped.
#include <algorithm>
#include <charconv>
#include <optional>

#include "text/jinja/text.h"
#include "text/jinja/token.h"

namespace lantern::text::jinja {
namespace {

std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
      continue;
    }
    out += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  Result<std::vector<Token>> run() {
    while (pos_ < source_.size()) LANTERN_TRY(root());
    push(TokenType::kEnd, "");
    return std::move(tokens_);
  }

 private:
  template <typename... Args>
  Error fail(fmt::format_string<Args...> format, Args&&... args) const {
    return make_error(ErrorCode::kCorrupt, "line {}: {}", line_,
                      fmt::format(format, std::forward<Args>(args)...));
  }

  void push(TokenType type, std::string_view text) {
    Token token;
    token.type = type;
    token.line = line_;
    token.text = text;
    tokens_.push_back(std::move(token));
  }

  bool at(std::string_view what) const {
    return std::string_view(source_).substr(pos_).starts_with(what);
  }

  /// Moves to `end`, counting lines.
  void advance_to(size_t end) {
    for (; pos_ < end; ++pos_)
      if (source_[pos_] == '\n') ++line_;
    line_starting_ = end > 0 && source_[end - 1] == '\n';
  }

  size_t skip_space(size_t from) const {
    return from + leading_space_bytes(std::string_view(source_).substr(from));
  }

  /// Up to and with the next tag.
  Status root() {
    size_t begin = pos_;
    size_t tag = source_.find('{', pos_);
    while (tag != std::string::npos &&
           (tag + 1 >= source_.size() ||
            (source_[tag + 1] != '%' && source_[tag + 1] != '{' && source_[tag + 1] != '#')))
      tag = source_.find('{', tag + 1);
    if (tag == std::string::npos) {
      push(TokenType::kData, std::string_view(source_).substr(begin));
      advance_to(source_.size());
      return {};
    }
    const char type = source_[tag + 1];
    const size_t after = tag + 2;
    char sign = 0;
    if (after < source_.size() && (source_[after] == '-' || source_[after] == '+'))
      sign = source_[after];
    push_data(begin, tag, sign, type != '{');
    advance_to(after + (sign != 0 ? 1 : 0));
    if (type == '#') return comment();
    if (type == '{') {
      push(TokenType::kVariableBegin, "");
      return tag_tokens(false);
    }
    if (auto raw = raw_begin()) return raw_block(*raw);
    push(TokenType::kBlockBegin, "");
    return tag_tokens(true);
  }

  /// Data before a tag, its whitespace treated as the tag's sign and lstrip_blocks say.
  void push_data(size_t begin, size_t end, char sign, bool lstrip) {
    std::string_view text = std::string_view(source_).substr(begin, end - begin);
    if (sign == '-') {
      text.remove_suffix(trailing_space_bytes(text));
    } else if (sign != '+' && lstrip) {
      const size_t line_begin = text.rfind('\n') + 1;  // 0 where there is none
      if ((line_begin > 0 || line_starting_) &&
          line_begin + leading_space_bytes(text.substr(line_begin)) == text.size())
        text = text.substr(0, line_begin);
    }
    if (!text.empty()) push(TokenType::kData, text);
  }

  /// After the closing of a tag whose sign, if any, stood before `close`.
  void close_tag(size_t close, char sign, bool trim_newline) {
    size_t end = close + 2;
    if (sign == '-')
      end = skip_space(end);
    else if (sign == 0 && trim_newline && end < source_.size() && source_[end] == '\n')
      ++end;
    advance_to(end);
  }

  Status comment() {
    if (pos_ >= source_.size()) return {};  // Jinja lets a comment that begins at the end pass
    const size_t close = source_.find("#}", pos_);
    if (close == std::string::npos) return fail("a comment is not closed with #}}");
    char sign = 0;
    if (close > pos_ && (source_[close - 1] == '-' || source_[close - 1] == '+'))
      sign = source_[close - 1];
    close_tag(close, sign, true);
    return {};
  }

  /// Where the text of a raw block begins, if this block tag opens one.
  std::optional<size_t> raw_begin() const {
    size_t p = skip_space(pos_);
    if (source_.compare(p, 3, "raw") != 0) return std::nullopt;
    p = skip_space(p + 3);
    if (source_.compare(p, 3, "-%}") == 0) return skip_space(p + 3);
    if (source_.compare(p, 2, "%}") == 0) return p + 2;
    return std::nullopt;
  }

  Status raw_block(size_t begin) {
    advance_to(begin);
    if (begin >= source_.size()) return {};  // as a comment there
    for (size_t tag = source_.find("{%", begin); tag != std::string::npos;
         tag = source_.find("{%", tag + 1)) {
      size_t p = tag + 2;
      char sign = 0;
      if (p < source_.size() && (source_[p] == '-' || source_[p] == '+')) sign = source_[p++];
      p = skip_space(p);
      if (source_.compare(p, 6, "endraw") != 0) continue;
      p = skip_space(p + 6);
      char end_sign = 0;
      if (p < source_.size() && (source_[p] == '-' || source_[p] == '+')) end_sign = source_[p++];
      if (source_.compare(p, 2, "%}") != 0) continue;
      push_data(begin, tag, sign, true);
      close_tag(p, end_sign, true);
      return {};
    }
    return fail("a raw block is not closed with endraw");
  }

  Status tag_tokens(bool block) {
    brackets_.clear();
    const std::string_view close = block ? "%}" : "}}";
    while (true) {
      if (pos_ >= source_.size())
        return fail("the template ends inside a tag; {} is missing", close);
      if (brackets_.empty()) {
        const char c = source_[pos_];
        const bool sign = c == '-' || (c == '+' && block);
        if (at(close) || (sign && source_.compare(pos_ + 1, 2, close) == 0)) {
          push(block ? TokenType::kBlockEnd : TokenType::kVariableEnd, close);
          close_tag(pos_ + (sign ? 1 : 0), sign ? c : '\0', block);
          return {};
        }
      }
      LANTERN_TRY(expression_token());
    }
  }

  Status expression_token() {
    const size_t space = skip_space(pos_);
    if (space != pos_) {
      advance_to(space);
      return {};
    }
    const char c = source_[pos_];
    if (is_ascii_digit(c)) return number();
    if (c == '\'' || c == '"') return string_literal(c);
    size_t end = pos_;
    for (size_t size = 0; end < source_.size(); end += size) {
      const uint32_t code_point = decode_code_point(source_, end, size);
      if (code_point != '_' && !is_alnum(code_point)) break;
    }
    if (end > pos_) {
      push(TokenType::kName, std::string_view(source_).substr(pos_, end - pos_));
      advance_to(end);
      return {};
    }
    return operator_token();
  }

  Status operator_token() {
    for (std::string_view op : {"//", "**", "==", "!=", ">=", "<="}) {
      if (!at(op)) continue;
      push(TokenType::kOperator, op);
      pos_ += 2;
      return {};
    }
    const char c = source_[pos_];
    if (std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
      size_t size = 0;
      decode_code_point(source_, pos_, size);
      return fail("unexpected character '{}' in a tag", source_.substr(pos_, size));
    }
    if (c == '(' || c == '[' || c == '{')
      brackets_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    if (c == ')' || c == ']' || c == '}') {
      if (brackets_.empty()) return fail("unexpected '{}'", c);
      if (brackets_.back() != c) return fail("unexpected '{}', expected '{}'", c, brackets_.back());
      brackets_.pop_back();
    }
    push(TokenType::kOperator, std::string_view(&c, 1));
    ++pos_;
    line_starting_ = false;
    return {};
  }

  /// Digits with single underscores between them, from `p`; `p` itself where there are none.
  template <typename IsDigit>
  size_t digits(size_t p, IsDigit is_one) const {
    while (p < source_.size()) {
      if (is_one(source_[p]))
        ++p;
      else if (source_[p] == '_' && p + 1 < source_.size() && is_one(source_[p + 1]))
        p += 2;
      else
        break;
    }
    return p;
  }

  static std::string without_underscores(std::string_view text) {
    std::string out;
    for (char c : text)
      if (c != '_') out += c;
    return out;
  }

  Status number() {
    const char marker =
        pos_ + 1 < source_.size() ? static_cast<char>(source_[pos_ + 1] | 0x20) : '\0';
    if (source_[pos_] == '0' && (marker == 'x' || marker == 'o' || marker == 'b')) {
      const int base = marker == 'x' ? 16 : marker == 'o' ? 8 : 2;
      auto is_one = [&](char c) {
        const int v = is_ascii_digit(c)                        ? c - '0'
                      : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
                                                               : 99;
        return v < base;
      };
      const size_t end = digits(pos_ + 2, is_one);
      if (end > pos_ + 2) return integer(pos_ + 2, end, base);
    }
    size_t end = digits(pos_, is_ascii_digit);
    const bool after_dot = pos_ > 0 && source_[pos_ - 1] == '.';
    if (!after_dot) {
      size_t p = end;
      bool real = false;
      if (p + 1 < source_.size() && source_[p] == '.' && is_ascii_digit(source_[p + 1])) {
        p = digits(p + 1, is_ascii_digit);
        real = true;
      }
      if (p < source_.size() && (source_[p] | 0x20) == 'e') {
        size_t q = p + 1;
        if (q < source_.size() && (source_[q] == '+' || source_[q] == '-')) ++q;
        if (q < source_.size() && is_ascii_digit(source_[q])) {
          p = digits(q, is_ascii_digit);
          real = true;
        }
      }
      if (real) return float_literal(p);
    }
    // A decimal integer does not begin with 0, other than zero itself.
    if (source_[pos_] == '0') end = digits(pos_, [](char c) { return c == '0'; });
    return integer(pos_, end, 10);
  }

  Status integer(size_t begin, size_t end, int base) {
    const std::string text =
        without_underscores(std::string_view(source_).substr(begin, end - begin));
    push(TokenType::kInteger, text);
    auto [ptr, problem] =
        std::from_chars(text.data(), text.data() + text.size(), tokens_.back().integer, base);
    if (problem != std::errc())
      return fail("the integer {} does not fit 64 bits", text.substr(0, 40));
    advance_to(end);
    return {};
  }

  Status float_literal(size_t end) {
    const std::string text =
        without_underscores(std::string_view(source_).substr(pos_, end - pos_));
    push(TokenType::kFloat, text);
    std::from_chars(text.data(), text.data() + text.size(), tokens_.back().real);
    advance_to(end);
    return {};
  }

  Status string_literal(char quote) {
    std::string value;
    size_t p = pos_ + 1;
    while (p < source_.size() && source_[p] != quote) {
      if (source_[p] != '\\') {
        value += source_[p++];
        continue;
      }
      if (p + 1 >= source_.size()) break;
      LANTERN_TRY(escape(p, value));
    }
    if (p >= source_.size()) return fail("a string is not closed with {}", quote);
    push(TokenType::kString, value);
    advance_to(p + 1);
    return {};
  }

  /// The escape at `p` (Python's string escapes), `p` moved behind it.
  Status escape(size_t& p, std::string& value) {
    static constexpr std::string_view kLetters = "\\'\"abfnrtv";
    static constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
    const char c = source_[p + 1];
    if (size_t simple = kLetters.find(c); simple != std::string_view::npos) {
      value += kMeanings[simple];
      p += 2;
    } else if (c == '\n') {
      p += 2;
    } else if (c >= '0' && c <= '7') {
      uint32_t code_point = 0;
      size_t q = p + 1;
      for (; q < source_.size() && q < p + 4 && source_[q] >= '0' && source_[q] <= '7'; ++q)
        code_point = code_point * 8 + static_cast<uint32_t>(source_[q] - '0');
      append_code_point(value, code_point);
      p = q;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const size_t n_digits = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      uint32_t code_point = 0;
      const char* begin = source_.data() + p + 2;
      const char* end = begin + std::min(n_digits, source_.size() - p - 2);
      auto [ptr, problem] = std::from_chars(begin, end, code_point, 16);
      if (problem != std::errc() || ptr != begin + n_digits || code_point > 0x10FFFF ||
          (code_point >= 0xD800 && code_point <= 0xDFFF))
        return fail("'\\{}' is not followed by the {} hexadecimal digits of a character", c,
                    n_digits);
      append_code_point(value, code_point);
      p += 2 + n_digits;
    } else if (c == 'N') {
      return fail("characters by name (\\N) are not supported");
    } else {
      value += '\\';
      ++p;
    }
    return {};
  }

  const std::string source_;
  size_t pos_ = 0;
  uint32_t line_ = 1;
  bool line_starting_ = true;  // what was read last ended with a newline
  std::string brackets_;       // closing brackets awaited
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace lantern::text::jinja
