// The variable `loop` within a for, and the walk over its items.
#pragma once

#include <optional>

#include "text/jinja/interpreter.h"

namespace lantern::text::jinja {

class LoopContext : public Callable {
 public:
  Status begin(Interpreter& in, const Stmt& stmt, Scope* outside, const Value& iterable,
               size_t depth);
  /// The next item that the loop's filter lets pass, or nothing.
  Result<std::optional<Value>> advance(Runtime& rt);
  [[nodiscard]] bool started() const { return index0_ >= 0; }

  [[nodiscard]] const char* type_name() const override { return "LoopContext"; }
  Result<Value> call(Runtime& rt, CallArgs args) override;
  Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name) override;

  /// loop.changed(...)
  Result<bool> changed(Runtime& rt, std::vector<Value> values);
  Result<Value> cycle(const std::vector<Value>& items) const;

 private:
  Result<std::optional<Value>> fetch(Runtime& rt);
  Result<const Value*> peek(Runtime& rt);
  Result<int64_t> length(Runtime& rt);

  Interpreter* interpreter_ = nullptr;
  const Stmt* stmt_ = nullptr;
  Scope* outside_ = nullptr;
  std::optional<Cursor> cursor_;
  std::vector<Value> fetched_;  // items read ahead to know how many there are
  size_t fetched_next_ = 0;
  std::optional<Value> ahead_;
  std::optional<int64_t> length_;
  std::optional<Value> previous_, current_;
  std::optional<std::vector<Value>> last_changed_;
  int64_t index0_ = -1;
  size_t depth_ = 0;
};

}  // namespace lantern::text::jinja
