// A parsed template. All nodes belong to Template, so that no chain of them, however
// long, is destroyed by recursion.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace lantern::text::jinja {

struct Expr;
struct Stmt;
using NameId = uint32_t;  // index into Template::names
using Block = std::vector<Stmt*>;

struct CallSyntax {
  std::vector<Expr*> positional;
  std::vector<std::pair<std::string, Expr*>> named;
  Expr* star = nullptr;         // *args
  Expr* double_star = nullptr;  // **kwargs
};

enum class ExprKind : uint8_t {
  kLiteral,
  kName,
  kList,     // items
  kTuple,    // items
  kDict,     // items: key, value, key, value, ...
  kGetAttr,  // left.text
  kGetItem,  // left[right]
  kSlice,    // left[items[0]:items[1]:items[2]], null where left out
  kCall,     // left(call)
  kFilter,   // left|text(call)
  kTest,     // left is text(call)
  kHole,     // the text a filter block or block set gives its filter
  kUnary,
  kBinary,  // left op right
  kAnd,
  kOr,
  kCompare,    // left ops[0] items[0] ops[1] items[1] ...
  kConcat,     // items joined as text
  kCondition,  // left if right else third (may be null)
};

enum class Op : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kFloorDiv,
  kMod,
  kPow,  // binary
  kNot,
  kNegative,
  kPositive,  // unary
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,
  kIn,
  kNotIn,  // comparisons
};

struct Expr {
  ExprKind kind = ExprKind::kLiteral;
  Op op = Op::kAdd;
  uint32_t line = 0;
  NameId name = 0;
  Expr* left = nullptr;
  Expr* right = nullptr;
  Expr* third = nullptr;
  std::vector<Expr*> items;
  std::vector<Op> ops;
  std::string text;
  Value literal;
  std::unique_ptr<CallSyntax> call;
};

/// What an assignment writes to.
struct Target {
  enum class Kind : uint8_t { kName, kTuple, kAttribute };
  Kind kind = Kind::kName;
  NameId name = 0;
  std::string attribute;  // of the namespace `name`
  std::vector<Target> items;
};

struct MacroSyntax {
  std::string name;  // "" of a call block
  std::vector<NameId> parameters;
  std::vector<Expr*> defaults;  // of the last parameters
  bool wants_varargs = false, wants_kwargs = false, wants_caller = false;
  bool caller_is_parameter = false;
  Block body;
  std::vector<NameId> unset;  // see scope_analysis.h
};

enum class StmtKind : uint8_t {
  kText,
  kOutput,
  kIf,
  kFor,
  kSet,
  kSetBlock,
  kMacro,
  kCallBlock,
  kFilterBlock,
  kWith,
  kScope,  // {% generation %}
  kBreak,
  kContinue,
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  uint32_t line = 0;
  bool recursive = false;
  Expr* expr = nullptr;    // output, iterable, value, call, or filter over a kHole
  Expr* filter = nullptr;  // for ... if filter
  Value text;              // kText
  Target target;
  std::vector<std::pair<Expr*, Block>> branches;      // if, elif
  std::vector<std::pair<Target, Expr*>> assignments;  // with
  Block body;
  Block otherwise;
  // Of the scopes of body and otherwise, see scope_analysis.h.
  std::vector<NameId> unset, unset_otherwise;
  std::unique_ptr<MacroSyntax> macro;
};

struct Template {
  std::vector<std::string> names;
  std::deque<Expr> exprs;
  std::deque<Stmt> stmts;
  Block body;
  std::vector<NameId> unset;
};

}  // namespace lantern::text::jinja
