#include "supply/scan/template/analyzer.h"

#include <algorithm>
#include <utility>

#include "supply/scan/template/names.h"
#include "text/jinja/conversion.h"
#include "text/jinja/operations.h"

namespace lantern::supply::scan {

using text::SpanKind;
using text::jinja::ExprKind;
using text::jinja::Kind;
using text::jinja::StmtKind;
using text::jinja::Value;

namespace {

// Folding works on short strings: a template that asks for more is none that anybody wrote.
constexpr text::RenderLimits kFoldLimits = {.steps_max = 2'000'000,
                                            .depth_max = 300,
                                            .output_bytes_max = 1u << 20,
                                            .memory_bytes_max = 64u << 20};

// Constants travel one assignment further a pass: '__cl' into a, a ~ b into c, c into x[c].
constexpr int kPasses = 4;

}  // namespace

TemplateAnalyzer::TemplateAnalyzer(const text::jinja::Template& source, Scan& scan)
    : source_(source), scan_(scan), rt_(kFoldLimits, {}), variables_(source.names.size()) {}

void TemplateAnalyzer::run() {
  for (int pass = 0; pass < kPasses; ++pass) {
    reporting_ = pass + 1 == kPasses;
    macro_outputs_.clear();
    walk(source_.body);
  }
  if (!rt_.step().ok())
    report("template-too-costly", Verdict::kInconclusive, 0,
           "its constants are too large to be worked out");
}

void TemplateAnalyzer::report(std::string_view rule, Verdict verdict, uint32_t line,
                              std::string message) {
  if (!reporting_) return;
  if (!reported_.insert(fmt::format("{} {} {}", rule, line, message)).second) return;
  scan_.add("template", rule, verdict, std::move(message), line);
}

void TemplateAnalyzer::walk(const Block& block) {
  for (const Stmt* stmt : block) walk(*stmt);
}

void TemplateAnalyzer::walk(const Stmt& stmt) {
  switch (stmt.kind) {
    case StmtKind::kText:
    case StmtKind::kBreak:
    case StmtKind::kContinue:
      return;
    case StmtKind::kOutput:
      fold(*stmt.expr);
      return;
    case StmtKind::kIf:
      for (const auto& [condition, body] : stmt.branches) {
        fold(*condition);
        walk(body);
      }
      walk(stmt.otherwise);
      return;
    case StmtKind::kFor: {
      const Folded iterable = fold(*stmt.expr);
      Folded item = Folded::unknown();
      item.taint_by(iterable);
      for (const Value& value : iterable.constants) {
        auto items = items_of(rt_, value);
        if (!items.ok() || items->size() > Folded::kConstantsMax) continue;
        for (Value& one : *items) item.add(std::move(one));
      }
      assign(stmt.target, item);
      if (stmt.filter != nullptr) fold(*stmt.filter);
      walk(stmt.body);
      walk(stmt.otherwise);
      return;
    }
    case StmtKind::kSet:
      assign(stmt.target, fold(*stmt.expr));
      return;
    case StmtKind::kSetBlock:
    case StmtKind::kFilterBlock: {
      walk(stmt.body);
      Folded value = written(stmt.body);
      if (stmt.expr != nullptr) {
        holes_.push_back(std::move(value));
        value = fold(*stmt.expr);
        holes_.pop_back();
      }
      if (stmt.kind == StmtKind::kSetBlock) assign(stmt.target, value);
      return;
    }
    case StmtKind::kMacro:
      macros_[stmt.target.name] = stmt.macro.get();
      variables_[stmt.target.name].is_assigned = true;
      walk_macro(*stmt.macro);
      return;
    case StmtKind::kCallBlock:
      walk_macro(*stmt.macro);
      fold(*stmt.expr);
      return;
    case StmtKind::kWith:
      for (const auto& [target, expr] : stmt.assignments) assign(target, fold(*expr));
      walk(stmt.body);
      return;
    case StmtKind::kScope:
      walk(stmt.body);
      return;
  }
}

void TemplateAnalyzer::walk_macro(const text::jinja::MacroSyntax& macro) {
  const size_t n_required =
      macro.parameters.size() - std::min(macro.parameters.size(), macro.defaults.size());
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    Variable& parameter = variables_[macro.parameters[i]];
    parameter.is_assigned = true;
    parameter.value.is_unknown = true;
    if (i >= n_required && macro.defaults[i - n_required] != nullptr)
      parameter.value.join(fold(*macro.defaults[i - n_required]));
  }
  walk(macro.body);
}

void TemplateAnalyzer::assign(const text::jinja::Target& target, const Folded& value) {
  using text::jinja::Target;
  switch (target.kind) {
    case Target::Kind::kName:
      variables_[target.name].is_assigned = true;
      variables_[target.name].value.join(value);
      return;
    case Target::Kind::kAttribute:
      attributes_[target.attribute].join(value);
      return;
    case Target::Kind::kTuple:
      for (size_t i = 0; i < target.items.size(); ++i) {
        Folded part = Folded::unknown();
        part.taint_by(value);
        for (const Value& tuple : value.constants)
          if (tuple.is_sequence() && i < tuple.sequence().items.size())
            part.add(tuple.sequence().items[i]);
        assign(target.items[i], part);
      }
      return;
  }
}

Folded TemplateAnalyzer::written(const Block& block) {
  std::vector<Folded> parts;
  for (const Stmt* stmt : block) {
    if (stmt->kind == StmtKind::kText) {
      parts.emplace_back().add(stmt->text);
    } else if (stmt->kind == StmtKind::kOutput) {
      parts.push_back(fold(*stmt->expr));
    } else if (stmt->kind != StmtKind::kSet && stmt->kind != StmtKind::kMacro) {
      Folded part = Folded::unknown();
      part.taint_by(written(stmt->body));
      for (const auto& [condition, body] : stmt->branches) part.taint_by(written(body));
      parts.push_back(std::move(part));
    }
  }
  std::vector<const Folded*> operands;
  for (const Folded& part : parts) operands.push_back(&part);
  return combine(operands, [&](std::vector<Value> values) -> Result<Value> {
    text::jinja::TextBuilder out(rt_.heap());
    for (const Value& value : values) LANTERN_TRY(append_str(rt_, out, value));
    return out.finish();
  });
}

Folded TemplateAnalyzer::fold(const Expr& expr) {
  if (!rt_.step().ok() || !scan_.check_time().ok()) return Folded::unknown();
  if (expr.kind == ExprKind::kLiteral) {
    Folded value;
    value.add(expr.literal);
    return value;
  }
  if (expr.kind == ExprKind::kName) return fold_name(expr);
  if (expr.kind == ExprKind::kHole) return holes_.empty() ? Folded::unknown() : holes_.back();
  auto depth = rt_.enter();
  if (!depth.ok()) return Folded::unknown();
  return fold_kind(expr);
}

Folded TemplateAnalyzer::fold_kind(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kList:
    case ExprKind::kTuple:
    case ExprKind::kDict:
      return fold_items(expr);
    case ExprKind::kConcat:
      return fold_concat(expr);
    case ExprKind::kCompare:
      return fold_compare(expr);
    case ExprKind::kSlice:
      return fold_slice(expr);
    case ExprKind::kUnary: {
      const Folded operand = fold(*expr.left);
      return combine({&operand}, [&](std::vector<Value> v) -> Result<Value> {
        if (expr.op == text::jinja::Op::kNot) return Value::boolean(!truthy(v[0]));
        return sign_operation(expr.op, v[0]);
      });
    }
    case ExprKind::kCondition: {
      fold(*expr.right);
      Folded value = fold(*expr.left);
      if (expr.third != nullptr) value.join(fold(*expr.third));
      return value;
    }
    default:
      return fold_chain(expr);
  }
}

Folded TemplateAnalyzer::fold_name(const Expr& expr) {
  const std::string& name = source_.names[expr.name];
  const Variable& variable = variables_[expr.name];
  if (variable.is_assigned) return variable.value;
  Folded value;
  value.from_handle = is_python_handle(name);
  if (name == "strftime_now" || name == "raise_exception") value.is_unknown = true;
  if (name == "date_string" || name == "today" || name == "current_date") value.from_date = true;
  if (auto global = find_global(rt_, name); global && !value.is_unknown)
    value.add(std::move(*global));
  else
    value.is_unknown = true;
  if (name.starts_with("__"))
    report("template-attribute-walk", Verdict::kMalicious, expr.line,
           fmt::format("reads {}, a name of Python's internals", name));
  return value;
}

/// Chains that lean to the left are walked in a loop: they may be long and must not recurse.
Folded TemplateAnalyzer::fold_chain(const Expr& expr) {
  std::vector<const Expr*> chain;
  const Expr* first = &expr;
  for (;; first = first->left) {
    const ExprKind kind = first->kind;
    if (kind != ExprKind::kBinary && kind != ExprKind::kAnd && kind != ExprKind::kOr &&
        kind != ExprKind::kGetAttr && kind != ExprKind::kGetItem && kind != ExprKind::kCall &&
        kind != ExprKind::kFilter && kind != ExprKind::kTest)
      break;
    chain.push_back(first);
  }
  Folded value = fold(*first);
  for (size_t i = chain.size(); i-- > 0;) value = fold_chained(*chain[i], std::move(value));
  return value;
}

Folded TemplateAnalyzer::fold_chained(const Expr& expr, Folded left) {
  if (!rt_.step().ok()) return Folded::unknown();
  switch (expr.kind) {
    case ExprKind::kGetAttr:
      return fold_attribute(expr, left);
    case ExprKind::kGetItem:
      return fold_item(expr, left);
    case ExprKind::kCall:
      return fold_call(expr, left);
    case ExprKind::kFilter:
      return fold_filter(expr, left);
    case ExprKind::kTest:
      fold_arguments(*expr.call);
      return Folded::unknown();
    case ExprKind::kAnd:
    case ExprKind::kOr:
      left.join(fold(*expr.right));
      return left;
    default: {
      const Folded right = fold(*expr.right);
      return combine({&left, &right}, [&](std::vector<Value> v) {
        return binary_operation(rt_, expr.op, v[0], v[1]);
      });
    }
  }
}

Folded TemplateAnalyzer::fold_items(const Expr& expr) {
  std::vector<Folded> items;
  for (const Expr* item : expr.items) items.push_back(fold(*item));
  std::vector<const Folded*> operands;
  for (const Folded& item : items) operands.push_back(&item);
  return combine(operands, [&](std::vector<Value> values) -> Result<Value> {
    if (expr.kind == ExprKind::kList) return rt_.heap().list(std::move(values));
    if (expr.kind == ExprKind::kTuple) return rt_.heap().tuple(std::move(values));
    auto* dict = rt_.heap().make<text::jinja::Dict>();
    for (size_t i = 0; i + 1 < values.size(); i += 2)
      LANTERN_TRY(put(rt_, *dict, values[i], values[i + 1]));
    return Value::dict(dict);
  });
}

Folded TemplateAnalyzer::fold_concat(const Expr& expr) {
  std::vector<Folded> items;
  for (const Expr* item : expr.items) items.push_back(fold(*item));
  std::vector<const Folded*> operands;
  for (const Folded& item : items) operands.push_back(&item);
  return combine(operands, [&](std::vector<Value> values) -> Result<Value> {
    text::jinja::TextBuilder out(rt_.heap());
    for (const Value& value : values) LANTERN_TRY(append_str(rt_, out, value));
    return out.finish();
  });
}

Folded TemplateAnalyzer::fold_compare(const Expr& expr) {
  Folded left = fold(*expr.left);
  for (const Expr* item : expr.items) {
    Folded right = fold(*item);
    judge_comparison(expr, left, right);
    left = std::move(right);
  }
  return Folded::unknown();
}

Folded TemplateAnalyzer::fold_slice(const Expr& expr) {
  std::vector<Folded> parts;
  parts.push_back(fold(*expr.left));
  for (const Expr* bound : expr.items) {
    Folded none;
    none.add(Value::none());
    parts.push_back(bound == nullptr ? none : fold(*bound));
  }
  std::vector<const Folded*> operands;
  for (const Folded& part : parts) operands.push_back(&part);
  return combine(operands, [&](std::vector<Value> v) -> Result<Value> {
    const auto given = [&](size_t i) { return v[i].is(Kind::kNone) ? nullptr : &v[i]; };
    return get_slice(rt_, v[0], given(1), given(2), given(3));
  });
}

Folded TemplateAnalyzer::fold_attribute(const Expr& expr, const Folded& base) {
  if (judge_attribute(expr, base, expr.text)) {
    Folded inside = Folded::unknown();
    inside.from_handle = true;
    return inside;
  }
  Folded value =
      combine({&base}, [&](std::vector<Value> v) { return get_attribute(rt_, v[0], expr.text); });
  if (const auto held = attributes_.find(expr.text); held != attributes_.end())
    value.join(held->second);
  value.from_words = is_words_key(expr.text) || (base.from_words && is_text_method(expr.text));
  return value;
}

Folded TemplateAnalyzer::fold_item(const Expr& expr, const Folded& base) {
  const Folded key = fold(*expr.right);
  judge_key(expr, base, key, false);
  Folded value =
      combine({&base, &key}, [&](std::vector<Value> v) { return get_item(rt_, v[0], v[1]); });
  // message['content'] is words, message['content'][0] is a part of them, part['type'] is not.
  value.from_words = base.from_words && key.texts().empty();
  for (const std::string_view name : key.texts()) {
    if (is_words_key(name)) value.from_words = true;
    if (is_internal_attribute(name)) value.from_handle = true;
    if (const auto held = attributes_.find(name); held != attributes_.end())
      value.join(held->second);
  }
  value.from_handle = value.from_handle || base.from_handle;
  value.from_computed_key = expr.right->kind != ExprKind::kLiteral;
  return value;
}

std::vector<Folded> TemplateAnalyzer::fold_arguments(const text::jinja::CallSyntax& call) {
  std::vector<Folded> out;
  for (const Expr* argument : call.positional) out.push_back(fold(*argument));
  for (const auto& [name, argument] : call.named) out.push_back(fold(*argument));
  if (call.star != nullptr) out.push_back(fold(*call.star));
  if (call.double_star != nullptr) out.push_back(fold(*call.double_star));
  return out;
}

text::jinja::CallArgs TemplateAnalyzer::bind(const text::jinja::CallSyntax& call,
                                             std::vector<Value> values, size_t first) {
  text::jinja::CallArgs args;
  size_t at = first;
  for (size_t i = 0; i < call.positional.size(); ++i) args.positional.push_back(values[at++]);
  for (const auto& [name, argument] : call.named) args.named.emplace_back(name, values[at++]);
  if (call.star != nullptr && values[at].is_sequence())
    for (const Value& more : values[at].sequence().items) args.positional.push_back(more);
  return args;
}

Folded TemplateAnalyzer::fold_call(const Expr& expr, const Folded& callee) {
  judge_call(expr);
  const std::vector<Folded> arguments = fold_arguments(*expr.call);
  const Expr& function = *expr.left;
  const bool is_method = function.kind == ExprKind::kGetAttr;
  if (function.kind == ExprKind::kName) {
    if (const auto macro = macros_.find(function.name); macro != macros_.end())
      return fold_macro_call(expr, *macro->second, arguments);
    const std::string& name = source_.names[function.name];
    if (name == "namespace")
      for (size_t i = 0; i < expr.call->named.size(); ++i)
        attributes_[expr.call->named[i].first].join(arguments[expr.call->positional.size() + i]);
    if (name == "strftime_now") {
      Folded date = Folded::unknown();
      date.from_date = true;
      return date;
    }
    if (name == "namespace" || name == "cycler" || name == "joiner") return Folded::unknown();
  }
  // "{0.__class__}".format(x) walks by itself.
  const bool is_format = is_method && (function.text == "format" || function.text == "format_map");
  const Folded receiver = is_format ? fold(*function.left) : Folded{};
  for (const std::string_view text : receiver.texts())
    if (const std::string field = walking_field(text); !field.empty())
      report("template-format-walk", Verdict::kMalicious, expr.line,
             fmt::format("a format string walks into Python's internals: {}", field));
  if (receiver.from_words && receiver.texts().empty() && !arguments.empty())
    report("template-format-walk", Verdict::kMalicious, expr.line,
           "formats by what a message says: a message may walk into Python's internals");
  if (is_method)
    for (const Folded& argument : arguments) judge_comparison(expr, callee, argument);

  std::vector<const Folded*> operands = {&callee};
  for (const Folded& argument : arguments) operands.push_back(&argument);
  Folded value = combine(operands, [&](std::vector<Value> v) -> Result<Value> {
    if (!v[0].is(Kind::kCallable)) return make_error(ErrorCode::kInvalidArgument, "not callable");
    const Value function_value = v[0];
    return call_value(rt_, function_value, bind(*expr.call, std::move(v), 1));
  });
  value.from_handle = callee.from_handle && callee.constants.empty();
  return value;
}

Folded TemplateAnalyzer::fold_macro_call(const Expr& expr, const text::jinja::MacroSyntax& macro,
                                         const std::vector<Folded>& arguments) {
  const size_t n_positional = expr.call->positional.size();
  for (size_t i = 0; i < std::min(n_positional, macro.parameters.size()); ++i)
    variables_[macro.parameters[i]].value.join(arguments[i]);
  for (size_t i = 0; i < expr.call->named.size(); ++i)
    for (const text::jinja::NameId parameter : macro.parameters)
      if (source_.names[parameter] == expr.call->named[i].first)
        variables_[parameter].value.join(arguments[n_positional + i]);
  // Worked out once a pass; a macro that calls itself finds that it is not known yet.
  const auto [output, is_new] = macro_outputs_.try_emplace(&macro, Folded::unknown());
  if (is_new) output->second = written(macro.body);
  return output->second;
}

Folded TemplateAnalyzer::fold_filter(const Expr& expr, const Folded& value) {
  const std::vector<Folded> arguments = fold_arguments(*expr.call);
  judge_filter(expr, value, arguments);
  std::vector<const Folded*> operands = {&value};
  for (const Folded& argument : arguments) operands.push_back(&argument);
  if (expr.text == "attr") {
    Folded reached = combine(operands, [&](std::vector<Value> v) -> Result<Value> {
      if (v.size() < 2 || !v[1].is(Kind::kString))
        return make_error(ErrorCode::kInvalidArgument, "no name");
      return get_attribute(rt_, v[0], v[1].view_text());
    });
    reached.from_handle = value.from_handle;
    return reached;
  }
  return combine(operands, [&](std::vector<Value> v) -> Result<Value> {
    const Value filtered = v[0];
    return apply_filter(rt_, expr.text, filtered, bind(*expr.call, std::move(v), 1));
  });
}

}  // namespace lantern::supply::scan
