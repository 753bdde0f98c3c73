// Statements. Scopes follow Jinja: a loop's turn, a macro's call, with, filter, call and
// block set have their own; if does not.
#include "text/jinja/interpreter.h"

#include <algorithm>

#include "text/jinja/attributes.h"
#include "text/jinja/builtins.h"
#include "text/jinja/conversion.h"
#include "text/jinja/loop.h"

namespace lantern::text::jinja {

const Value* Scope::find(NameId name) const {
  for (const auto& [id, value] : variables)
    if (id == name) return &value;
  return nullptr;
}

void Scope::set(NameId name, Value value) {
  for (auto& [id, held] : variables) {
    if (id != name) continue;
    held = std::move(value);
    return;
  }
  variables.emplace_back(name, std::move(value));
}

/// Makes a scope current and puts the one before back at its end.
class ScopeGuard {
 public:
  ScopeGuard(Interpreter& in, Scope* parent, const std::vector<NameId>& unset)
      : in_(in), before_(in.scope_) {
    mine_ = in.new_scope(parent);
    in.scope_ = mine_;
    for (const NameId name : unset) mine_->set(name, in.undefined_name(name));
  }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;
  ~ScopeGuard() {
    in_.scope_ = before_;
    in_.recycle(mine_);
  }

 private:
  Interpreter& in_;
  Scope* before_;
  Scope* mine_;
};

namespace {

class Macro : public Callable {
 public:
  Interpreter* interpreter = nullptr;
  const MacroSyntax* syntax = nullptr;
  Scope* defined_in = nullptr;

  [[nodiscard]] const char* type_name() const override { return "Macro"; }
  Result<Value> call(Runtime&, CallArgs args) override {
    return interpreter->call_macro(*syntax, defined_in, std::move(args));
  }
  Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name) override {
    if (name != "name") return std::optional<Value>();
    LANTERN_ASSIGN(Value value, rt.heap().string(syntax->name, SpanKind::kLiteral));
    return std::optional<Value>(std::move(value));
  }
};

/// Sends what is printed to another builder until its end.
class Redirection {
 public:
  Redirection(TextBuilder*& out, TextBuilder& to) : out_(out), before_(out) { out = &to; }
  Redirection(const Redirection&) = delete;
  Redirection& operator=(const Redirection&) = delete;
  ~Redirection() { out_ = before_; }

 private:
  TextBuilder*& out_;
  TextBuilder* before_;
};

}  // namespace

Interpreter::Interpreter(const Template& source, Runtime& rt) : template_(source), rt_(rt) {
  undefined_names_.resize(source.names.size());
  auto id_of = [&](std::string_view name) -> std::optional<NameId> {
    const auto found = std::find(source.names.begin(), source.names.end(), name);
    if (found == source.names.end()) return std::nullopt;
    return static_cast<NameId>(found - source.names.begin());
  };
  loop_name_ = id_of("loop");
  caller_name_ = id_of("caller");
  varargs_name_ = id_of("varargs");
  kwargs_name_ = id_of("kwargs");
}

Scope* Interpreter::new_scope(Scope* parent) {
  Scope* scope = nullptr;
  if (unused_.empty()) {
    scope = rt_.heap().make<Scope>();
  } else {
    scope = unused_.back();
    unused_.pop_back();
  }
  scope->parent = parent;
  return scope;
}

void Interpreter::recycle(Scope* scope) {
  if (scope->captured) {
    rt_.heap().note(scope->variables.capacity() * sizeof(scope->variables[0]));
    return;
  }
  scope->variables.clear();
  unused_.push_back(scope);
}

Result<Text> Interpreter::run(std::vector<std::pair<std::string, Value>> variables) {
  Scope* context = new_scope(nullptr);
  for (NameId id = 0; id < template_.names.size(); ++id) {
    const std::string& name = template_.names[id];
    const auto given = std::find_if(variables.begin(), variables.end(),
                                    [&](const auto& v) { return v.first == name; });
    if (given != variables.end())
      context->set(id, given->second);
    else if (std::optional<Value> global = find_global(rt_, name))
      context->set(id, std::move(*global));
  }
  TextBuilder out(rt_.heap());
  const Redirection redirection(out_, out);
  const ScopeGuard scope(*this, context, template_.unset);
  auto flow = execute(template_.body);
  if (!flow.ok()) return std::move(flow).error();
  return out.take();
}

Result<Interpreter::Flow> Interpreter::execute(const Block& block) {
  for (const Stmt* stmt : block) {
    auto flow = execute(*stmt);
    if (!flow.ok()) {
      Error error = std::move(flow).error();
      if (!std::exchange(line_known_, true))
        return std::move(error).within(fmt::format("line {}", stmt->line));
      return error;
    }
    if (*flow != Flow::kOn) return *flow;
  }
  return Flow::kOn;
}

Result<Interpreter::Flow> Interpreter::execute(const Stmt& stmt) {
  LANTERN_TRY(rt_.step());
  if (stmt.kind == StmtKind::kText) {
    LANTERN_TRY(print(stmt.text));
    return Flow::kOn;
  }
  LANTERN_ASSIGN(Runtime::Depth depth, rt_.enter());
  switch (stmt.kind) {
    case StmtKind::kOutput: {
      LANTERN_ASSIGN(const Value value, evaluate(*stmt.expr));
      LANTERN_TRY(print(value));
      return Flow::kOn;
    }
    case StmtKind::kIf:
      return execute_if(stmt);
    case StmtKind::kFor: {
      LANTERN_ASSIGN(const Value iterable, evaluate(*stmt.expr));
      return execute_for(stmt, iterable, 0);
    }
    case StmtKind::kSet: {
      LANTERN_ASSIGN(const Value value, evaluate(*stmt.expr));
      LANTERN_TRY(assign(stmt.target, value));
      return Flow::kOn;
    }
    case StmtKind::kSetBlock:
      LANTERN_TRY(execute_set_block(stmt));
      return Flow::kOn;
    case StmtKind::kMacro:
      scope_->set(stmt.target.name, macro_value(*stmt.macro));
      return Flow::kOn;
    case StmtKind::kCallBlock:
      LANTERN_TRY(execute_call_block(stmt));
      return Flow::kOn;
    case StmtKind::kFilterBlock:
      LANTERN_TRY(execute_filter_block(stmt));
      return Flow::kOn;
    case StmtKind::kWith:
      return execute_with(stmt);
    case StmtKind::kScope: {
      const ScopeGuard scope(*this, scope_, stmt.unset);
      return execute(stmt.body);
    }
    case StmtKind::kBreak:
      return Flow::kBreak;
    case StmtKind::kContinue:
      return Flow::kContinue;
    case StmtKind::kText:
      break;
  }
  return Flow::kOn;
}

Status Interpreter::print(const Value& value) {
  LANTERN_TRY(append_str(rt_, *out_, value));
  if (out_->full() || out_->text().size_bytes() > rt_.limits().output_bytes_max)
    return make_error(ErrorCode::kTooLarge, "the template writes more than {} bytes",
                      rt_.limits().output_bytes_max);
  return {};
}

Result<Interpreter::Flow> Interpreter::execute_if(const Stmt& stmt) {
  for (const auto& [condition, body] : stmt.branches) {
    LANTERN_ASSIGN(const Value value, evaluate(*condition));
    if (truthy(value)) return execute(body);
  }
  return execute(stmt.otherwise);
}

Result<bool> Interpreter::passes_filter(const Stmt& loop, Scope* outside, const Value& item) {
  const ScopeGuard scope(*this, outside, {});
  LANTERN_TRY(assign(loop.target, item));
  LANTERN_ASSIGN(const Value value, evaluate(*loop.filter));
  return truthy(value);
}

Result<Interpreter::Flow> Interpreter::execute_turn(const Stmt& stmt, LoopContext* loop,
                                                    const Value& item) {
  const ScopeGuard scope(*this, scope_, stmt.unset);
  set_special(loop_name_, Value::callable(loop));
  LANTERN_TRY(assign(stmt.target, item));
  return execute(stmt.body);
}

Result<Interpreter::Flow> Interpreter::execute_for(const Stmt& stmt, const Value& iterable,
                                                   size_t depth) {
  auto* loop = rt_.heap().make<LoopContext>();
  LANTERN_TRY(loop->begin(*this, stmt, scope_, iterable, depth));
  while (true) {
    LANTERN_ASSIGN(const std::optional<Value> item, loop->advance(rt_));
    if (!item) break;
    LANTERN_ASSIGN(const Flow flow, execute_turn(stmt, loop, *item));
    if (flow == Flow::kBreak) break;
  }
  if (!loop->started() && !stmt.otherwise.empty()) {
    const ScopeGuard scope(*this, scope_, stmt.unset_otherwise);
    return execute(stmt.otherwise);
  }
  return Flow::kOn;
}

Result<Value> Interpreter::recurse(const Stmt& loop, Scope* outside, const Value& iterable,
                                   size_t depth) {
  LANTERN_ASSIGN(Runtime::Depth nesting, rt_.enter());
  TextBuilder out(rt_.heap());
  const Redirection redirection(out_, out);
  const ScopeGuard scope(*this, outside, {});
  LANTERN_TRY(execute_for(loop, iterable, depth));
  return out.finish();
}

Result<Interpreter::Flow> Interpreter::execute_with(const Stmt& stmt) {
  std::vector<Value> values;
  for (const auto& [target, expr] : stmt.assignments) {
    LANTERN_ASSIGN(Value value, evaluate(*expr));
    values.push_back(std::move(value));
  }
  const ScopeGuard scope(*this, scope_, stmt.unset);
  for (size_t i = 0; i < values.size(); ++i)
    LANTERN_TRY(assign(stmt.assignments[i].first, values[i]));
  return execute(stmt.body);
}

Result<Value> Interpreter::captured(const Stmt& stmt) {
  TextBuilder out(rt_.heap());
  const Redirection redirection(out_, out);
  const ScopeGuard scope(*this, scope_, stmt.unset);
  auto flow = execute(stmt.body);
  if (!flow.ok()) return std::move(flow).error();
  return out.finish();
}

Status Interpreter::execute_set_block(const Stmt& stmt) {
  LANTERN_ASSIGN(Value value, captured(stmt));
  if (stmt.expr != nullptr) {
    const Value outer = std::exchange(hole_, value);
    auto filtered = evaluate(*stmt.expr);
    hole_ = outer;
    if (!filtered.ok()) return std::move(filtered).error();
    value = std::move(filtered).value();
  }
  return assign(stmt.target, value);
}

Status Interpreter::execute_filter_block(const Stmt& stmt) {
  LANTERN_ASSIGN(const Value body, captured(stmt));
  const Value outer = std::exchange(hole_, body);
  auto filtered = evaluate(*stmt.expr);
  hole_ = outer;
  if (!filtered.ok()) return std::move(filtered).error();
  return print(*filtered);
}

Status Interpreter::execute_call_block(const Stmt& stmt) {
  const Value caller = macro_value(*stmt.macro);
  LANTERN_ASSIGN(const Value value, evaluate_call(*stmt.expr, &caller));
  return print(value);
}

Value Interpreter::macro_value(const MacroSyntax& macro) {
  auto* value = rt_.heap().make<Macro>();
  value->interpreter = this;
  value->syntax = &macro;
  value->defined_in = scope_;
  for (Scope* s = scope_; s != nullptr && !s->captured; s = s->parent) s->captured = true;
  return Value::callable(value);
}

namespace {

/// The arguments of one call, taken as a macro takes them.
struct MacroArguments {
  std::vector<std::optional<Value>> values;  // by parameter
  std::vector<Value> varargs;
  std::vector<std::pair<std::string, Value>> kwargs;
  std::optional<Value> caller;
};

Result<MacroArguments> bind_macro(const Template& source, const MacroSyntax& macro, CallArgs args) {
  MacroArguments out;
  out.values.resize(macro.parameters.size());
  for (size_t i = 0; i < args.positional.size(); ++i) {
    if (i < out.values.size())
      out.values[i] = std::move(args.positional[i]);
    else
      out.varargs.push_back(std::move(args.positional[i]));
  }
  if (!out.varargs.empty() && !macro.wants_varargs)
    return type_error("macro '{}' takes not more than {} argument(s)", macro.name,
                      macro.parameters.size());
  for (auto& [name, value] : args.named) {
    size_t i = 0;
    while (i < macro.parameters.size() && source.names[macro.parameters[i]] != name) ++i;
    if (i < macro.parameters.size() && !out.values[i])
      out.values[i] = std::move(value);
    else if (name == "caller" && macro.wants_caller && !macro.caller_is_parameter)
      out.caller = std::move(value);
    else if (macro.wants_kwargs)
      out.kwargs.emplace_back(name, std::move(value));
    else
      return type_error("macro '{}' takes no keyword argument '{}'", macro.name, name);
  }
  return out;
}

}  // namespace

Result<Value> Interpreter::call_macro(const MacroSyntax& macro, Scope* defined_in, CallArgs args) {
  LANTERN_ASSIGN(MacroArguments bound, bind_macro(template_, macro, std::move(args)));
  TextBuilder out(rt_.heap());
  const Redirection redirection(out_, out);
  const ScopeGuard scope(*this, defined_in, macro.unset);
  const size_t n_without_default = macro.parameters.size() - macro.defaults.size();
  for (size_t i = 0; i < bound.values.size(); ++i) {
    Value value;
    if (bound.values[i]) {
      value = *bound.values[i];
    } else if (i >= n_without_default) {
      LANTERN_ASSIGN(value, evaluate(*macro.defaults[i - n_without_default]));
    } else {
      value = rt_.heap().undefined(
          fmt::format("parameter '{}' was not provided", template_.names[macro.parameters[i]]));
    }
    scope_->set(macro.parameters[i], std::move(value));
  }
  if (macro.wants_caller && !macro.caller_is_parameter)
    set_special(caller_name_,
                bound.caller ? *bound.caller : rt_.heap().undefined("No caller defined"));
  if (macro.wants_varargs) {
    LANTERN_ASSIGN(const Value varargs, rt_.heap().tuple(std::move(bound.varargs)));
    set_special(varargs_name_, varargs);
  }
  if (macro.wants_kwargs) {
    auto* kwargs = rt_.heap().make<Dict>();
    for (auto& [name, value] : bound.kwargs) {
      LANTERN_ASSIGN(Value key, rt_.heap().string(name, SpanKind::kLiteral));
      LANTERN_ASSIGN(std::string encoded, hash_key(key));
      kwargs->set(std::move(key), std::move(encoded), std::move(value));
    }
    set_special(kwargs_name_, Value::dict(kwargs));
  }
  auto flow = execute(macro.body);
  if (!flow.ok()) return std::move(flow).error();
  return out.finish();
}

Status Interpreter::assign_attribute(const Target& target, const Value& value) {
  const Value* held = nullptr;
  for (Scope* s = scope_; s != nullptr && held == nullptr; s = s->parent)
    held = s->find(target.name);
  if (held == nullptr || !held->is(Kind::kNamespace))
    return type_error("cannot assign attribute on non-namespace object '{}'",
                      template_.names[target.name]);
  if (target.attribute.starts_with('_'))
    return type_error("a namespace cannot hold '{}': names with an underscore first are refused",
                      target.attribute);
  Namespace& ns = held->ns();
  for (auto& [name, old] : ns.attributes) {
    if (name != target.attribute) continue;
    old = value;
    return {};
  }
  LANTERN_TRY(rt_.heap().charge(sizeof(ns.attributes[0]) + target.attribute.size()));
  ns.attributes.emplace_back(target.attribute, value);
  return {};
}

Status Interpreter::assign(const Target& target, const Value& value) {
  if (target.kind == Target::Kind::kName) {
    scope_->set(target.name, value);
    return {};
  }
  if (target.kind == Target::Kind::kAttribute) return assign_attribute(target, value);
  if (value.is(Kind::kUndefined) && value.undefined().unsafe) return undefined_error(value);
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt_, value));
  if (items.size() != target.items.size())
    return type_error("{} values to unpack, {} names to unpack them to", items.size(),
                      target.items.size());
  for (size_t i = 0; i < items.size(); ++i) LANTERN_TRY(assign(target.items[i], items[i]));
  return {};
}

}  // namespace lantern::text::jinja
