#include "text/jinja/operations.h"

#include <algorithm>
#include <cmath>

#include "text/jinja/format.h"
#include "text/jinja/text_functions.h"

namespace lantern::text::jinja {
namespace {

const char* symbol(Op op) {
  switch (op) {
    case Op::kAdd:
      return "+";
    case Op::kSub:
    case Op::kNegative:
      return "-";
    case Op::kMul:
      return "*";
    case Op::kDiv:
      return "/";
    case Op::kFloorDiv:
      return "//";
    case Op::kMod:
      return "%";
    case Op::kPow:
      return "**";
    case Op::kLt:
      return "<";
    case Op::kLe:
      return "<=";
    case Op::kGt:
      return ">";
    case Op::kGe:
      return ">=";
    default:
      return "?";
  }
}

SpanKind origin_of(const Value& a, const Value& b) {
  return a.origin() == SpanKind::kContent || b.origin() == SpanKind::kContent ? SpanKind::kContent
                                                                              : SpanKind::kLiteral;
}

Error overflow(Op op) {
  return type_error("the result of '{}' does not fit a 64-bit integer", symbol(op));
}

Error no_meaning(Op op, const Value& left, const Value& right) {
  return type_error("unsupported operand types for {}: '{}' and '{}'", symbol(op), type_name(left),
                    type_name(right));
}

/// base**exponent by squaring; false where it overflows.
bool integer_power(int64_t base, int64_t exponent, int64_t& out) {
  out = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(out, base, &out)) return false;
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return false;
  }
  return true;
}

Result<Value> real_operation(Op op, double a, double b, SpanKind kind) {
  switch (op) {
    case Op::kAdd:
      return Value::real(a + b, kind);
    case Op::kSub:
      return Value::real(a - b, kind);
    case Op::kMul:
      return Value::real(a * b, kind);
    case Op::kPow: {
      if (a == 0 && b < 0) return type_error("0.0 cannot be raised to a negative power");
      if (a < 0 && b != std::floor(b)) return type_error("the power is a complex number");
      const double power = std::pow(a, b);
      if (std::isinf(power) && std::isfinite(a) && std::isfinite(b)) return overflow(op);
      return Value::real(power, kind);
    }
    default:
      break;
  }
  if (b == 0) return type_error("division by zero");
  if (op == Op::kDiv) return Value::real(a / b, kind);
  // The remainder has the divisor's sign.
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  if (op == Op::kMod) return Value::real(remainder == 0 ? std::copysign(0.0, b) : remainder, kind);
  const double quotient = (a - remainder) / b;
  return Value::real(quotient == 0 ? std::copysign(0.0, a / b) : std::round(quotient), kind);
}

Result<Value> integer_operation(Op op, int64_t a, int64_t b, SpanKind kind) {
  int64_t out = 0;
  switch (op) {
    case Op::kAdd:
      if (__builtin_add_overflow(a, b, &out)) return overflow(op);
      return Value::integer(out, kind);
    case Op::kSub:
      if (__builtin_sub_overflow(a, b, &out)) return overflow(op);
      return Value::integer(out, kind);
    case Op::kMul:
      if (__builtin_mul_overflow(a, b, &out)) return overflow(op);
      return Value::integer(out, kind);
    case Op::kPow:
      if (b < 0) return real_operation(op, static_cast<double>(a), static_cast<double>(b), kind);
      if (!integer_power(a, b, out)) return overflow(op);
      return Value::integer(out, kind);
    default:
      break;
  }
  if (b == 0) return type_error("division by zero");
  if (op == Op::kDiv) return Value::real(static_cast<double>(a) / static_cast<double>(b), kind);
  if (b == -1) {
    if (op == Op::kMod) return Value::integer(0, kind);
    if (__builtin_sub_overflow(int64_t{0}, a, &out)) return overflow(op);
    return Value::integer(out, kind);
  }
  // Python rounds the quotient down, C++ towards zero.
  const int64_t remainder = a % b;
  const bool adjust = remainder != 0 && (remainder < 0) != (b < 0);
  if (op == Op::kMod) return Value::integer(adjust ? remainder + b : remainder, kind);
  return Value::integer(adjust ? a / b - 1 : a / b, kind);
}

Result<Value> repeat_text(Runtime& rt, const Text& text, int64_t count) {
  if (text.empty() || count <= 0) return rt.heap().string(Text());
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(text.size_bytes(), static_cast<uint64_t>(count), &bytes))
    return rt.heap().exhausted();
  LANTERN_TRY(rt.heap().check(bytes));
  LANTERN_TRY(rt.read(bytes));
  LANTERN_TRY(rt.step(static_cast<uint64_t>(count) / 16));
  TextBuilder out(rt.heap());
  for (int64_t i = 0; i < count && !out.full(); ++i) out.append(text);
  return out.finish();
}

Result<Value> repeat_items(Runtime& rt, const Value& sequence, int64_t count) {
  const auto& items = sequence.sequence().items;
  std::vector<Value> out;
  if (!items.empty() && count > 0) {
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(items.size() * sizeof(Value), static_cast<uint64_t>(count), &bytes))
      return rt.heap().exhausted();
    LANTERN_TRY(rt.heap().check(bytes));
    LANTERN_TRY(rt.step(bytes / sizeof(Value)));
    out.reserve(items.size() * static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) out.insert(out.end(), items.begin(), items.end());
  }
  return sequence.is(Kind::kList) ? rt.heap().list(std::move(out))
                                  : rt.heap().tuple(std::move(out));
}

Result<Value> add_texts(Runtime& rt, const Value& left, const Value& right) {
  LANTERN_TRY(rt.read(left.text().size_bytes() + right.text().size_bytes()));
  TextBuilder out(rt.heap());
  if (!left.is_markup() && !right.is_markup()) {
    out.append(left.text());
    out.append(right.text());
    return out.finish();
  }
  append_escaped(out, left);
  append_escaped(out, right);
  LANTERN_ASSIGN(const Value sum, out.finish());
  return sum.as_markup();
}

Result<Value> add_sequences(Runtime& rt, const Value& left, const Value& right) {
  LANTERN_ASSIGN(std::vector<Value> items, items_of(rt, left));
  const auto& more = right.sequence().items;
  LANTERN_TRY(rt.heap().check((items.size() + more.size()) * sizeof(Value)));
  LANTERN_TRY(rt.step(1 + more.size() / 8));
  items.insert(items.end(), more.begin(), more.end());
  return left.is(Kind::kList) ? rt.heap().list(std::move(items))
                              : rt.heap().tuple(std::move(items));
}

Result<bool> equal_items(Runtime& rt, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    LANTERN_ASSIGN(const bool same, equals(rt, a[i], b[i]));
    if (!same) return false;
  }
  return true;
}

Result<bool> equal_dicts(Runtime& rt, const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const Dict::Entry& e : a.entries) {
    LANTERN_ASSIGN(const std::string key, hash_key(e.key));
    const Value* other = b.find_encoded(key);
    if (other == nullptr) return false;
    LANTERN_ASSIGN(const bool same, equals(rt, e.value, *other));
    if (!same) return false;
  }
  return true;
}

Result<bool> less_items(Runtime& rt, const std::vector<Value>& a, const std::vector<Value>& b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    LANTERN_ASSIGN(const bool same, equals(rt, a[i], b[i]));
    if (!same) return less(rt, a[i], b[i]);
  }
  return a.size() < b.size();
}

}  // namespace

Result<Value> binary_operation(Runtime& rt, Op op, const Value& left, const Value& right) {
  LANTERN_TRY(rt.step());
  if (op == Op::kMod && left.is(Kind::kString)) return percent_format(rt, left.text(), right);
  if (left.is(Kind::kUndefined)) return undefined_error(left);
  if (right.is(Kind::kUndefined)) return undefined_error(right);
  if (left.is_number() && right.is_number()) {
    const SpanKind kind = origin_of(left, right);
    if (left.is(Kind::kFloat) || right.is(Kind::kFloat))
      return real_operation(op, left.as_real(), right.as_real(), kind);
    return integer_operation(op, left.as_int(), right.as_int(), kind);
  }
  if (op == Op::kAdd && left.is(Kind::kString) && right.is(Kind::kString)) {
    return add_texts(rt, left, right);
  }
  if (op == Op::kAdd && left.is_sequence() && left.kind() == right.kind())
    return add_sequences(rt, left, right);
  if (op == Op::kMul) {
    const Value& repeated = left.is_integral() ? right : left;
    const Value& count = left.is_integral() ? left : right;
    if (count.is_integral() && repeated.is(Kind::kString))
      return repeat_text(rt, repeated.text(), count.as_int());
    if (count.is_integral() && repeated.is_sequence())
      return repeat_items(rt, repeated, count.as_int());
  }
  return no_meaning(op, left, right);
}

Result<Value> sign_operation(Op op, const Value& operand) {
  if (operand.is(Kind::kUndefined)) return undefined_error(operand);
  if (!operand.is_number())
    return type_error("bad operand type for unary {}: '{}'", op == Op::kNegative ? "-" : "+",
                      type_name(operand));
  if (operand.is(Kind::kFloat))
    return op == Op::kNegative ? Value::real(-operand.as_real(), operand.origin()) : operand;
  int64_t out = operand.as_int();
  if (op == Op::kNegative && __builtin_sub_overflow(int64_t{0}, out, &out)) return overflow(op);
  return Value::integer(out, operand.origin());
}

Result<bool> equals(Runtime& rt, const Value& left, const Value& right) {
  LANTERN_TRY(rt.step());
  if (left.is_number() && right.is_number()) {
    if (left.is(Kind::kFloat) || right.is(Kind::kFloat)) return left.as_real() == right.as_real();
    return left.as_int() == right.as_int();
  }
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      LANTERN_TRY(rt.read(std::min(left.text().size_bytes(), right.text().size_bytes())));
      return left.view_text() == right.view_text();
    case Kind::kList:
    case Kind::kTuple: {
      if (left.same_object(right)) return true;
      LANTERN_ASSIGN(Runtime::Depth depth, rt.enter());
      return equal_items(rt, left.sequence().items, right.sequence().items);
    }
    case Kind::kDict: {
      if (left.same_object(right)) return true;
      LANTERN_ASSIGN(Runtime::Depth depth, rt.enter());
      return equal_dicts(rt, left.dict(), right.dict());
    }
    case Kind::kRange: {
      const Range& a = left.range();
      const Range& b = right.range();
      return a.length == b.length && (a.length == 0 || a.start == b.start) &&
             (a.length < 2 || a.step == b.step);
    }
    default:
      return left.same_object(right);
  }
}

Result<bool> less(Runtime& rt, const Value& left, const Value& right) {
  LANTERN_TRY(rt.step());
  if (left.is(Kind::kUndefined)) return undefined_error(left);
  if (right.is(Kind::kUndefined)) return undefined_error(right);
  if (left.is_number() && right.is_number()) {
    if (left.is(Kind::kFloat) || right.is(Kind::kFloat)) return left.as_real() < right.as_real();
    return left.as_int() < right.as_int();
  }
  if (left.is(Kind::kString) && right.is(Kind::kString)) {
    // UTF-8 orders as code points do.
    LANTERN_TRY(rt.read(std::min(left.text().size_bytes(), right.text().size_bytes())));
    return left.view_text() < right.view_text();
  }
  if (left.is_sequence() && left.kind() == right.kind()) {
    LANTERN_ASSIGN(Runtime::Depth depth, rt.enter());
    return less_items(rt, left.sequence().items, right.sequence().items);
  }
  return type_error("'<' not supported between instances of '{}' and '{}'", type_name(left),
                    type_name(right));
}

Result<bool> contains(Runtime& rt, const Value& container, const Value& item) {
  if (container.is(Kind::kString)) {
    if (!item.is(Kind::kString))
      return type_error("'in <string>' requires string as left operand, not {}", type_name(item));
    LANTERN_TRY(rt.read(container.text().size_bytes()));
    return find_bytes(container.view_text(), item.view_text()) != std::string_view::npos;
  }
  if (container.is(Kind::kDict)) {
    LANTERN_ASSIGN(const std::string key, hash_key(item));
    LANTERN_TRY(rt.read(key.size()));
    return container.dict().find_encoded(key) != nullptr;
  }
  LANTERN_ASSIGN(Cursor cursor, Cursor::over(container));
  while (true) {
    LANTERN_ASSIGN(std::optional<Value> candidate, cursor.next(rt));
    if (!candidate) return false;
    LANTERN_ASSIGN(const bool same, equals(rt, *candidate, item));
    if (same) return true;
  }
}

Result<bool> comparison(Runtime& rt, Op op, const Value& left, const Value& right) {
  switch (op) {
    case Op::kEq:
      return equals(rt, left, right);
    case Op::kNe: {
      LANTERN_ASSIGN(const bool same, equals(rt, left, right));
      return !same;
    }
    case Op::kLt:
      return less(rt, left, right);
    case Op::kGt:
      return less(rt, right, left);
    case Op::kIn:
      return contains(rt, right, left);
    case Op::kNotIn: {
      LANTERN_ASSIGN(const bool within, contains(rt, right, left));
      return !within;
    }
    default:
      break;
  }
  // Not "not greater": NaN is neither.
  const Value& low = op == Op::kLe ? left : right;
  const Value& high = op == Op::kLe ? right : left;
  LANTERN_ASSIGN(const bool is_less, less(rt, low, high));
  if (is_less) return true;
  return equals(rt, low, high);
}

Result<std::vector<size_t>> sorted_order(Runtime& rt, const std::vector<Value>& keys,
                                         bool reverse) {
  std::vector<size_t> order(keys.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::vector<size_t> merged(order.size());
  for (size_t width = 1; width < order.size(); width *= 2) {
    for (size_t begin = 0; begin < order.size(); begin += 2 * width) {
      const size_t middle = std::min(begin + width, order.size());
      const size_t end = std::min(begin + 2 * width, order.size());
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool take_right = left == middle;
        if (left < middle && right < end) {
          const Value& a = keys[order[reverse ? left : right]];
          const Value& b = keys[order[reverse ? right : left]];
          LANTERN_ASSIGN(take_right, less(rt, a, b));
        }
        merged[out] = take_right ? order[right++] : order[left++];
      }
    }
    std::swap(order, merged);
  }
  return order;
}

Status put(Runtime& rt, Dict& dict, Value key, Value value) {
  LANTERN_ASSIGN(std::string encoded, hash_key(key));
  // The entry, the index's node and the encoded key.
  constexpr size_t kEntryBytes = sizeof(Dict::Entry) + 96;
  LANTERN_TRY(rt.heap().charge(kEntryBytes + encoded.size()));
  dict.set(std::move(key), std::move(encoded), std::move(value));
  return {};
}

}  // namespace lantern::text::jinja
