#include "text/grammar/regex.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>

#include "base/printable.h"
#include "text/unicode.h"

namespace lantern::text::grammar {
namespace {

constexpr int kGroupDepthMax = 100;
constexpr size_t kNfaStatesMax = 60'000;
constexpr int64_t kQuantifierMax = 100'000;

const CharSet kDigit = {{'0', '9'}};
const CharSet kWordChars = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
// ECMA-262's WhiteSpace and LineTerminator.
const CharSet kSpaceChars = {{0x09, 0x0D},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                             {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                             {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
const CharSet kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

Error invalid(std::string_view what) {
  return make_error(ErrorCode::kInvalidArgument, "not a regular expression: {}", what);
}
Error unsupported(std::string_view what) {
  return make_error(ErrorCode::kUnsupported, "{} in a regular expression is not supported", what);
}

CharSet chars_of(ClassSet classes) {
  CharSet out;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c == 0xD800) c = 0xE000;
    if ((class_bit(char_class(c)) & classes) == 0) continue;
    if (!out.empty() && out.back().last + 1 == c)
      out.back().last = c;
    else
      out.push_back({c, c});
  }
  return out;
}

Result<CharSet> parse_property(std::string_view& text, bool negated) {
  const size_t end = text.find('}');
  if (text.empty() || text[0] != '{' || end == std::string_view::npos)
    return invalid("\\p without {...}");
  const std::string_view name = text.substr(1, end - 1);
  text.remove_prefix(end + 1);
  struct Property {
    std::string_view name, long_name;
    ClassSet classes;
  };
  constexpr std::array<Property, 8> kProperties = {{
      {"L", "Letter", kLetter},
      {"Lu", "Uppercase_Letter", class_bit(CharClass::kLu)},
      {"Ll", "Lowercase_Letter", class_bit(CharClass::kLl)},
      {"Lt", "Titlecase_Letter", class_bit(CharClass::kLt)},
      {"Lm", "Modifier_Letter", class_bit(CharClass::kLm)},
      {"Lo", "Other_Letter", class_bit(CharClass::kLo)},
      {"M", "Mark", class_bit(CharClass::kM)},
      {"N", "Number", kNumber},
  }};
  for (const Property& p : kProperties) {
    if (name != p.name && name != p.long_name) continue;
    CharSet set = chars_of(p.classes);
    return negated ? complement(set) : set;
  }
  return unsupported("\\p{" + base::printable(name) + "}");
}

/// So many hexadecimal digits; nullopt where there are not.
std::optional<char32_t> parse_hex(std::string_view& text, size_t n_digits) {
  uint32_t value = 0;
  if (n_digits == 0 || n_digits > 6 || text.size() < n_digits) return std::nullopt;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + n_digits, value, 16);
  if (fault != std::errc() || end != text.data() + n_digits) return std::nullopt;
  text.remove_prefix(n_digits);
  return static_cast<char32_t>(value);
}

Result<CharSet> parse_unicode_escape(std::string_view& text) {
  std::optional<char32_t> value;
  if (!text.empty() && text[0] == '{') {
    const size_t end = text.find('}');
    if (end == std::string_view::npos) return invalid("\\u{ without }");
    text.remove_prefix(1);
    value = parse_hex(text, end - 1);
    if (value) text.remove_prefix(1);
  } else {
    value = parse_hex(text, 4);
    if (value && *value >= 0xD800 && *value < 0xDC00 && text.starts_with("\\u")) {
      std::string_view rest = text.substr(2);
      const std::optional<char32_t> low = parse_hex(rest, 4);
      if (low && *low >= 0xDC00 && *low < 0xE000) {
        value = 0x10000 + ((*value - 0xD800) << 10) + (*low - 0xDC00);
        text = rest;
      }
    }
  }
  if (!value || *value > 0x10FFFF) return invalid("\\u is followed by no code point");
  if (*value >= 0xD800 && *value < 0xE000) return unsupported("half of a surrogate pair");
  return CharSet{{*value, *value}};
}

}  // namespace

Result<CharSet> parse_escape(std::string_view& text, bool in_class) {
  if (text.empty()) return invalid("it ends with a backslash");
  const Decoded decoded = decode_utf8(text);
  const char32_t c = decoded.code_point;
  text.remove_prefix(decoded.length);
  const auto one = [](char32_t is) { return CharSet{{is, is}}; };
  switch (c) {
    case 'd':
      return kDigit;
    case 'D':
      return complement(kDigit);
    case 'w':
      return kWordChars;
    case 'W':
      return complement(kWordChars);
    case 's':
      return kSpaceChars;
    case 'S':
      return complement(kSpaceChars);
    case 'p':
    case 'P':
      return parse_property(text, c == 'P');
    case 't':
      return one('\t');
    case 'n':
      return one('\n');
    case 'v':
      return one('\v');
    case 'f':
      return one('\f');
    case 'r':
      return one('\r');
    case '0':
      if (!text.empty() && text[0] >= '0' && text[0] <= '9') return unsupported("an octal escape");
      return one(0);
    case 'c': {
      const bool letter = !text.empty() && ((text[0] | 0x20) >= 'a' && (text[0] | 0x20) <= 'z');
      if (!letter) return invalid("\\c without a letter");
      const auto control = static_cast<char32_t>(text[0] & 31);
      text.remove_prefix(1);
      return one(control);
    }
    case 'x': {
      const std::optional<char32_t> value = parse_hex(text, 2);
      if (!value) return invalid("\\x without two hexadecimal digits");
      return one(*value);
    }
    case 'u':
      return parse_unicode_escape(text);
    case 'b':
      if (in_class) return one('\b');
      return unsupported("\\b");
    default:
      break;
  }
  if (c >= '1' && c <= '9') return unsupported("a back reference");
  const bool letter = c < 0x80 && (((c | 0x20) >= 'a' && (c | 0x20) <= 'z'));
  if (letter) return unsupported(std::string("\\") + static_cast<char>(c));
  return one(c);
}

Result<CharSet> parse_class(std::string_view& text) {
  CharSet set;
  const bool negated = text.starts_with('^');
  if (negated) text.remove_prefix(1);
  // One member: a character, or an escape that may be several.
  const auto member = [&]() -> Result<CharSet> {
    const Decoded c = decode_utf8(text);
    if (c.state != Decoded::State::kValid) return invalid("it is no UTF-8");
    text.remove_prefix(c.length);
    if (c.code_point == '\\') return parse_escape(text, true);
    return CharSet{{c.code_point, c.code_point}};
  };
  while (true) {
    if (text.empty()) return invalid("[ without ]");
    if (text[0] == ']') break;
    LANTERN_ASSIGN(CharSet first, member());
    const bool single = first.size() == 1 && first[0].first == first[0].last;
    const bool range = text.size() >= 2 && text[0] == '-' && text[1] != ']';
    if (range && single) {
      text.remove_prefix(1);
      LANTERN_ASSIGN(const CharSet last, member());
      if (last.size() == 1 && last[0].first == last[0].last) {
        if (last[0].first < first[0].first) return invalid("a range runs backwards");
        first[0].last = last[0].last;
      } else {
        // "a-\d": three members, as web browsers read it.
        set.push_back({'-', '-'});
        set.insert(set.end(), last.begin(), last.end());
      }
    }
    set.insert(set.end(), first.begin(), first.end());
  }
  text.remove_prefix(1);
  return negated ? complement(set) : normalized(std::move(set));
}

namespace {

/// Parses a pattern straight into an automaton.
class Parser {
 public:
  Parser(std::string_view pattern, Budget& budget) : text_(pattern), budget_(budget) {}

  struct Piece {
    int32_t begin, end;
  };

  Result<CharDfa> compile(RegexMatch match) {
    if (!is_valid_utf8(text_)) return invalid("it is no UTF-8");
    LANTERN_ASSIGN(const Piece all, alternation(0));
    if (!text_.empty()) return invalid("an unmatched )");
    if (match == RegexMatch::kAnywhere) {
      nfa_.on(all.end, all_chars(), all.end);
      const int32_t before = nfa_.add_state();
      nfa_.on(before, all_chars(), before);
      nfa_.empty(before, all.begin);
      return nfa_.determinize(before, all.end, budget_);
    }
    return nfa_.determinize(all.begin, all.end, budget_);
  }

 private:
  /// The syntax of one factor, written into the automaton each time it is repeated.
  struct Node;
  using NodePtr = std::shared_ptr<const Node>;
  struct Node {
    enum class Kind { kSet, kBegin, kEnd, kSequence, kChoice, kRepeat } kind;
    CharSet set = {};
    std::vector<NodePtr> parts = {};
    int64_t least = 0, most = 0;
  };

  Result<Piece> alternation(int depth) {
    LANTERN_ASSIGN(const NodePtr node, parse_choice(depth));
    return write(*node);
  }

  Result<NodePtr> parse_choice(int depth) {
    if (depth > kGroupDepthMax)
      return make_error(ErrorCode::kTooLarge, "a regular expression nested deeper than {} groups",
                        kGroupDepthMax);
    Node choice{.kind = Node::Kind::kChoice};
    while (true) {
      LANTERN_ASSIGN(NodePtr part, parse_sequence(depth));
      choice.parts.push_back(std::move(part));
      if (text_.empty() || text_[0] != '|') break;
      text_.remove_prefix(1);
    }
    if (choice.parts.size() == 1) return choice.parts[0];
    return std::make_shared<const Node>(std::move(choice));
  }

  Result<NodePtr> parse_sequence(int depth) {
    Node sequence{.kind = Node::Kind::kSequence};
    while (!text_.empty() && text_[0] != '|' && text_[0] != ')') {
      LANTERN_ASSIGN(NodePtr part, parse_atom(depth));
      LANTERN_ASSIGN(part, parse_quantifiers(std::move(part)));
      sequence.parts.push_back(std::move(part));
    }
    return std::make_shared<const Node>(std::move(sequence));
  }

  Result<NodePtr> parse_group(int depth) {
    if (text_.starts_with("?")) {
      if (text_.starts_with("?:")) {
        text_.remove_prefix(2);
      } else if (text_.starts_with("?=") || text_.starts_with("?!")) {
        return unsupported("look-ahead");
      } else if (text_.starts_with("?<=") || text_.starts_with("?<!")) {
        return unsupported("look-behind");
      } else if (text_.starts_with("?<") && text_.find('>') != std::string_view::npos) {
        text_.remove_prefix(text_.find('>') + 1);
      } else {
        return unsupported("a group that begins with (?");
      }
    }
    LANTERN_ASSIGN(NodePtr inner, parse_choice(depth + 1));
    if (text_.empty()) return invalid("( without )");
    text_.remove_prefix(1);
    return inner;
  }

  Result<NodePtr> parse_atom(int depth) {
    const Decoded c = decode_utf8(text_);
    text_.remove_prefix(c.length);
    const auto set = [](CharSet is) {
      return std::make_shared<const Node>(Node{.kind = Node::Kind::kSet, .set = std::move(is)});
    };
    switch (c.code_point) {
      case '(':
        return parse_group(depth);
      case '[': {
        LANTERN_ASSIGN(CharSet members, parse_class(text_));
        return NodePtr(set(std::move(members)));
      }
      case '\\': {
        LANTERN_ASSIGN(CharSet members, parse_escape(text_, false));
        return NodePtr(set(std::move(members)));
      }
      case '.':
        return NodePtr(set(complement(kLineEnds)));
      case '^':
        return std::make_shared<const Node>(Node{.kind = Node::Kind::kBegin});
      case '$':
        return std::make_shared<const Node>(Node{.kind = Node::Kind::kEnd});
      case '*':
      case '+':
      case '?':
        return invalid("a quantifier with nothing before it");
      default:
        return NodePtr(set({{c.code_point, c.code_point}}));
    }
  }

  /// {m}, {m,} or {m,n}; nullopt where the brace is only a character.
  std::optional<std::pair<int64_t, int64_t>> parse_braces() {
    std::string_view text = text_.substr(1);
    int64_t least = 0;
    int64_t most = 0;
    const auto number = [&](int64_t& out) {
      const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), out);
      if (fault != std::errc() || out < 0) return false;
      text.remove_prefix(static_cast<size_t>(end - text.data()));
      return true;
    };
    if (!number(least)) return std::nullopt;
    most = least;
    if (text.starts_with(',')) {
      text.remove_prefix(1);
      most = kUnbounded;
      if (!text.starts_with('}') && !number(most)) return std::nullopt;
    }
    if (!text.starts_with('}')) return std::nullopt;
    text_ = text.substr(1);
    return std::pair{least, most};
  }

  Result<NodePtr> parse_quantifiers(NodePtr atom) {
    for (bool first = true; !text_.empty(); first = false) {
      std::pair<int64_t, int64_t> bounds;
      if (text_[0] == '*') {
        bounds = {0, kUnbounded};
        text_.remove_prefix(1);
      } else if (text_[0] == '+') {
        bounds = {1, kUnbounded};
        text_.remove_prefix(1);
      } else if (text_[0] == '?') {
        bounds = {0, 1};
        text_.remove_prefix(1);
      } else if (text_[0] == '{') {
        const auto braces = parse_braces();
        if (!braces) return atom;
        bounds = *braces;
      } else {
        return atom;
      }
      if (!first) return invalid("two quantifiers one after the other");
      if (atom->kind == Node::Kind::kBegin || atom->kind == Node::Kind::kEnd)
        return invalid("a quantifier after ^ or $");
      if (bounds.first > kQuantifierMax || bounds.second > kQuantifierMax)
        return make_error(ErrorCode::kTooLarge, "a quantifier above {} in a regular expression",
                          kQuantifierMax);
      if (bounds.second != kUnbounded && bounds.second < bounds.first)
        return invalid("a quantifier's bounds run backwards");
      if (text_.starts_with('?')) text_.remove_prefix(1);  // lazy: the same texts
      if (text_.starts_with('+')) return unsupported("a possessive quantifier");
      atom = std::make_shared<const Node>(Node{.kind = Node::Kind::kRepeat,
                                               .parts = {std::move(atom)},
                                               .least = bounds.first,
                                               .most = bounds.second});
    }
    return atom;
  }

  Status room() {
    LANTERN_TRY(budget_.spend(4));
    if (nfa_.size() <= kNfaStatesMax) return {};
    return make_error(ErrorCode::kTooLarge,
                      "a regular expression of more than {} states; make it simpler",
                      kNfaStatesMax);
  }

  Result<Piece> write(const Node& node) {
    LANTERN_TRY(room());
    Piece out{nfa_.add_state(), nfa_.add_state()};
    switch (node.kind) {
      case Node::Kind::kSet:
        LANTERN_TRY(budget_.spend(node.set.size()));
        nfa_.on(out.begin, node.set, out.end);
        break;
      case Node::Kind::kBegin:
        nfa_.empty(out.begin, out.end, CharNfa::Assertion::kBegin);
        break;
      case Node::Kind::kEnd:
        nfa_.empty(out.begin, out.end, CharNfa::Assertion::kEnd);
        break;
      case Node::Kind::kSequence: {
        int32_t last = out.begin;
        for (const NodePtr& part : node.parts) {
          LANTERN_ASSIGN(const Piece piece, write(*part));
          nfa_.empty(last, piece.begin);
          last = piece.end;
        }
        nfa_.empty(last, out.end);
        break;
      }
      case Node::Kind::kChoice:
        for (const NodePtr& part : node.parts) {
          LANTERN_ASSIGN(const Piece piece, write(*part));
          nfa_.empty(out.begin, piece.begin);
          nfa_.empty(piece.end, out.end);
        }
        break;
      case Node::Kind::kRepeat:
        LANTERN_TRY(write_repeat(node, out));
        break;
    }
    return out;
  }

  Status write_repeat(const Node& node, Piece out) {
    int32_t last = out.begin;
    const int64_t copies = node.most == kUnbounded ? std::max<int64_t>(node.least, 1) : node.most;
    for (int64_t i = 0; i < copies; ++i) {
      LANTERN_ASSIGN(const Piece piece, write(*node.parts[0]));
      if (i >= node.least) nfa_.empty(last, out.end);
      nfa_.empty(last, piece.begin);
      last = piece.end;
      if (node.most == kUnbounded && i + 1 == copies) nfa_.empty(piece.end, piece.begin);
    }
    nfa_.empty(last, out.end);
    return {};
  }

  std::string_view text_;
  Budget& budget_;
  CharNfa nfa_;
};

}  // namespace

Result<CharDfa> compile_regex(std::string_view pattern, RegexMatch match, Budget& budget) {
  return Parser(pattern, budget).compile(match);
}

}  // namespace lantern::text::grammar
