// Expressions.
#include "text/jinja/attributes.h"
#include "text/jinja/builtins.h"
#include "text/jinja/conversion.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operations.h"

namespace lantern::text::jinja {

Result<Value> Interpreter::evaluate(const Expr& expr) {
  LANTERN_TRY(rt_.step());
  // Leaves need no frame of their own.
  if (expr.kind == ExprKind::kLiteral) return expr.literal;
  if (expr.kind == ExprKind::kName) return evaluate_name(expr);
  if (expr.kind == ExprKind::kHole) return hole_;
  LANTERN_ASSIGN(Runtime::Depth depth, rt_.enter());
  return evaluate_kind(expr);
}

Result<Value> Interpreter::evaluate_kind(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kList: {
      LANTERN_ASSIGN(std::vector<Value> items, evaluate_items(expr.items));
      return rt_.heap().list(std::move(items));
    }
    case ExprKind::kTuple: {
      LANTERN_ASSIGN(std::vector<Value> items, evaluate_items(expr.items));
      return rt_.heap().tuple(std::move(items));
    }
    case ExprKind::kDict:
      return evaluate_dict(expr);
    case ExprKind::kSlice:
      return evaluate_slice(expr);
    case ExprKind::kUnary:
      return evaluate_unary(expr);
    case ExprKind::kCompare:
      return evaluate_compare(expr);
    case ExprKind::kConcat:
      return evaluate_concat(expr);
    case ExprKind::kCondition:
      return evaluate_condition(expr);
    default:
      return evaluate_chain(expr);
  }
}

Result<Value> Interpreter::evaluate_name(const Expr& expr) {
  for (const Scope* s = scope_; s != nullptr; s = s->parent)
    if (const Value* held = s->find(expr.name)) return *held;
  return undefined_name(expr.name);
}

Value Interpreter::undefined_name(NameId name) {
  std::optional<Value>& held = undefined_names_[name];
  if (!held) held = rt_.heap().undefined(fmt::format("'{}' is undefined", template_.names[name]));
  return *held;
}

/// Chains that lean to the left (a.b.c, a + b + c, a|f|g, a and b and c) are walked in a loop:
/// they may be long and must not recurse.
Result<Value> Interpreter::evaluate_chain(const Expr& expr) {
  std::vector<const Expr*> chain;
  const Expr* first = &expr;
  auto leans = [](const Expr& e) {
    switch (e.kind) {
      case ExprKind::kBinary:
      case ExprKind::kAnd:
      case ExprKind::kOr:
      case ExprKind::kGetAttr:
      case ExprKind::kGetItem:
      case ExprKind::kCall:
      case ExprKind::kFilter:
      case ExprKind::kTest:
        return true;
      default:
        return false;
    }
  };
  for (; leans(*first); first = first->left) chain.push_back(first);
  LANTERN_ASSIGN(Value value, evaluate(*first));
  for (size_t i = chain.size(); i-- > 0;) {
    LANTERN_TRY(rt_.step());
    LANTERN_ASSIGN(value, apply_chained(*chain[i], std::move(value)));
  }
  return value;
}

Result<Value> Interpreter::apply_chained(const Expr& expr, Value left) {
  switch (expr.kind) {
    case ExprKind::kAnd:
      return truthy(left) ? evaluate(*expr.right) : Result<Value>(std::move(left));
    case ExprKind::kOr:
      return truthy(left) ? Result<Value>(std::move(left)) : evaluate(*expr.right);
    case ExprKind::kGetAttr:
      return get_attribute(rt_, left, expr.text);
    case ExprKind::kCall: {
      LANTERN_ASSIGN(CallArgs args, evaluate_arguments(*expr.call));
      return call_value(rt_, left, std::move(args));
    }
    case ExprKind::kFilter: {
      LANTERN_ASSIGN(CallArgs args, evaluate_arguments(*expr.call));
      return apply_filter(rt_, expr.text, left, std::move(args));
    }
    case ExprKind::kTest: {
      LANTERN_ASSIGN(CallArgs args, evaluate_arguments(*expr.call));
      LANTERN_ASSIGN(const bool holds, apply_test(rt_, expr.text, left, std::move(args)));
      return Value::boolean(holds);
    }
    default:
      break;
  }
  LANTERN_ASSIGN(const Value right, evaluate(*expr.right));
  if (expr.kind == ExprKind::kGetItem) return get_item(rt_, left, right);
  return binary_operation(rt_, expr.op, left, right);
}

Result<Value> Interpreter::evaluate_call(const Expr& expr, const Value* caller) {
  LANTERN_ASSIGN(const Value callee, evaluate(*expr.left));
  LANTERN_ASSIGN(CallArgs args, evaluate_arguments(*expr.call));
  if (caller != nullptr) args.named.emplace_back("caller", *caller);
  return call_value(rt_, callee, std::move(args));
}

Result<std::vector<Value>> Interpreter::evaluate_items(const std::vector<Expr*>& items) {
  std::vector<Value> values;
  values.reserve(items.size());
  for (const Expr* item : items) {
    LANTERN_ASSIGN(Value value, evaluate(*item));
    values.push_back(std::move(value));
  }
  return values;
}

Result<CallArgs> Interpreter::evaluate_arguments(const CallSyntax& call) {
  CallArgs args;
  LANTERN_ASSIGN(args.positional, evaluate_items(call.positional));
  for (const auto& [name, expr] : call.named) {
    LANTERN_ASSIGN(Value value, evaluate(*expr));
    args.named.emplace_back(name, std::move(value));
  }
  if (call.star != nullptr) {
    LANTERN_ASSIGN(const Value star, evaluate(*call.star));
    LANTERN_ASSIGN(const std::vector<Value> more, items_of(rt_, star));
    args.positional.insert(args.positional.end(), more.begin(), more.end());
  }
  if (call.double_star != nullptr) {
    LANTERN_ASSIGN(const Value more, evaluate(*call.double_star));
    if (!more.is(Kind::kDict)) return type_error("argument after ** must be a mapping");
    LANTERN_TRY(rt_.step(more.dict().entries.size()));
    for (const Dict::Entry& e : more.dict().entries) {
      if (!e.key.is(Kind::kString)) return type_error("keywords must be strings");
      args.named.emplace_back(e.key.view_text(), e.value);
    }
  }
  return args;
}

Result<Value> Interpreter::evaluate_dict(const Expr& expr) {
  auto* dict = rt_.heap().make<Dict>();
  for (size_t i = 0; i < expr.items.size(); i += 2) {
    LANTERN_ASSIGN(Value key, evaluate(*expr.items[i]));
    LANTERN_ASSIGN(Value value, evaluate(*expr.items[i + 1]));
    LANTERN_TRY(put(rt_, *dict, std::move(key), std::move(value)));
  }
  return Value::dict(dict);
}

Result<Value> Interpreter::evaluate_unary(const Expr& expr) {
  LANTERN_ASSIGN(const Value operand, evaluate(*expr.left));
  if (expr.op == Op::kNot) return Value::boolean(!truthy(operand));
  return sign_operation(expr.op, operand);
}

Result<Value> Interpreter::evaluate_compare(const Expr& expr) {
  LANTERN_ASSIGN(Value left, evaluate(*expr.left));
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    LANTERN_ASSIGN(Value right, evaluate(*expr.items[i]));
    LANTERN_ASSIGN(const bool holds, comparison(rt_, expr.ops[i], left, right));
    if (!holds) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Result<Value> Interpreter::evaluate_concat(const Expr& expr) {
  LANTERN_ASSIGN(const std::vector<Value> items, evaluate_items(expr.items));
  TextBuilder out(rt_.heap());
  for (const Value& item : items) LANTERN_TRY(append_str(rt_, out, item));
  return out.finish();
}

Result<Value> Interpreter::evaluate_condition(const Expr& expr) {
  LANTERN_ASSIGN(const Value condition, evaluate(*expr.right));
  if (truthy(condition)) return evaluate(*expr.left);
  if (expr.third != nullptr) return evaluate(*expr.third);
  return rt_.heap().undefined(
      fmt::format("the inline if-expression on line {} evaluated to false and no else section was "
                  "defined",
                  expr.line));
}

Result<Value> Interpreter::evaluate_slice(const Expr& expr) {
  LANTERN_ASSIGN(const Value sliced, evaluate(*expr.left));
  std::optional<Value> bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (expr.items[i] == nullptr) continue;
    LANTERN_ASSIGN(bounds[i], evaluate(*expr.items[i]));
  }
  auto given = [&](size_t i) { return bounds[i] ? &*bounds[i] : nullptr; };
  return get_slice(rt_, sliced, given(0), given(1), given(2));
}

}  // namespace lantern::text::jinja
