#include "text/jinja/format.h"

#include <charconv>
#include <cmath>

#include "text/jinja/attributes.h"
#include "text/jinja/conversion.h"
#include "text/jinja/operations.h"
#include "text/jinja/text_functions.h"

namespace lantern::text::jinja {
namespace {

constexpr int64_t kPrecisionMax = 1000;  // digits; a double has at most 1074 that differ from 0
constexpr int kFieldDepthMax = 2;        // a field within a format specification, as in Python

/// What both ways of formatting know of one field.
struct Spec {
  std::string fill = " ";
  char align = 0;  // < > ^ =, or 0: the type's own
  char sign = 0;   // + or space
  char type = 0;
  char grouping = 0;  // , or _
  bool alternate = false;
  int64_t width = 0;
  int64_t precision = -1;
};

/// Reads decimal digits; kTooLarge for a number no output could have.
Result<int64_t> read_number(std::string_view text, size_t& at) {
  int64_t value = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    if (__builtin_mul_overflow(value, int64_t{10}, &value) ||
        __builtin_add_overflow(value, int64_t{text[at] - '0'}, &value))
      return make_error(ErrorCode::kTooLarge, "a width or precision too large to format with");
    ++at;
  }
  return value;
}

Error bad_type(char type, const Value& value) {
  return type_error("format '{}' does not take a value of type '{}'", type, type_name(value));
}

/// `digits` with `separator` between groups of `size`, from the right.
std::string grouped(std::string_view digits, char separator, size_t size) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out;
}

/// A number's digits without sign, and what stands before them.
struct NumberText {
  bool negative = false;
  std::string prefix;  // 0x and so on
  std::string digits;
};

Result<NumberText> integer_text(int64_t value, const Spec& spec) {
  NumberText out;
  out.negative = value < 0;
  const uint64_t magnitude =
      out.negative ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  size_t group = 3;
  switch (spec.type) {
    case 'b':
      out.digits = fmt::format("{:b}", magnitude);
      break;
    case 'o':
      out.digits = fmt::format("{:o}", magnitude);
      break;
    case 'x':
      out.digits = fmt::format("{:x}", magnitude);
      break;
    case 'X':
      out.digits = fmt::format("{:X}", magnitude);
      break;
    default:
      out.digits = fmt::format("{}", magnitude);
  }
  if (spec.type == 'b' || spec.type == 'o' || spec.type == 'x' || spec.type == 'X') {
    group = 4;
    if (spec.alternate) out.prefix = std::string("0") + spec.type;
  }
  if (spec.grouping != 0) out.digits = grouped(out.digits, spec.grouping, group);
  return out;
}

Result<NumberText> real_text(double value, const Spec& spec) {
  if (spec.precision > kPrecisionMax)
    return make_error(ErrorCode::kTooLarge, "a precision of {} digits, at most {} are written",
                      spec.precision, kPrecisionMax);
  NumberText out;
  out.negative = std::signbit(value) && !std::isnan(value);
  const double magnitude = std::fabs(value);
  const int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
  const bool upper = spec.type == 'E' || spec.type == 'F' || spec.type == 'G';
  if (!std::isfinite(value)) {
    out.digits = std::isnan(value) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf");
    if (spec.type == '%') out.digits += '%';
    return out;
  }
  switch (spec.type) {
    case 'e':
    case 'E':
      out.digits = spec.alternate ? fmt::format("{:#.{}e}", magnitude, precision)
                                  : fmt::format("{:.{}e}", magnitude, precision);
      break;
    case 'f':
    case 'F':
      out.digits = spec.alternate ? fmt::format("{:#.{}f}", magnitude, precision)
                                  : fmt::format("{:.{}f}", magnitude, precision);
      break;
    case '%':
      out.digits = fmt::format("{:.{}f}%", magnitude * 100, precision);
      break;
    case 0:
      if (spec.precision < 0) {
        out.digits = float_repr(magnitude);
        break;
      }
      out.digits = fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
      if (out.digits.find_first_of(".e") == std::string::npos) out.digits += ".0";
      break;
    default:
      out.digits = spec.alternate ? fmt::format("{:#.{}g}", magnitude, std::max(precision, 1))
                                  : fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
  }
  if (upper)
    for (char& c : out.digits)
      if (c == 'e') c = 'E';
  if (spec.grouping != 0) {
    const size_t whole = std::min(out.digits.find_first_not_of("0123456789"), out.digits.size());
    out.digits = grouped(std::string_view(out.digits).substr(0, whole), spec.grouping, 3) +
                 out.digits.substr(whole);
  }
  return out;
}

/// Pads a body to the field's width. '=' pads between sign and digits.
void place_number(TextBuilder& out, const NumberText& number, const Spec& spec, SpanKind kind) {
  std::string head = number.negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
  head += number.prefix;
  const auto length = static_cast<int64_t>(head.size() + number.digits.size());
  const int64_t padding = std::max<int64_t>(spec.width - length, 0);
  const char align = spec.align == 0 ? '>' : spec.align;
  const int64_t before = align == '<' || align == '=' ? 0 : align == '^' ? padding / 2 : padding;
  const int64_t within = align == '=' ? padding : 0;
  append_fill(out, spec.fill, before);
  out.append(head, kind);
  append_fill(out, spec.fill, within);
  out.append(number.digits, kind);
  append_fill(out, spec.fill, padding - before - within);
}

void place_text(TextBuilder& out, const Text& text, const Spec& spec) {
  const size_t end =
      spec.precision < 0 ? text.size_bytes() : text.byte_at(static_cast<size_t>(spec.precision));
  const size_t length = spec.precision < 0
                            ? text.length()
                            : std::min(text.length(), static_cast<size_t>(spec.precision));
  const int64_t padding = std::max<int64_t>(spec.width - static_cast<int64_t>(length), 0);
  const int64_t before = spec.align == '>' ? padding : spec.align == '^' ? padding / 2 : 0;
  append_fill(out, spec.fill, before);
  out.append(text, 0, end);
  append_fill(out, spec.fill, padding - before);
}

bool is_real_type(char type) {
  return std::string_view("eEfFgG%").find(type) != std::string_view::npos && type != 0;
}

/// One "%..." of a printf-style format.
class PercentFormatter {
 public:
  PercentFormatter(Runtime& rt, const Text& format, const Value& arguments)
      : rt_(rt), format_(format), text_(format.view()), arguments_(arguments), out_(rt.heap()) {}

  Result<Value> run() {
    LANTERN_TRY(rt_.read(text_.size()));
    while (at_ < text_.size()) {
      const size_t percent = std::min(text_.find('%', at_), text_.size());
      out_.append(format_, at_, percent);
      at_ = percent;
      if (at_ < text_.size()) LANTERN_TRY(field());
    }
    const size_t n_given = arguments_.is(Kind::kTuple) ? arguments_.sequence().items.size() : 1;
    if (used_ < n_given && !arguments_.is(Kind::kDict) && !is_subscriptable())
      return type_error("not all arguments converted during string formatting");
    return out_.finish();
  }

 private:
  /// Python lets anything with a subscript stand for a mapping, other than tuples and strings.
  [[nodiscard]] bool is_subscriptable() const {
    return arguments_.is(Kind::kList) || arguments_.is(Kind::kRange);
  }

  Result<Value> next_argument() {
    if (arguments_.is(Kind::kTuple)) {
      const auto& items = arguments_.sequence().items;
      if (used_ >= items.size()) return type_error("not enough arguments for format string");
      return items[used_++];
    }
    if (used_ > 0) return type_error("not enough arguments for format string");
    ++used_;
    return arguments_;
  }

  Result<int64_t> number_or_star() {
    if (at_ < text_.size() && text_[at_] == '*') {
      ++at_;
      LANTERN_ASSIGN(const Value value, next_argument());
      if (!value.is_integral()) return type_error("* wants int");
      return value.as_int();
    }
    return read_number(text_, at_);
  }

  Status field() {
    ++at_;  // %
    std::optional<Value> named;
    if (at_ < text_.size() && text_[at_] == '(') {
      const size_t close = text_.find(')', at_);
      if (close == std::string_view::npos) return type_error("incomplete format key");
      if (!arguments_.is(Kind::kDict)) return type_error("format requires a mapping");
      const std::string_view key = text_.substr(at_ + 1, close - at_ - 1);
      const Value* found = arguments_.dict().find(key);
      if (found == nullptr) return type_error("the format's key '{}' is not in the dict", key);
      named = *found;
      at_ = close + 1;
    }
    Spec spec;
    bool zero = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '-')
        spec.align = '<';
      else if (c == '+')
        spec.sign = '+';
      else if (c == ' ')
        spec.sign = spec.sign == '+' ? '+' : ' ';
      else if (c == '#')
        spec.alternate = true;
      else if (c == '0')
        zero = true;
      else
        break;
    }
    LANTERN_ASSIGN(spec.width, number_or_star());
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = spec.width == INT64_MIN ? INT64_MAX : -spec.width;
    }
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      LANTERN_ASSIGN(const int64_t precision, number_or_star());
      spec.precision = std::max<int64_t>(precision, 0);
    }
    if (at_ < text_.size() && (text_[at_] == 'h' || text_[at_] == 'l' || text_[at_] == 'L')) ++at_;
    if (at_ >= text_.size()) return type_error("incomplete format");
    spec.type = text_[at_++];
    if (spec.type == '%') {
      out_.append("%", SpanKind::kLiteral);
      return {};
    }
    Value value;
    if (named) {
      value = *named;
    } else {
      LANTERN_ASSIGN(value, next_argument());
    }
    return write(value, spec, zero);
  }

  Status write(const Value& value, Spec spec, bool zero) {
    if (spec.type == 's' || spec.type == 'r' || spec.type == 'a') {
      TextBuilder text(rt_.heap());
      LANTERN_TRY(spec.type == 's' ? append_str(rt_, text, value) : append_repr(rt_, text, value));
      LANTERN_ASSIGN(const Text body, text.take());
      if (spec.align == 0) spec.align = '>';
      place_text(out_, body, spec);
      return {};
    }
    if (spec.type == 'c') return character(value, spec);
    if (zero && spec.align == 0) {
      spec.align = '=';
      spec.fill = "0";
    }
    if (!value.is_number()) {
      if (value.is(Kind::kUndefined)) return undefined_error(value);
      return bad_type(spec.type, value);
    }
    if (is_real_type(spec.type)) {
      LANTERN_ASSIGN(const NumberText number, real_text(value.as_real(), spec));
      place_number(out_, number, spec, value.origin());
      return {};
    }
    if (std::string_view("diuoxX").find(spec.type) == std::string_view::npos)
      return type_error("unsupported format character '{}'", spec.type);
    int64_t integer = value.as_int();
    if (value.is(Kind::kFloat)) {
      if (spec.type == 'o' || spec.type == 'x' || spec.type == 'X')
        return bad_type(spec.type, value);
      if (!(std::fabs(value.as_real()) < 9.2e18)) return bad_type(spec.type, value);
      integer = static_cast<int64_t>(value.as_real());
    }
    LANTERN_ASSIGN(NumberText number, integer_text(integer, spec));
    if (spec.precision > kPrecisionMax) return rt_.heap().exhausted();
    if (static_cast<int64_t>(number.digits.size()) < spec.precision)
      number.digits.insert(0, static_cast<size_t>(spec.precision) - number.digits.size(), '0');
    place_number(out_, number, spec, value.origin());
    return {};
  }

  Status character(const Value& value, Spec spec) {
    if (spec.align == 0) spec.align = '>';
    spec.precision = -1;
    if (value.is(Kind::kString) && value.text().length() == 1) {
      place_text(out_, value.text(), spec);
      return {};
    }
    if (!value.is_integral() || value.as_int() < 0 || value.as_int() > 0x10FFFF ||
        (value.as_int() >= 0xD800 && value.as_int() <= 0xDFFF))
      return type_error("%c requires int or char");
    std::string utf8;
    append_code_point(utf8, static_cast<uint32_t>(value.as_int()));
    place_text(out_, Text(utf8, value.origin()), spec);
    return {};
  }

  Runtime& rt_;
  const Text& format_;
  const std::string_view text_;
  const Value& arguments_;
  TextBuilder out_;
  size_t at_ = 0;
  size_t used_ = 0;
};

Result<Spec> parse_spec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  size_t first = 0;
  if (!text.empty()) decode_code_point(text, 0, first);
  auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (first > 0 && first < text.size() && is_align(text[first])) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    at = first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[0];
    at = 1;
  }
  auto take = [&](std::string_view any) -> char {
    if (at >= text.size() || any.find(text[at]) == std::string_view::npos) return 0;
    return text[at++];
  };
  const char sign = take("+- ");
  spec.sign = sign == '-' ? '\0' : sign;
  spec.alternate = take("#") != 0;
  if (take("0") != 0 && spec.align == 0) {
    spec.align = '=';
    spec.fill = "0";
  }
  LANTERN_ASSIGN(spec.width, read_number(text, at));
  spec.grouping = take(",_");
  if (take(".") != 0) {
    const size_t digits = at;
    LANTERN_ASSIGN(spec.precision, read_number(text, at));
    if (at == digits) return type_error("Format specifier missing precision");
  }
  spec.type = take("bcdeEfFgGnosxX%");
  if (at != text.size()) return type_error("Invalid format specifier '{}'", text.substr(0, 40));
  return spec;
}

/// format(value, spec).
Status format_value(Runtime& rt, TextBuilder& out, const Value& value, std::string_view spec_text) {
  if (spec_text.empty()) return append_str(rt, out, value);
  LANTERN_ASSIGN(Spec spec, parse_spec(spec_text));
  if (value.is(Kind::kString)) {
    if ((spec.type != 0 && spec.type != 's') || spec.align == '=' || spec.sign != 0 ||
        spec.grouping != 0 || spec.alternate) {
      // A 0 before the width stands for = in Python, which strings take since 3.10.
      if (spec.align != '=' || spec.fill != "0" || (spec.type != 0 && spec.type != 's'))
        return bad_type(spec.type == 0 ? '=' : spec.type, value);
      spec.align = '<';
    }
    place_text(out, value.text(), spec);
    return {};
  }
  if (!value.is_number())
    return type_error("unsupported format string passed to {}.__format__", type_name(value));
  if (spec.type == 'n') spec.type = value.is(Kind::kFloat) ? 'g' : 'd';
  if (value.is(Kind::kFloat) || is_real_type(spec.type)) {
    if (spec.type != 0 && !is_real_type(spec.type)) return bad_type(spec.type, value);
    LANTERN_ASSIGN(const NumberText number, real_text(value.as_real(), spec));
    place_number(out, number, spec, value.origin());
    return {};
  }
  if (spec.precision >= 0) return type_error("Precision not allowed in integer format specifier");
  if (spec.type == 's') return bad_type('s', value);
  if (spec.type == 'c') {
    if (value.as_int() < 0 || value.as_int() > 0x10FFFF ||
        (value.as_int() >= 0xD800 && value.as_int() <= 0xDFFF))
      return type_error("%c arg not in range");
    std::string utf8;
    append_code_point(utf8, static_cast<uint32_t>(value.as_int()));
    place_text(out, Text(utf8, value.origin()), spec);
    return {};
  }
  LANTERN_ASSIGN(const NumberText number, integer_text(value.as_int(), spec));
  place_number(out, number, spec, value.origin());
  return {};
}

/// str.format(), with automatic numbering and fields within specifications.
class BraceFormatter {
 public:
  BraceFormatter(Runtime& rt, const CallArgs& args) : rt_(rt), args_(args) {}

  Status write(TextBuilder& out, const Text& format, int depth) {
    if (depth > kFieldDepthMax) return type_error("Max string recursion exceeded");
    const std::string_view text = format.view();
    LANTERN_TRY(rt_.read(text.size()));
    for (size_t at = 0; at < text.size();) {
      const size_t brace = std::min(text.find_first_of("{}", at), text.size());
      out.append(format, at, brace);
      at = brace;
      if (at >= text.size()) break;
      if (at + 1 < text.size() && text[at + 1] == text[at]) {
        out.append(format, at, at + 1);
        at += 2;
        continue;
      }
      if (text[at] == '}') return type_error("Single '}}' encountered in format string");
      const size_t begin = at + 1;
      int open = 1;
      for (++at; at < text.size() && open > 0; ++at)
        open += text[at] == '{' ? 1 : text[at] == '}' ? -1 : 0;
      if (open > 0) return type_error("expected '}}' before end of string");
      Text field;
      field.append(format, begin, at - 1);
      LANTERN_TRY(write_field(out, field, depth));
    }
    return {};
  }

 private:
  Status write_field(TextBuilder& out, const Text& field, int depth) {
    const std::string_view text = field.view();
    // A ':' or '!' inside of [...] belongs to the name.
    size_t name_end = 0;
    for (bool inside = false; name_end < text.size(); ++name_end) {
      const char c = text[name_end];
      if (c == '[') inside = true;
      if (c == ']') inside = false;
      if (!inside && (c == ':' || c == '!')) break;
    }
    LANTERN_ASSIGN(Value value, look_up(text.substr(0, name_end)));
    size_t at = name_end;
    if (at < text.size() && text[at] == '!') {
      if (at + 1 >= text.size())
        return type_error("end of string while looking for conversion specifier");
      const char conversion = text[at + 1];
      at += 2;
      TextBuilder converted(rt_.heap());
      if (conversion == 's')
        LANTERN_TRY(append_str(rt_, converted, value));
      else if (conversion == 'r' || conversion == 'a')
        LANTERN_TRY(append_repr(rt_, converted, value));
      else
        return type_error("Unknown conversion specifier '{}'", conversion);
      LANTERN_ASSIGN(value, converted.finish());
      if (at < text.size() && text[at] != ':')
        return type_error("expected ':' after conversion specifier");
    }
    if (at >= text.size()) return format_value(rt_, out, value, "");
    Text spec;
    spec.append(field, at + 1, text.size());
    TextBuilder expanded(rt_.heap());
    LANTERN_TRY(write(expanded, spec, depth + 1));
    LANTERN_ASSIGN(const Text spec_text, expanded.take());
    return format_value(rt_, out, value, spec_text.view());
  }

  Result<Value> look_up(std::string_view name) {
    const size_t first_end = std::min(name.find_first_of(".["), name.size());
    const std::string_view first = name.substr(0, first_end);
    LANTERN_ASSIGN(Value value, first_value(first));
    for (size_t at = first_end; at < name.size();) {
      if (name[at] == '.') {
        const size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        if (end == at + 1) return type_error("Empty attribute in format string");
        LANTERN_ASSIGN(value, get_attribute(rt_, value, name.substr(at + 1, end - at - 1)));
        at = end;
        continue;
      }
      if (name[at] != '[') return type_error("Only '.' or '[' may follow ']' in format field");
      const size_t close = name.find(']', at);
      if (close == std::string_view::npos || close == at + 1)
        return type_error("Missing ']' in format string");
      const std::string_view key = name.substr(at + 1, close - at - 1);
      Value index;
      if (key.find_first_not_of("0123456789") == std::string_view::npos) {
        size_t end = 0;
        LANTERN_ASSIGN(const int64_t number, read_number(key, end));
        index = Value::integer(number);
      } else {
        LANTERN_ASSIGN(index, rt_.heap().string(key, SpanKind::kLiteral));
      }
      LANTERN_ASSIGN(value, get_item(rt_, value, index));
      at = close + 1;
    }
    return value;
  }

  Result<Value> first_value(std::string_view name) {
    const bool automatic = name.empty();
    if (automatic || name.find_first_not_of("0123456789") == std::string_view::npos) {
      if (numbering_ != 0 && numbering_ != (automatic ? 'a' : 'm'))
        return type_error("cannot switch between manual and automatic field numbering");
      numbering_ = automatic ? 'a' : 'm';
      size_t end = 0;
      LANTERN_ASSIGN(const int64_t given, read_number(name, end));
      const size_t index = automatic ? next_++ : static_cast<size_t>(given);
      if (index >= args_.positional.size())
        return type_error("Replacement index {} out of range for positional args tuple", index);
      return args_.positional[index];
    }
    for (const auto& [key, value] : args_.named)
      if (key == name) return value;
    return type_error("the format's field '{}' is not among the arguments", name);
  }

  Runtime& rt_;
  const CallArgs& args_;
  char numbering_ = 0;  // a: automatic, m: manual
  size_t next_ = 0;
};

}  // namespace

Result<Value> percent_format(Runtime& rt, const Text& format, const Value& arguments) {
  return PercentFormatter(rt, format, arguments).run();
}

Result<Value> brace_format(Runtime& rt, const Text& format, const CallArgs& args) {
  TextBuilder out(rt.heap());
  LANTERN_TRY(BraceFormatter(rt, args).write(out, format, 0));
  return out.finish();
}

}  // namespace lantern::text::jinja
