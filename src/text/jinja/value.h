// The values a template computes with, and the heap that bounds what they take.
//
// Ownership: strings are leaves and counted references, given back when the last goes.
// Containers, scopes and callables live until their Heap is destroyed and point at each
// other freely: a template can make cycles (a namespace holding itself) and chains of any
// depth, and neither may leak or recurse in a destructor. Containers do not change once a
// template sees them (the sandbox forbids it), only namespaces do.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/text.h"

namespace lantern::text::jinja {

using TextRef = std::shared_ptr<const Text>;

enum class Kind : uint8_t {
  kUndefined,
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kView,      // dict.keys(), values(), items(): has a length, no subscript
  kIterator,  // what a lazy filter gives: seen once
  kRange,
  kNamespace,
  kCallable,  // a function, a method bound to its value, a macro, loop, cycler, joiner
};

class Object;
struct Sequence;
struct Dict;
struct Iterator;
struct Range;
struct Namespace;
struct Undefined;
class Callable;

class Value {
 public:
  Value() = default;  // none
  static Value none() { return {}; }
  static Value boolean(bool v);
  /// `kind`: content where the number was in a message, or computed from one that was.
  static Value integer(int64_t v, SpanKind kind = SpanKind::kLiteral);
  static Value real(double v, SpanKind kind = SpanKind::kLiteral);
  static Value string(TextRef text);
  static Value undefined(const Undefined* why);
  static Value list(const Sequence* v) { return object(Kind::kList, v); }
  static Value tuple(const Sequence* v) { return object(Kind::kTuple, v); }
  static Value dict(const Dict* v);
  static Value view(const Sequence* v) { return object(Kind::kView, v); }
  static Value iterator(Iterator* v);
  static Value range(const Range* v);
  static Value ns(Namespace* v);
  static Value callable(Callable* v);

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool is(Kind kind) const { return kind_ == kind; }
  [[nodiscard]] bool is_number() const {
    return kind_ == Kind::kBool || kind_ == Kind::kInt || kind_ == Kind::kFloat;
  }
  /// int and its subclass bool, as Python counts.
  [[nodiscard]] bool is_integral() const { return kind_ == Kind::kBool || kind_ == Kind::kInt; }
  [[nodiscard]] bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  [[nodiscard]] SpanKind origin() const { return origin_; }
  /// A string of the safe or escape filter: what is added to it is escaped.
  [[nodiscard]] bool is_markup() const { return markup_; }
  [[nodiscard]] Value as_markup() const {
    Value v = *this;
    v.markup_ = true;
    return v;
  }

  // Each needs its kind; as_int also takes a bool, as_real any number.
  [[nodiscard]] bool as_bool() const { return number_.i != 0; }
  [[nodiscard]] int64_t as_int() const { return number_.i; }
  [[nodiscard]] double as_real() const {
    return kind_ == Kind::kFloat ? number_.d : static_cast<double>(number_.i);
  }
  [[nodiscard]] const Text& text() const { return *text_; }
  [[nodiscard]] const TextRef& text_ref() const { return text_; }
  [[nodiscard]] std::string_view view_text() const { return text_->view(); }
  [[nodiscard]] const Sequence& sequence() const;  // list, tuple, view
  [[nodiscard]] const Dict& dict() const;
  [[nodiscard]] Iterator& iterator() const;
  [[nodiscard]] const Range& range() const;
  [[nodiscard]] Namespace& ns() const;
  [[nodiscard]] const Undefined& undefined() const;
  [[nodiscard]] Callable& callable() const;
  /// The same object in memory, as Python's `is` for containers and callables.
  [[nodiscard]] bool same_object(const Value& other) const {
    return kind_ == other.kind_ && object_ == other.object_ && text_ == other.text_;
  }

 private:
  static Value object(Kind kind, const void* object);

  Kind kind_ = Kind::kNone;
  SpanKind origin_ = SpanKind::kLiteral;
  bool markup_ = false;
  union {
    int64_t i;
    double d;
  } number_ = {0};
  void* object_ = nullptr;
  TextRef text_;
};

/// What a Heap owns.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() = default;
};

struct Sequence : Object {
  std::vector<Value> items;
  const char* view_name = "";  // "dict_keys" and so on, of a kView
  bool grouped = false;        // a pair of groupby: also has .grouper and .list
};

struct Undefined : Object {
  std::string message;
  bool unsafe = false;  // what the sandbox refused
};

struct Iterator : Object {
  std::vector<Value> items;
  size_t next = 0;
};

struct Range : Object {
  int64_t start = 0, stop = 0, step = 1;
  int64_t length = 0;  // of the items
  [[nodiscard]] int64_t at(int64_t index) const { return start + index * step; }
};

struct Namespace : Object {
  std::vector<std::pair<std::string, Value>> attributes;
  [[nodiscard]] const Value* find(std::string_view name) const;
};

/// Keeps insertion order; a key set again keeps its place.
struct Dict : Object {
  struct Entry {
    Value key;
    Value value;
  };
  std::vector<Entry> entries;

  [[nodiscard]] const Value* find(std::string_view key) const;
  /// Of a hashable key, encoded by hash_key().
  [[nodiscard]] const Value* find_encoded(const std::string& key) const;
  void set(Value key, std::string encoded, Value value);

 private:
  std::unordered_map<std::string, size_t> index_;
};

/// A key so written that equal keys are equal strings (1, 1.0 and true are one key);
/// kInvalidArgument for what Python cannot hash.
Result<std::string> hash_key(const Value& key);

class Heap {
 public:
  explicit Heap(size_t bytes_max) : bytes_max_(bytes_max) {}
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  /// A new T, charged with its size; what its members come to hold is charged by charge().
  template <typename T>
  T* make() {
    auto owned = std::make_unique<T>();
    T* raw = owned.get();
    objects_.push_back(std::move(owned));
    bytes_ += sizeof(T) + sizeof(objects_[0]);
    return raw;
  }
  Result<Value> string(Text text);
  Result<Value> string(std::string_view bytes, SpanKind kind) { return string(Text(bytes, kind)); }
  Result<Value> list(std::vector<Value> items);
  Result<Value> tuple(std::vector<Value> items);
  Result<Value> view(const char* name, std::vector<Value> items);
  Result<Value> iterator(std::vector<Value> items);
  Value undefined(std::string message, bool unsafe = false);

  /// kTooLarge where `bytes` more would pass the limit.
  [[nodiscard]] Status check(size_t bytes) const;
  [[nodiscard]] Error exhausted() const;
  [[nodiscard]] Status charge(size_t bytes);
  /// Counts bytes already taken; the next step fails if they pass the limit.
  void note(size_t bytes) { bytes_ += bytes; }
  [[nodiscard]] size_t bytes_left() const { return bytes_ < bytes_max_ ? bytes_max_ - bytes_ : 0; }

 private:
  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::vector<std::unique_ptr<Object>> objects_;
};

/// Builds a string piece by piece and stops growing at the heap's limit, so that no
/// operation can take more than it allows; finish() then says so.
class TextBuilder {
 public:
  explicit TextBuilder(Heap& heap) : heap_(heap), bytes_max_(heap.bytes_left()) {}

  void append(std::string_view bytes, SpanKind kind) {
    if (fits(bytes.size())) text_.append(bytes, kind);
  }
  void append(const Text& text) { append(text, 0, text.size_bytes()); }
  void append(const Text& text, size_t begin, size_t end) {
    if (begin < end && fits(end - begin)) text_.append(text, begin, end);
  }
  void fill(uint64_t count, char c) {
    if (fits(count)) text_.append(std::string(count, c), SpanKind::kLiteral);
  }
  [[nodiscard]] bool full() const { return full_; }
  [[nodiscard]] const Text& text() const { return text_; }
  Result<Value> finish();
  Result<Text> take();

 private:
  bool fits(uint64_t bytes) {
    if (bytes > bytes_max_ || text_.size_bytes() > bytes_max_ - bytes) full_ = true;
    return !full_;
  }

  Heap& heap_;
  const size_t bytes_max_;
  Text text_;
  bool full_ = false;
};

/// Python's name of the type, as in "'str' object".
const char* type_name(const Value& value);
/// Python's bool(value).
bool truthy(const Value& value);

}  // namespace lantern::text::jinja
