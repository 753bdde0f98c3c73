// Walks a Template's statements and expressions.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/callable.h"
#include "text/jinja/runtime.h"

namespace lantern::text::jinja {

/// Variables of a template, a loop's turn, a macro's call, ...; what is not here is looked for
/// in `parent`, at the moment it is read.
struct Scope : Object {
  Scope* parent = nullptr;
  std::vector<std::pair<NameId, Value>> variables;
  bool captured = false;  // a macro refers to it; else it is used again when left

  [[nodiscard]] const Value* find(NameId name) const;
  void set(NameId name, Value value);
};

class LoopContext;

class Interpreter {
 public:
  Interpreter(const Template& source, Runtime& rt);

  /// Renders with the given variables.
  Result<Text> run(std::vector<std::pair<std::string, Value>> variables);

  // For macros and loops, which call back.
  Result<Value> call_macro(const MacroSyntax& macro, Scope* defined_in, CallArgs args);
  Result<Value> recurse(const Stmt& loop, Scope* outside, const Value& iterable, size_t depth);
  Result<bool> passes_filter(const Stmt& loop, Scope* outside, const Value& item);

 private:
  friend class ScopeGuard;
  enum class Flow : uint8_t { kOn, kBreak, kContinue };

  Result<Flow> execute(const Block& block);
  Result<Flow> execute(const Stmt& stmt);
  Result<Flow> execute_for(const Stmt& stmt, const Value& iterable, size_t depth);
  Result<Flow> execute_turn(const Stmt& stmt, LoopContext* loop, const Value& item);
  Result<Flow> execute_if(const Stmt& stmt);
  Result<Flow> execute_with(const Stmt& stmt);
  Status execute_set_block(const Stmt& stmt);
  Status execute_call_block(const Stmt& stmt);
  Status execute_filter_block(const Stmt& stmt);
  /// A block's output as a value, in a scope of its own.
  Result<Value> captured(const Stmt& stmt);
  Value undefined_name(NameId name);
  Status print(const Value& value);
  Status assign(const Target& target, const Value& value);
  Status assign_attribute(const Target& target, const Value& value);
  Value macro_value(const MacroSyntax& macro);

  Result<Value> evaluate(const Expr& expr);
  Result<Value> evaluate_kind(const Expr& expr);
  Result<Value> evaluate_name(const Expr& expr);
  Result<Value> evaluate_chain(const Expr& expr);
  Result<Value> apply_chained(const Expr& expr, Value left);
  Result<Value> evaluate_compare(const Expr& expr);
  Result<Value> evaluate_concat(const Expr& expr);
  Result<Value> evaluate_condition(const Expr& expr);
  Result<Value> evaluate_dict(const Expr& expr);
  Result<Value> evaluate_unary(const Expr& expr);
  Result<Value> evaluate_slice(const Expr& expr);
  Result<Value> evaluate_call(const Expr& expr, const Value* caller);
  Result<std::vector<Value>> evaluate_items(const std::vector<Expr*>& items);
  Result<CallArgs> evaluate_arguments(const CallSyntax& call);

  /// Sets a variable the template may not even name.
  void set_special(std::optional<NameId> name, const Value& value) {
    if (name) scope_->set(*name, value);
  }
  Scope* new_scope(Scope* parent);
  void recycle(Scope* scope);

  const Template& template_;
  std::optional<NameId> loop_name_, caller_name_, varargs_name_, kwargs_name_;
  Runtime& rt_;
  Scope* scope_ = nullptr;
  TextBuilder* out_ = nullptr;
  std::vector<std::optional<Value>> undefined_names_;  // made when first read
  Value hole_;                                         // what the filter of a block is applied to
  std::vector<Scope*> unused_;                         // scopes left and not captured
  bool line_known_ = false;                            // the error on its way up names its line
};

}  // namespace lantern::text::jinja
