#include "text/jinja/value.h"

#include <cmath>

#include "text/jinja/callable.h"

namespace lantern::text::jinja {
namespace {

constexpr size_t kIndexedFrom = 9;   // smaller dicts are searched in order
constexpr size_t kKeyDepthMax = 32;  // tuples within a key

Status append_key(const Value& key, size_t depth, std::string& out) {
  switch (key.kind()) {
    case Kind::kString:
      out += fmt::format("s{}:", key.text().size_bytes());
      out += key.view_text();
      return {};
    case Kind::kNone:
      out += 'n';
      return {};
    case Kind::kBool:
    case Kind::kInt:
      out += fmt::format("i{};", key.as_int());
      return {};
    case Kind::kFloat:
      if (double d = key.as_real(); d == std::floor(d) && std::fabs(d) < 9e18)
        out += fmt::format("i{};", static_cast<int64_t>(d));
      else
        out += fmt::format("f{};", d);
      return {};
    case Kind::kTuple:
      if (depth >= kKeyDepthMax)
        return make_error(ErrorCode::kTooLarge, "a dict key nested deeper than {} tuples",
                          kKeyDepthMax);
      out += fmt::format("t{}(", key.sequence().items.size());
      for (const Value& item : key.sequence().items) LANTERN_TRY(append_key(item, depth + 1, out));
      return {};
    case Kind::kUndefined:
      out += 'u';
      return {};
    case Kind::kNamespace:
    case Kind::kCallable:
      out += fmt::format(
          "o{};", static_cast<const void*>(key.is(Kind::kNamespace)
                                               ? static_cast<const Object*>(&key.ns())
                                               : static_cast<const Object*>(&key.callable())));
      return {};
    case Kind::kList:
    case Kind::kDict:
    case Kind::kView:
    case Kind::kIterator:
    case Kind::kRange:
      break;
  }
  return make_error(ErrorCode::kInvalidArgument, "unhashable type: '{}'", type_name(key));
}

}  // namespace

Value Value::object(Kind kind, const void* object) {
  Value v;
  v.kind_ = kind;
  // Only namespaces, iterators and callables are changed through it, and those come in non-const.
  v.object_ = const_cast<void*>(object);  // NOLINT
  return v;
}

Value Value::boolean(bool b) {
  Value v;
  v.kind_ = Kind::kBool;
  v.number_.i = b ? 1 : 0;
  return v;
}

Value Value::integer(int64_t i, SpanKind kind) {
  Value v;
  v.kind_ = Kind::kInt;
  v.origin_ = kind;
  v.number_.i = i;
  return v;
}

Value Value::real(double d, SpanKind kind) {
  Value v;
  v.kind_ = Kind::kFloat;
  v.origin_ = kind;
  v.number_.d = d;
  return v;
}

Value Value::string(TextRef text) {
  Value v;
  v.kind_ = Kind::kString;
  v.text_ = std::move(text);
  return v;
}

Value Value::undefined(const Undefined* why) { return object(Kind::kUndefined, why); }
Value Value::dict(const Dict* v) { return object(Kind::kDict, v); }
Value Value::iterator(Iterator* v) { return object(Kind::kIterator, v); }
Value Value::range(const Range* v) { return object(Kind::kRange, v); }
Value Value::ns(Namespace* v) { return object(Kind::kNamespace, v); }
Value Value::callable(Callable* v) { return object(Kind::kCallable, v); }

const Sequence& Value::sequence() const { return *static_cast<const Sequence*>(object_); }
const Dict& Value::dict() const { return *static_cast<const Dict*>(object_); }
Iterator& Value::iterator() const { return *static_cast<Iterator*>(object_); }
const Range& Value::range() const { return *static_cast<const Range*>(object_); }
Namespace& Value::ns() const { return *static_cast<Namespace*>(object_); }
const Undefined& Value::undefined() const { return *static_cast<const Undefined*>(object_); }
Callable& Value::callable() const { return *static_cast<Callable*>(object_); }

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [key, value] : attributes)
    if (key == name) return &value;
  return nullptr;
}

Result<std::string> hash_key(const Value& key) {
  std::string out;
  LANTERN_TRY(append_key(key, 0, out));
  return out;
}

const Value* Dict::find(std::string_view key) const {
  if (entries.size() >= kIndexedFrom) {
    return find_encoded(fmt::format("s{}:", key.size()) + std::string(key));
  }
  for (const Entry& e : entries)
    if (e.key.is(Kind::kString) && e.key.view_text() == key) return &e.value;
  return nullptr;
}

const Value* Dict::find_encoded(const std::string& key) const {
  auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries[found->second].value;
}

void Dict::set(Value key, std::string encoded, Value value) {
  auto [place, fresh] = index_.try_emplace(std::move(encoded), entries.size());
  if (fresh)
    entries.push_back({std::move(key), std::move(value)});
  else
    entries[place->second].value = std::move(value);
}

Error Heap::exhausted() const {
  return make_error(ErrorCode::kTooLarge,
                    "the template needs more than the {} bytes of memory it may use", bytes_max_);
}

Status Heap::check(size_t bytes) const {
  if (bytes > bytes_left()) return exhausted();
  return {};
}

Status Heap::charge(size_t bytes) {
  LANTERN_TRY(check(bytes));
  bytes_ += bytes;
  return {};
}

Result<Value> Heap::string(Text text) {
  const size_t bytes = text.memory_bytes();
  LANTERN_TRY(charge(bytes));
  auto give_back = [this, bytes](const Text* t) {
    bytes_ -= bytes;
    delete t;  // NOLINT: the deleter of the shared_ptr below
  };
  return Value::string(TextRef(new Text(std::move(text)), give_back));
}

Result<Value> Heap::list(std::vector<Value> items) {
  LANTERN_TRY(charge(items.capacity() * sizeof(Value)));
  auto* sequence = make<Sequence>();
  sequence->items = std::move(items);
  return Value::list(sequence);
}

Result<Value> Heap::tuple(std::vector<Value> items) {
  LANTERN_TRY(charge(items.capacity() * sizeof(Value)));
  auto* sequence = make<Sequence>();
  sequence->items = std::move(items);
  return Value::tuple(sequence);
}

Result<Value> Heap::view(const char* name, std::vector<Value> items) {
  LANTERN_TRY(charge(items.capacity() * sizeof(Value)));
  auto* sequence = make<Sequence>();
  sequence->items = std::move(items);
  sequence->view_name = name;
  return Value::view(sequence);
}

Result<Value> Heap::iterator(std::vector<Value> items) {
  LANTERN_TRY(charge(items.capacity() * sizeof(Value)));
  auto* iterator = make<Iterator>();
  iterator->items = std::move(items);
  return Value::iterator(iterator);
}

Value Heap::undefined(std::string message, bool unsafe) {
  auto* why = make<Undefined>();
  bytes_ += message.size();
  why->message = std::move(message);
  why->unsafe = unsafe;
  return Value::undefined(why);
}

Result<Value> TextBuilder::finish() {
  LANTERN_ASSIGN(Text text, take());
  return heap_.string(std::move(text));
}

Result<Text> TextBuilder::take() {
  if (full_) return heap_.exhausted();
  return std::move(text_);
}

const char* type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kString:
      return "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kView:
      return value.sequence().view_name;
    case Kind::kIterator:
      return "generator";
    case Kind::kRange:
      return "range";
    case Kind::kNamespace:
      return "Namespace";
    case Kind::kCallable:
      break;
  }
  return value.callable().type_name();
}

bool truthy(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInt:
      return value.as_int() != 0;
    case Kind::kFloat:
      return value.as_real() != 0;
    case Kind::kString:
      return !value.text().empty();
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kView:
      return !value.sequence().items.empty();
    case Kind::kDict:
      return !value.dict().entries.empty();
    case Kind::kRange:
      return value.range().length != 0;
    case Kind::kIterator:
    case Kind::kNamespace:
    case Kind::kCallable:
      break;
  }
  return true;
}

}  // namespace lantern::text::jinja
