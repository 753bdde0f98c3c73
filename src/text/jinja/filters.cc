// Finding filters by name, and those that do not belong to text or sequences.
#include <algorithm>
#include <array>
#include <cmath>

#include "text/jinja/attributes.h"
#include "text/jinja/builtins.h"
#include "text/jinja/conversion.h"
#include "text/jinja/operations.h"
#include "text/jinja/text_functions.h"

namespace lantern::text::jinja {
namespace {

// Jinja's filters for web pages and debugging, which no chat template has a use for.
constexpr std::array<std::string_view, 7> kUnsupportedFilters = {
    "filesizeformat", "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr"};
// Those whose arguments no signature binds.
constexpr std::array<std::string_view, 6> kOpenFilters = {"format",     "map",    "reject",
                                                          "rejectattr", "select", "selectattr"};

Result<Value> default_filter(Runtime& rt, const Value& value, const Arguments& args) {
  const bool replaced = value.is(Kind::kUndefined) || (args.flag(1, false) && !truthy(value));
  if (!replaced) return value;
  if (args.find(0) != nullptr) return args.at(0);
  return rt.heap().string(Text());
}

Result<Value> attr_filter(Runtime& rt, const Value& value, const Arguments& args) {
  if (!args.at(0).is(Kind::kString)) return type_error("attr needs the attribute's name");
  LANTERN_ASSIGN(std::optional<Value> found, find_attribute(rt, value, args.at(0).view_text()));
  if (found) return std::move(*found);
  return rt.heap().undefined(fmt::format("'{} object' has no attribute '{}'", type_name(value),
                                         args.at(0).view_text().substr(0, 100)));
}

Result<Value> abs_filter(Runtime&, const Value& value, const Arguments&) {
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  if (!value.is_number()) return type_error("bad operand type for abs(): '{}'", type_name(value));
  if (value.is(Kind::kFloat)) return Value::real(std::fabs(value.as_real()), value.origin());
  if (value.as_int() < 0) return sign_operation(Op::kNegative, value);
  return Value::integer(value.as_int(), value.origin());
}

/// int(d), or nothing where d is not finite or does not fit 64 bits.
std::optional<int64_t> truncated(double d) {
  if (!(std::fabs(d) < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(d);
}

Result<Value> int_filter(Runtime&, const Value& value, const Arguments& args) {
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  const Value otherwise = args.find(0) != nullptr ? args.at(0) : Value::integer(0);
  LANTERN_ASSIGN(const int64_t base, args.integer(1, 10));
  if (value.is_integral()) return Value::integer(value.as_int(), value.origin());
  if (value.is(Kind::kFloat)) {
    if (std::isnan(value.as_real())) return otherwise;
    const std::optional<int64_t> integer = truncated(value.as_real());
    if (!integer) return type_error("a float that does not fit a 64-bit integer");
    return Value::integer(*integer, value.origin());
  }
  if (!value.is(Kind::kString)) return otherwise;
  if (base == 0 || (base >= 2 && base <= 36)) {
    LANTERN_ASSIGN(const std::optional<int64_t> integer,
                   parse_integer(value.view_text(), static_cast<int>(base)));
    if (integer) return Value::integer(*integer, value.text().kind());
  }
  const std::optional<double> real = parse_real(value.view_text());
  const std::optional<int64_t> integer = real ? truncated(*real) : std::nullopt;
  return integer ? Value::integer(*integer, value.text().kind()) : otherwise;
}

Result<Value> float_filter(Runtime&, const Value& value, const Arguments& args) {
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  if (value.is_number()) return Value::real(value.as_real(), value.origin());
  if (value.is(Kind::kString)) {
    if (const std::optional<double> real = parse_real(value.view_text()))
      return Value::real(*real, value.text().kind());
  }
  return args.find(0) != nullptr ? args.at(0) : Value::real(0);
}

/// round(value, precision) as Python: the exact decimal value, halves to even.
Result<Value> round_half_even(const Value& value, int64_t precision) {
  if (value.is(Kind::kFloat)) {
    const double d = value.as_real();
    // Past these a double has no digit left to round.
    if (!std::isfinite(d) || precision > 323) return value;
    if (precision < -308) return Value::real(std::copysign(0.0, d), value.origin());
    if (precision < 0) {
      const double unit = std::pow(10.0, static_cast<double>(-precision));
      return Value::real(std::nearbyint(d / unit) * unit, value.origin());
    }
    const std::optional<double> rounded = parse_real(fmt::format("{:.{}f}", d, precision));
    return Value::real(rounded.value_or(d), value.origin());
  }
  const int64_t integer = value.as_int();
  if (precision >= 0) return Value::integer(integer, value.origin());
  if (precision < -18) return Value::integer(0, value.origin());
  int64_t unit = 1;
  for (int64_t i = 0; i < -precision; ++i) unit *= 10;
  int64_t quotient = integer / unit;
  const int64_t remainder = std::abs(integer % unit);
  const bool up = remainder > unit / 2 || (remainder == unit / 2 && quotient % 2 != 0);
  if (up) quotient += integer < 0 ? -1 : 1;
  int64_t out = 0;
  if (__builtin_mul_overflow(quotient, unit, &out))
    return type_error("the rounded number does not fit 64 bits");
  return Value::integer(out, value.origin());
}

Result<Value> round_filter(Runtime& rt, const Value& value, const Arguments& args) {
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  if (!value.is_number())
    return type_error("type {} doesn't define __round__ method", type_name(value));
  LANTERN_ASSIGN(const int64_t precision, args.integer(0, 0));
  const Value* method = args.find(1);
  const std::string_view name =
      method != nullptr && method->is(Kind::kString) ? method->view_text() : "common";
  if (name == "common") return round_half_even(value, precision);
  if (name != "ceil" && name != "floor") return type_error("method must be common, ceil or floor");
  LANTERN_ASSIGN(const Value unit,
                 binary_operation(rt, Op::kPow, Value::integer(10), Value::integer(precision)));
  LANTERN_ASSIGN(const Value scaled, binary_operation(rt, Op::kMul, value, unit));
  const double whole = name == "ceil" ? std::ceil(scaled.as_real()) : std::floor(scaled.as_real());
  // Python's ceil and floor are integers, which have no negative zero.
  return Value::real((whole + 0.0) / unit.as_real(), value.origin());
}

Result<Value> string_filter(Runtime& rt, const Value& value, const Arguments&) {
  return to_string(rt, value);
}

Result<Value> safe_filter(Runtime& rt, const Value& value, const Arguments&) {
  LANTERN_ASSIGN(const Value text, to_string(rt, value));
  return text.as_markup();
}

/// The indent argument of tojson: a number of blanks or the text itself.
Status read_indent(Runtime& rt, const Arguments& args, JsonOptions& options) {
  const Value* indent = args.find_some(1);
  if (indent == nullptr) return {};
  options.indented = true;
  options.item_separator = ",";
  if (indent->is(Kind::kString)) {
    options.indent = indent->view_text();
    return {};
  }
  LANTERN_ASSIGN(const int64_t width, args.integer(1, 0));
  if (width <= 0) return {};
  LANTERN_TRY(rt.heap().check(static_cast<size_t>(width)));
  options.indent.assign(static_cast<size_t>(width), ' ');
  return {};
}

Result<Value> tojson_filter(Runtime& rt, const Value& value, const Arguments& args) {
  JsonOptions options;
  options.ensure_ascii = args.flag(0, false);
  LANTERN_TRY(read_indent(rt, args, options));
  if (const Value* separators = args.find_some(2)) {
    if (!separators->is_sequence() || separators->sequence().items.size() != 2 ||
        !separators->sequence().items[0].is(Kind::kString) ||
        !separators->sequence().items[1].is(Kind::kString))
      return type_error("tojson needs two strings as separators");
    options.item_separator = separators->sequence().items[0].view_text();
    options.key_separator = separators->sequence().items[1].view_text();
  }
  options.sort_keys = args.flag(3, false);
  return to_json(rt, value, options);
}

const Builtin* find_filter(std::string_view name) {
  for (const std::span<const Builtin> filters :
       {text_filters(), sequence_filters(), value_filters()})
    for (const Builtin& filter : filters)
      if (name == filter.signature.function) return &filter;
  return nullptr;
}

}  // namespace

std::span<const Builtin> value_filters() {
  static const std::vector<Builtin> kFilters = {
      {{"abs", {}}, abs_filter},
      {{"attr", {"name"}, 1}, attr_filter},
      {{"d", {"default_value", "boolean"}}, default_filter},
      {{"default", {"default_value", "boolean"}}, default_filter},
      {{"float", {"default"}}, float_filter},
      {{"int", {"default", "base"}}, int_filter},
      {{"round", {"precision", "method"}}, round_filter},
      {{"safe", {}}, safe_filter},
      {{"string", {}}, string_filter},
      {{"tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}}, tojson_filter},
  };
  return kFilters;
}

bool is_filter(std::string_view name) {
  auto has = [&](const auto& names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  return has(kUnsupportedFilters) || has(kOpenFilters) || find_filter(name) != nullptr;
}

Result<Value> apply_filter(Runtime& rt, std::string_view name, const Value& value, CallArgs args) {
  LANTERN_TRY(rt.step());
  LANTERN_ASSIGN(Runtime::Depth depth, rt.enter());
  if (const Builtin* filter = find_filter(name)) {
    LANTERN_ASSIGN(const Arguments bound, Arguments::bind(filter->signature, std::move(args)));
    return filter->function(rt, value, bound);
  }
  if (name == "format") return format_filter(rt, value, std::move(args));
  LANTERN_ASSIGN(std::optional<Value> mapped, apply_mapping_filter(rt, name, value, args));
  if (mapped) return std::move(*mapped);
  if (is_filter(name))
    return make_error(ErrorCode::kUnsupported,
                      "the filter '{}' is not supported in a chat template", name);
  return type_error("there is no filter '{}'", name);
}

}  // namespace lantern::text::jinja
