#include "text/jinja/attributes.h"

#include <algorithm>

#include "text/jinja/text_functions.h"

namespace lantern::text::jinja {
namespace {

/// How an undefined value names the object it was looked for in.
std::string described(const Value& value) {
  return value.is(Kind::kNone) ? "None" : fmt::format("{} object", type_name(value));
}

Value missing(Runtime& rt, const Value& value, std::string_view name) {
  return rt.heap().undefined(fmt::format("'{}' has no attribute '{}'", described(value), name));
}

/// What Python's getattr would find, sandboxed; nothing where it would raise AttributeError.
Result<std::optional<Value>> attribute_of(Runtime& rt, const Value& value, std::string_view name) {
  if (value.is(Kind::kNamespace)) {
    if (const Value* found = value.ns().find(name)) return std::optional<Value>(*found);
  }
  if (value.is(Kind::kCallable)) {
    LANTERN_ASSIGN(std::optional<Value> found, value.callable().attribute(rt, name));
    if (found) return found;
  }
  if (value.is(Kind::kTuple) && value.sequence().grouped && (name == "grouper" || name == "list"))
    return std::optional<Value>(value.sequence().items[name == "list" ? 1 : 0]);
  if (value.is(Kind::kRange)) {
    const Range& r = value.range();
    if (name == "start") return std::optional<Value>(Value::integer(r.start));
    if (name == "stop") return std::optional<Value>(Value::integer(r.stop));
    if (name == "step") return std::optional<Value>(Value::integer(r.step));
  }
  return find_method(rt, value, name);
}

Result<std::optional<Value>> item_at(const Value& value, int64_t index, Runtime& rt) {
  const std::optional<int64_t> length = length_of(value);
  if (!length) return std::optional<Value>();
  if (index < 0) index += *length;
  if (index < 0 || index >= *length) return std::optional<Value>();
  if (value.is(Kind::kRange)) return std::optional<Value>(Value::integer(value.range().at(index)));
  if (value.is_sequence())
    return std::optional<Value>(value.sequence().items[static_cast<size_t>(index)]);
  const Text& text = value.text();
  const size_t begin = text.byte_at(static_cast<size_t>(index));
  if (!text.ascii()) LANTERN_TRY(rt.read(begin));
  size_t size = 0;
  decode_code_point(text.view(), begin, size);
  LANTERN_ASSIGN(Value character, slice_bytes(rt, text, begin, begin + size));
  return std::optional<Value>(std::move(character));
}

/// What Python's value[key] would find; nothing where it would raise TypeError or LookupError.
Result<std::optional<Value>> item_of(Runtime& rt, const Value& value, const Value& key) {
  if (value.is(Kind::kDict)) {
    auto encoded = hash_key(key);
    if (!encoded.ok()) return std::optional<Value>();
    const Value* found = value.dict().find_encoded(*encoded);
    return found != nullptr ? std::optional<Value>(*found) : std::nullopt;
  }
  const bool indexed = value.is_sequence() || value.is(Kind::kString) || value.is(Kind::kRange);
  if (!indexed || !key.is_integral()) return std::optional<Value>();
  return item_at(value, key.as_int(), rt);
}

/// A slice's bounds over `length` items, as Python's slice.indices() gives them.
struct Bounds {
  int64_t begin, end, step;
};

Result<Bounds> slice_bounds(int64_t length, const Value* begin, const Value* end,
                            const Value* step) {
  auto integer = [](const Value* v, int64_t otherwise) -> Result<int64_t> {
    if (v == nullptr || v->is(Kind::kNone)) return otherwise;
    if (!v->is_integral()) return type_error("slice indices must be integers or None");
    return v->as_int();
  };
  LANTERN_ASSIGN(const int64_t by, integer(step, 1));
  if (by == 0) return type_error("slice step cannot be zero");
  const int64_t lowest = by < 0 ? -1 : 0;
  const int64_t highest = by < 0 ? length - 1 : length;
  auto place = [&](int64_t at) {
    if (at < 0) at = at < -length ? lowest : at + length;
    return std::clamp(at, lowest, highest);
  };
  Bounds out{by < 0 ? highest : lowest, by < 0 ? lowest : highest, by};
  if (begin != nullptr && !begin->is(Kind::kNone)) {
    LANTERN_ASSIGN(const int64_t at, integer(begin, 0));
    out.begin = place(at);
  }
  if (end != nullptr && !end->is(Kind::kNone)) {
    LANTERN_ASSIGN(const int64_t at, integer(end, 0));
    out.end = place(at);
  }
  return out;
}

int64_t slice_length(const Bounds& b) {
  if (b.step > 0) return b.begin < b.end ? (b.end - b.begin - 1) / b.step + 1 : 0;
  // Not -step: that overflows for the lowest integer.
  return b.end < b.begin ? (b.begin - b.end - 1) / -std::max(b.step, -INT64_MAX) + 1 : 0;
}

Result<Value> slice_text(Runtime& rt, const Text& text, const Bounds& bounds) {
  const int64_t count = slice_length(bounds);
  LANTERN_TRY(rt.read(text.size_bytes()));
  if (count == 0) return rt.heap().string(Text());
  if (bounds.step == 1)
    return slice_bytes(rt, text, text.byte_at(static_cast<size_t>(bounds.begin)),
                       text.byte_at(static_cast<size_t>(bounds.end)));
  std::vector<size_t> starts;  // of each character, where they differ from bytes
  if (!text.ascii()) {
    LANTERN_TRY(rt.heap().check(text.length() * sizeof(size_t)));
    size_t size = 0;
    for (size_t at = 0; at < text.size_bytes(); at += size) {
      decode_code_point(text.view(), at, size);
      starts.push_back(at);
    }
    starts.push_back(text.size_bytes());
  }
  TextBuilder out(rt.heap());
  LANTERN_TRY(rt.step(static_cast<uint64_t>(count) / 8));
  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(bounds.begin + i * bounds.step);
    if (text.ascii())
      out.append(text, at, at + 1);
    else
      out.append(text, starts[at], starts[at + 1]);
  }
  return out.finish();
}

Result<Value> slice_range(Runtime& rt, const Range& from, const Bounds& bounds, int64_t count) {
  auto* range = rt.heap().make<Range>();
  auto place = [&](int64_t index, int64_t& out) {
    return !__builtin_mul_overflow(index, from.step, &out) &&
           !__builtin_add_overflow(out, from.start, &out);
  };
  if (!place(bounds.begin, range->start) || !place(bounds.end, range->stop) ||
      __builtin_mul_overflow(from.step, bounds.step, &range->step))
    return type_error("the slice of a range does not fit 64 bits");
  range->length = count;
  return Value::range(range);
}

}  // namespace

Result<std::optional<Value>> find_attribute(Runtime& rt, const Value& value,
                                            std::string_view name) {
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  return attribute_of(rt, value, name);
}

Result<Value> get_attribute(Runtime& rt, const Value& value, std::string_view name) {
  LANTERN_TRY(rt.step());
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  LANTERN_ASSIGN(std::optional<Value> found, attribute_of(rt, value, name));
  if (found) return std::move(*found);
  if (value.is(Kind::kDict)) {
    if (const Value* item = value.dict().find(name)) return *item;
  }
  return missing(rt, value, name);
}

Result<Value> get_item(Runtime& rt, const Value& value, const Value& key) {
  LANTERN_TRY(rt.step());
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  LANTERN_ASSIGN(std::optional<Value> found, item_of(rt, value, key));
  if (found) return std::move(*found);
  if (key.is(Kind::kString)) {
    LANTERN_ASSIGN(found, attribute_of(rt, value, key.view_text()));
    if (found) return std::move(*found);
    return missing(rt, value, key.view_text().substr(0, 100));
  }
  if (key.is_integral())
    return rt.heap().undefined(fmt::format("{} has no element {}", described(value), key.as_int()));
  return rt.heap().undefined(fmt::format("{} has no such element", described(value)));
}

Result<Value> get_slice(Runtime& rt, const Value& value, const Value* begin, const Value* end,
                        const Value* step) {
  LANTERN_TRY(rt.step());
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  const bool sliced = value.is_sequence() || value.is(Kind::kString) || value.is(Kind::kRange);
  if (!sliced) return type_error("'{}' object cannot be sliced", type_name(value));
  LANTERN_ASSIGN(const Bounds bounds, slice_bounds(*length_of(value), begin, end, step));
  if (value.is(Kind::kString)) return slice_text(rt, value.text(), bounds);
  const int64_t count = slice_length(bounds);
  if (value.is(Kind::kRange)) {
    return slice_range(rt, value.range(), bounds, count);
  }
  LANTERN_TRY(rt.step(static_cast<uint64_t>(count) / 8));
  LANTERN_TRY(rt.heap().check(static_cast<size_t>(count) * sizeof(Value)));
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    items.push_back(value.sequence().items[static_cast<size_t>(bounds.begin + i * bounds.step)]);
  return value.is(Kind::kList) ? rt.heap().list(std::move(items))
                               : rt.heap().tuple(std::move(items));
}

Result<Value> call_value(Runtime& rt, const Value& callee, CallArgs args) {
  LANTERN_TRY(rt.step());
  if (callee.is(Kind::kUndefined)) return undefined_error(callee);
  if (!callee.is(Kind::kCallable))
    return type_error("'{}' object is not callable", type_name(callee));
  LANTERN_ASSIGN(Runtime::Depth depth, rt.enter());
  return callee.callable().call(rt, std::move(args));
}

}  // namespace lantern::text::jinja
