// What the names that arrive at attributes, filters and calls mean.
#include <algorithm>
#include <utility>

#include "supply/scan/template/analyzer.h"
#include "supply/scan/template/names.h"

namespace lantern::supply::scan {

using text::jinja::ExprKind;
using text::jinja::Kind;
using text::jinja::Value;

namespace {

bool has_scalar(const Folded& value) {
  return std::any_of(value.constants.begin(), value.constants.end(), [](const Value& v) {
    return v.is(Kind::kString) || v.is_number() || v.is(Kind::kCallable) || v.is(Kind::kNone);
  });
}

}  // namespace

bool TemplateAnalyzer::judge_attribute(const Expr& expr, const Folded& base,
                                       std::string_view name) {
  if (is_internal_attribute(name)) {
    report(
        "template-attribute-walk", Verdict::kMalicious, expr.line,
        fmt::format("reaches {}, the way from a template into Python and to running code", name));
    return true;
  }
  const Expr* left = expr.left;
  if (left != nullptr && left->kind == ExprKind::kName && !variables_[left->name].is_assigned) {
    const std::string& root = source_.names[left->name];
    if (is_dangerous_module(root)) {
      report("template-module", Verdict::kMalicious, expr.line,
             fmt::format("uses {}.{}: a module that runs programs or reads files", root, name));
      return true;
    }
    // namespace, cycler and the like are called; what hangs on them uncalled are Python's own.
    if (is_python_handle(root) && root != "self" && !name.empty()) {
      report("template-handle", Verdict::kMalicious, expr.line,
             fmt::format("takes {} of the function {} itself", name, root));
      return true;
    }
  }
  return base.from_handle && base.constants.empty() && name.starts_with("_");
}

void TemplateAnalyzer::judge_key(const Expr& expr, const Folded& base, const Folded& key,
                                 bool is_attribute_filter) {
  for (const std::string_view name : key.texts()) judge_attribute(expr, base, name);
  if (!key.is_unknown) return;
  if (is_attribute_filter) {
    report("template-computed-attribute", Verdict::kMalicious, expr.line,
           "takes an attribute whose name is computed while rendering");
  } else if (key.has_dunder || base.from_handle || has_scalar(base)) {
    // A key of a message or a tool is data; a key of a function, a text or a number is an
    // attribute's name.
    const bool is_index = !key.has_dunder && !base.from_handle &&
                          std::none_of(base.constants.begin(), base.constants.end(),
                                       [](const Value& v) { return v.is(Kind::kCallable); });
    if (!is_index)
      report("template-computed-attribute", Verdict::kMalicious, expr.line,
             "takes an item of a Python object by a name computed while rendering");
  }
}

void TemplateAnalyzer::judge_call(const Expr& expr) {
  const Expr& function = *expr.left;
  std::string_view name;
  // Templates call macros, functions and methods by their names. An item of a Python object is an
  // attribute where there is no such item: what a key that is put together gives is called by
  // those alone who hide the name.
  const auto report_computed = [&] {
    report("template-computed-call", Verdict::kMalicious, expr.line,
           "calls what an item by a computed name gave");
  };
  if (function.kind == ExprKind::kName) {
    if (variables_[function.name].is_assigned) {
      if (variables_[function.name].value.from_computed_key && !macros_.contains(function.name))
        report_computed();
      return;
    }
    name = source_.names[function.name];
    if (is_dangerous_function(name))
      report("template-dangerous-call", Verdict::kMalicious, expr.line,
             fmt::format("calls {}(), which runs code, opens files or reaches attributes", name));
    return;
  }
  if (function.kind == ExprKind::kGetAttr) {
    name = function.text;
    if (is_dangerous_method(name))
      report("template-dangerous-call", Verdict::kMalicious, expr.line,
             fmt::format("calls .{}(), which runs programs or code", name));
  }
  if (function.kind == ExprKind::kGetItem) {
    if (function.right->kind != ExprKind::kLiteral) report_computed();
    for (const std::string_view key : fold(*function.right).texts())
      if (is_dangerous_method(key))
        report("template-dangerous-call", Verdict::kMalicious, expr.line,
               fmt::format("calls ['{}'](), which runs programs or code", key));
  }
}

void TemplateAnalyzer::judge_filter(const Expr& expr, const Folded& value,
                                    const std::vector<Folded>& arguments) {
  const std::string& filter = expr.text;
  const text::jinja::CallSyntax& call = *expr.call;
  if (filter == "attr" && !arguments.empty()) {
    judge_key(expr, value, arguments[0], true);
    return;
  }
  if (filter == "map" && !call.positional.empty() && arguments[0].from_words &&
      arguments[0].texts().empty())
    report("template-computed-attribute", Verdict::kMalicious, expr.line,
           "applies a filter that a message names");
  // map(attribute='a.b'), map('attr', name), selectattr(name), sort(attribute=...), ...
  const bool names_attribute_first =
      filter == "selectattr" || filter == "rejectattr" || filter == "groupby" || filter == "sum";
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool is_named =
        i >= call.positional.size() && i - call.positional.size() < call.named.size();
    const bool is_attribute =
        (is_named && call.named[i - call.positional.size()].first == "attribute") ||
        (names_attribute_first && i == 0) || (filter == "map" && i >= 1 && !is_named);
    if (!is_attribute) continue;
    for (std::string_view path : arguments[i].texts())
      while (!path.empty()) {
        const size_t dot = path.find('.');
        judge_attribute(expr, Folded::unknown(), path.substr(0, dot));
        if (dot == path.npos) break;
        path.remove_prefix(dot + 1);
      }
    if (arguments[i].is_unknown && arguments[i].has_dunder)
      report("template-computed-attribute", Verdict::kMalicious, expr.line,
             "takes an attribute whose name is computed while rendering");
  }
  if (filter == "format")
    for (const Folded& argument : arguments) judge_comparison(expr, Folded{}, argument);
}

/// A template that answers otherwise when a person uses certain words, or from a certain day on,
/// can hide what it does from every test.
void TemplateAnalyzer::judge_comparison(const Expr& expr, const Folded& left, const Folded& right) {
  if (left.from_date || right.from_date) {
    report("template-date-branch", Verdict::kWarn, expr.line,
           "compares today's date: what it writes may change on a day");
    return;
  }
  const auto judge = [&](const Folded& words, const Folded& text) {
    if (!words.from_words) return;
    for (const std::string_view constant : text.texts())
      if (is_plain_words(constant))
        report("template-word-branch", Verdict::kWarn, expr.line,
               fmt::format("looks for the words \"{}\" in what a message says", constant));
  };
  judge(left, right);
  judge(right, left);
}

}  // namespace lantern::supply::scan
