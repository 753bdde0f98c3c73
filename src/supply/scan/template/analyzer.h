// Walks a parsed template and judges what arrives at its attributes, filters and calls.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supply/scan/scanner.h"
#include "supply/scan/template/fold.h"

namespace lantern::supply::scan {

class TemplateAnalyzer {
 public:
  TemplateAnalyzer(const text::jinja::Template& source, Scan& scan);

  void run();

 private:
  using Expr = text::jinja::Expr;
  using Stmt = text::jinja::Stmt;
  using Block = text::jinja::Block;

  struct Variable {
    Folded value;
    bool is_assigned = false;
  };

  void walk(const Block& block);
  void walk(const Stmt& stmt);
  void walk_macro(const text::jinja::MacroSyntax& macro);
  void assign(const text::jinja::Target& target, const Folded& value);
  /// What a block writes, where that is constant.
  Folded written(const Block& block);

  Folded fold(const Expr& expr);
  Folded fold_kind(const Expr& expr);
  Folded fold_name(const Expr& expr);
  Folded fold_chain(const Expr& expr);
  Folded fold_chained(const Expr& expr, Folded left);
  Folded fold_items(const Expr& expr);
  Folded fold_concat(const Expr& expr);
  Folded fold_compare(const Expr& expr);
  Folded fold_slice(const Expr& expr);
  Folded fold_attribute(const Expr& expr, const Folded& base);
  Folded fold_item(const Expr& expr, const Folded& base);
  Folded fold_call(const Expr& expr, const Folded& callee);
  Folded fold_filter(const Expr& expr, const Folded& value);
  Folded fold_macro_call(const Expr& expr, const text::jinja::MacroSyntax& macro,
                         const std::vector<Folded>& arguments);
  std::vector<Folded> fold_arguments(const text::jinja::CallSyntax& call);
  /// Values of a call's arguments as the interpreter takes them; `values` in fold_arguments' order.
  static text::jinja::CallArgs bind(const text::jinja::CallSyntax& call,
                                    std::vector<text::jinja::Value> values, size_t first);

  /// `name` arrives as an attribute or key of `base`. True where it leads into Python.
  bool judge_attribute(const Expr& expr, const Folded& base, std::string_view name);
  void judge_key(const Expr& expr, const Folded& base, const Folded& key, bool is_attribute_filter);
  void judge_call(const Expr& expr);
  void judge_comparison(const Expr& expr, const Folded& left, const Folded& right);
  void judge_filter(const Expr& expr, const Folded& value, const std::vector<Folded>& arguments);

  void report(std::string_view rule, Verdict verdict, uint32_t line, std::string message);

  const text::jinja::Template& source_;
  Scan& scan_;
  text::jinja::Runtime rt_;
  std::vector<Variable> variables_;
  std::map<std::string, Folded, std::less<>> attributes_;  // of namespaces, by name
  std::map<text::jinja::NameId, const text::jinja::MacroSyntax*> macros_;
  std::map<const text::jinja::MacroSyntax*, Folded> macro_outputs_;  // of this pass
  std::vector<Folded> holes_;
  std::set<std::string> reported_;
  bool reporting_ = false;
};

}  // namespace lantern::supply::scan
