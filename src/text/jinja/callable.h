// What a template can call, and how arguments reach it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/value.h"

namespace lantern::text::jinja {

class Runtime;

struct CallArgs {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Callable : public Object {
 public:
  [[nodiscard]] virtual const char* type_name() const { return "function"; }
  virtual Result<Value> call(Runtime& rt, CallArgs args) = 0;
  /// The attribute of that name, or nothing.
  virtual Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name);
};

/// A function's parameters: names in order, the first `n_required` of them without default.
struct Signature {
  const char* function;
  std::vector<const char*> names;
  size_t n_required = 0;
};

/// Arguments matched to a signature as Python matches them.
class Arguments {
 public:
  /// kInvalidArgument for one too many, one missing, one given twice or an unknown name.
  static Result<Arguments> bind(const Signature& signature, CallArgs args);

  /// Null where the caller left the argument out.
  [[nodiscard]] const Value* find(size_t index) const {
    return values_[index] ? &*values_[index] : nullptr;
  }
  [[nodiscard]] const Value& at(size_t index) const { return *values_[index]; }
  /// Null where it was left out or is none.
  [[nodiscard]] const Value* find_some(size_t index) const {
    const Value* v = find(index);
    return v != nullptr && v->is(Kind::kNone) ? nullptr : v;
  }
  Result<int64_t> integer(size_t index, int64_t otherwise) const;
  [[nodiscard]] bool flag(size_t index, bool otherwise) const {
    return values_[index] ? truthy(*values_[index]) : otherwise;
  }

 private:
  const char* function_ = "";
  std::vector<std::optional<Value>> values_;
};

}  // namespace lantern::text::jinja
