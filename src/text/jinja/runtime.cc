#include "text/jinja/runtime.h"

#include "text/jinja/callable.h"

namespace lantern::text::jinja {

Error Runtime::past_limit() const {
  if (heap_.bytes_left() == 0) return heap_.exhausted();
  return make_error(ErrorCode::kTooLarge,
                    "the template takes more than {} steps; it may loop without end",
                    limits_.steps_max);
}

Error Runtime::too_deep() const {
  return make_error(ErrorCode::kTooLarge,
                    "the template nests deeper than {} evaluations; a macro may call itself "
                    "without end",
                    limits_.depth_max);
}

Error undefined_error(const Value& undefined) {
  return make_error(ErrorCode::kInvalidArgument, "{}", undefined.undefined().message);
}

Result<Cursor> Cursor::over(const Value& source) {
  Cursor cursor;
  cursor.source_ = source;
  switch (source.kind()) {
    case Kind::kUndefined:
      if (source.undefined().unsafe) return undefined_error(source);
      return cursor;
    case Kind::kString:
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kIterator:
    case Kind::kRange:
      return cursor;
    default:
      return type_error("'{}' object is not iterable", type_name(source));
  }
}

Result<std::optional<Value>> Cursor::next(Runtime& rt) {
  LANTERN_TRY(rt.step());
  switch (source_.kind()) {
    case Kind::kString: {
      const Text& text = source_.text();
      if (position_ >= text.size_bytes()) return std::optional<Value>();
      size_t size = 0;
      decode_code_point(text.view(), position_, size);
      Text one;
      one.append(text, position_, position_ + size);
      position_ += size;
      LANTERN_ASSIGN(Value value, rt.heap().string(std::move(one)));
      return std::optional<Value>(std::move(value));
    }
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView: {
      const auto& items = source_.sequence().items;
      if (position_ >= items.size()) return std::optional<Value>();
      return std::optional<Value>(items[position_++]);
    }
    case Kind::kDict: {
      const auto& entries = source_.dict().entries;
      if (position_ >= entries.size()) return std::optional<Value>();
      return std::optional<Value>(entries[position_++].key);
    }
    case Kind::kIterator: {
      Iterator& iterator = source_.iterator();
      if (iterator.next >= iterator.items.size()) return std::optional<Value>();
      return std::optional<Value>(iterator.items[iterator.next++]);
    }
    case Kind::kRange: {
      const Range& range = source_.range();
      if (static_cast<int64_t>(position_) >= range.length) return std::optional<Value>();
      return std::optional<Value>(Value::integer(range.at(static_cast<int64_t>(position_++))));
    }
    default:
      return std::optional<Value>();
  }
}

Result<std::vector<Value>> items_of(Runtime& rt, const Value& value) {
  if (value.is_sequence() || value.is(Kind::kView)) {
    const auto& items = value.sequence().items;
    LANTERN_TRY(rt.step(1 + items.size() / 8));
    LANTERN_TRY(rt.heap().check(items.size() * sizeof(Value)));
    return items;
  }
  LANTERN_ASSIGN(Cursor cursor, Cursor::over(value));
  std::vector<Value> out;
  while (true) {
    LANTERN_ASSIGN(std::optional<Value> item, cursor.next(rt));
    if (!item) return out;
    if (out.size() == out.capacity()) LANTERN_TRY(rt.heap().check(2 * out.size() * sizeof(Value)));
    out.push_back(std::move(*item));
  }
}

std::optional<int64_t> length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(value.text().length());
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      return static_cast<int64_t>(value.sequence().items.size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().entries.size());
    case Kind::kRange:
      return value.range().length;
    default:
      return std::nullopt;
  }
}

Result<std::optional<Value>> Callable::attribute(Runtime&, std::string_view) {
  return std::optional<Value>();
}

Result<Arguments> Arguments::bind(const Signature& signature, CallArgs args) {
  Arguments bound;
  bound.function_ = signature.function;
  bound.values_.resize(signature.names.size());
  if (args.positional.size() > signature.names.size())
    return type_error("{}() takes at most {} arguments, {} were given", signature.function,
                      signature.names.size(), args.positional.size());
  for (size_t i = 0; i < args.positional.size(); ++i)
    bound.values_[i] = std::move(args.positional[i]);
  for (auto& [name, value] : args.named) {
    size_t i = 0;
    while (i < signature.names.size() && name != signature.names[i]) ++i;
    if (i == signature.names.size())
      return type_error("{}() has no argument '{}'", signature.function, name);
    if (bound.values_[i])
      return type_error("{}() was given the argument '{}' twice", signature.function, name);
    bound.values_[i] = std::move(value);
  }
  for (size_t i = 0; i < signature.n_required; ++i)
    if (!bound.values_[i])
      return type_error("{}() needs the argument '{}'", signature.function, signature.names[i]);
  return bound;
}

Result<int64_t> Arguments::integer(size_t index, int64_t otherwise) const {
  const Value* v = find(index);
  if (v == nullptr) return otherwise;
  if (v->is(Kind::kUndefined)) return undefined_error(*v);
  if (!v->is_integral())
    return type_error("{}() needs an integer, not '{}'", function_, jinja::type_name(*v));
  return v->as_int();
}

}  // namespace lantern::text::jinja
