#include "text/grammar/gbnf.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/printable.h"
#include "text/grammar/char_dfa.h"
#include "text/unicode.h"

namespace lantern::text::grammar {
namespace {

constexpr int kRuleDepthMax = 100;
constexpr size_t kRulesMax = 20'000;

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class Gbnf {
 public:
  explicit Gbnf(std::string_view text) : all_(text), text_(text) {}

  Result<Network> compile() {
    if (!is_valid_utf8(all_)) return fault("it is no UTF-8");
    skip_space();
    while (!text_.empty()) LANTERN_TRY(parse_rule());
    const auto root = rules_.find("root");
    if (root == rules_.end())
      return make_error(ErrorCode::kInvalidArgument, "grammar: there is no rule \"root\"");
    for (const auto& [name, rule] : rules_)
      if (!rule.defined)
        return make_error(ErrorCode::kInvalidArgument, "grammar: rule \"{}\" is used, not defined",
                          base::printable(name));
    const int32_t start = root->second.index;
    Result<Network> network = std::move(builder_).finish(start);
    if (!network.ok()) return std::move(network).error().within("grammar");
    return network;
  }

 private:
  struct RuleName {
    int32_t index = kNone;
    bool defined = false;
  };

  [[nodiscard]] Error fault(std::string_view what) const {
    const auto before = all_.substr(0, all_.size() - text_.size());
    return make_error(ErrorCode::kInvalidArgument, "grammar, line {}: {}",
                      1 + std::count(before.begin(), before.end(), '\n'), what);
  }

  void skip_space() {
    while (!text_.empty()) {
      if (text_[0] == '#')
        text_.remove_prefix(std::min(text_.find('\n'), text_.size()));
      else if (text_[0] == ' ' || text_[0] == '\t' || text_[0] == '\n' || text_[0] == '\r')
        text_.remove_prefix(1);
      else
        return;
    }
  }

  std::string_view take_name() {
    size_t n = 0;
    while (n < text_.size() && is_name_char(text_[n])) ++n;
    const std::string_view name = text_.substr(0, n);
    text_.remove_prefix(n);
    return name;
  }

  RuleName& rule(std::string_view name) {
    RuleName& out = rules_[std::string(name)];
    if (out.index == kNone) out.index = builder_.add_rule(std::string(name));
    return out;
  }

  Status parse_rule() {
    const std::string_view name = take_name();
    if (name.empty()) return fault("a rule's name is expected");
    skip_space();
    if (!text_.starts_with("::=")) return fault("::= is expected after a rule's name");
    text_.remove_prefix(3);
    RuleName& known = rule(name);
    if (known.defined) return fault("rule \"" + std::string(name) + "\" is defined twice");
    known.defined = true;
    const int32_t index = known.index;
    LANTERN_ASSIGN(const Part part, parse_choice(0));
    if (!text_.empty() && text_[0] == ')') return fault("an unmatched )");
    builder_.define(index, part);
    return {};
  }

  /// Whether what follows is the next rule's head.
  [[nodiscard]] bool at_next_rule() {
    const std::string_view here = text_;
    const bool named = !take_name().empty();
    skip_space();
    const bool head = named && text_.starts_with("::=");
    text_ = here;
    return head;
  }

  Result<Part> parse_choice(int depth) {
    if (depth > kRuleDepthMax) return fault("groups are nested too deep");
    const Part out{builder_.add_state(), builder_.add_state()};
    while (true) {
      LANTERN_ASSIGN(const Part part, parse_sequence(depth));
      builder_.empty(out.begin, part.begin);
      builder_.empty(part.end, out.end);
      if (text_.empty() || text_[0] != '|') return out;
      text_.remove_prefix(1);
    }
  }

  Result<Part> parse_sequence(int depth) {
    const int32_t begin = builder_.add_state();
    int32_t last = begin;
    for (skip_space(); !text_.empty() && text_[0] != '|' && text_[0] != ')'; skip_space()) {
      if (is_name_char(text_[0]) && at_next_rule()) break;
      LANTERN_TRY(builder_.within_limits());
      if (builder_.n_rules() > kRulesMax)
        return make_error(ErrorCode::kTooLarge, "grammar: more than {} rules", kRulesMax);
      LANTERN_ASSIGN(const Part item, parse_item(depth));
      LANTERN_ASSIGN(const Part repeated, parse_quantifier(item));
      builder_.empty(last, repeated.begin);
      last = repeated.end;
    }
    return Part{begin, last};
  }

  Result<Part> parse_item(int depth) {
    const char c = text_[0];
    if (is_name_char(c)) {
      const Part out{builder_.add_state(), builder_.add_state()};
      builder_.call(out.begin, rule(take_name()).index, out.end);
      return out;
    }
    text_.remove_prefix(1);
    if (c == '"') return parse_literal();
    if (c == '[') return parse_chars();
    if (c == '.') return chars(all_chars());
    if (c == '(') {
      LANTERN_ASSIGN(const Part inner, parse_choice(depth + 1));
      if (!text_.starts_with(')')) return fault("( without )");
      text_.remove_prefix(1);
      return inner;
    }
    return fault("\"" + base::printable(std::string_view(&c, 1)) + "\" is not expected here");
  }

  /// One character, escaped or not.
  Result<char32_t> parse_char() {
    const Decoded decoded = decode_utf8(text_);
    text_.remove_prefix(decoded.length);
    if (decoded.code_point != '\\') return decoded.code_point;
    if (text_.empty()) return fault("it ends with a backslash");
    const char c = text_[0];
    text_.remove_prefix(1);
    size_t n_digits = 0;
    switch (c) {
      case 'n':
        return U'\n';
      case 'r':
        return U'\r';
      case 't':
        return U'\t';
      case 'x':
        n_digits = 2;
        break;
      case 'u':
        n_digits = 4;
        break;
      case 'U':
        n_digits = 8;
        break;
      default:
        if (is_name_char(c) && c != '-') return fault("an unknown escape");
        return static_cast<char32_t>(static_cast<uint8_t>(c));
    }
    uint32_t value = 0;
    const char* end = text_.data() + std::min(n_digits, text_.size());
    const auto [stop, bad] = std::from_chars(text_.data(), end, value, 16);
    const bool whole = bad == std::errc() && stop == text_.data() + n_digits;
    if (!whole || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
      return fault("an escape without its hexadecimal digits, or of no character");
    text_.remove_prefix(n_digits);
    return static_cast<char32_t>(value);
  }

  Result<Part> parse_literal() {
    std::string literal;
    while (true) {
      if (text_.empty()) return fault("\" without its end");
      if (text_[0] == '"') break;
      LANTERN_ASSIGN(const char32_t c, parse_char());
      append_utf8(c, literal);
    }
    text_.remove_prefix(1);
    return builder_.literal(literal);
  }

  Result<Part> parse_chars() {
    const bool negated = text_.starts_with('^');
    if (negated) text_.remove_prefix(1);
    CharSet set;
    while (true) {
      if (text_.empty()) return fault("[ without ]");
      if (text_[0] == ']') break;
      LANTERN_ASSIGN(const char32_t first, parse_char());
      char32_t last = first;
      if (text_.size() >= 2 && text_[0] == '-' && text_[1] != ']') {
        text_.remove_prefix(1);
        LANTERN_ASSIGN(last, parse_char());
        if (last < first) return fault("a range runs backwards");
      }
      set.push_back({first, last});
    }
    text_.remove_prefix(1);
    set = normalized(std::move(set));
    return chars(negated ? complement(set) : set);
  }

  Result<Part> chars(const CharSet& set) {
    CharNfa nfa;
    const int32_t begin = nfa.add_state();
    const int32_t end = nfa.add_state();
    nfa.on(begin, set, end);
    LANTERN_ASSIGN(const CharDfa dfa, nfa.determinize(begin, end, budget_));
    LANTERN_ASSIGN(const int32_t index,
                   add_char_rule(builder_, "characters", dfa, Spelling::kPlain, {}, budget_));
    const Part out{builder_.add_state(), builder_.add_state()};
    builder_.call(out.begin, index, out.end);
    return out;
  }

  Result<int64_t> take_number() {
    int64_t value = 0;
    const auto [end, bad] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (bad != std::errc() || value < 0 || value > kRepeatMax)
      return fault("a number of repetitions is expected");
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return value;
  }

  Result<Part> parse_quantifier(Part item) {
    skip_space();
    while (!text_.empty()) {
      int64_t least = 0;
      int64_t most = kUnbounded;
      if (text_[0] == '+') {
        least = 1;
      } else if (text_[0] == '?') {
        most = 1;
      } else if (text_[0] == '{') {
        text_.remove_prefix(1);
        skip_space();
        LANTERN_ASSIGN(least, take_number());
        most = least;
        skip_space();
        if (text_.starts_with(',')) {
          text_.remove_prefix(1);
          skip_space();
          most = kUnbounded;
          if (!text_.starts_with('}')) {
            LANTERN_ASSIGN(most, take_number());
          }
          skip_space();
        }
        if (!text_.starts_with('}')) return fault("{ without }");
        if (most != kUnbounded && most < least) return fault("bounds run backwards");
      } else if (text_[0] != '*') {
        return item;
      }
      text_.remove_prefix(1);
      const int32_t body = builder_.add_rule("repetition");
      builder_.define(body, item);
      item = {builder_.add_state(), builder_.add_state()};
      builder_.repeat(item.begin, body, least, most, item.end);
      skip_space();
    }
    return item;
  }

  std::string_view all_, text_;
  NetworkBuilder builder_;
  std::map<std::string, RuleName, std::less<>> rules_;
  Budget budget_{kBudgetUnits};
};

}  // namespace

Result<Network> compile_gbnf(std::string_view text) { return Gbnf(text).compile(); }

}  // namespace lantern::text::grammar
