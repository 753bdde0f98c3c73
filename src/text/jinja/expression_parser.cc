#include "text/jinja/expression_parser.h"

#include <algorithm>

#include "text/jinja/builtins.h"

namespace lantern::text::jinja {
namespace {

// Real templates nest about 30 deep; each level takes up to 15 frames of the parser.
constexpr size_t kNestingMax = 100;

struct BinaryOperator {
  const char* symbol;
  Op op;
};
// By level, loosest first; the level of ~ stands between the first two.
constexpr BinaryOperator kAdditive[] = {{"+", Op::kAdd}, {"-", Op::kSub}};
constexpr BinaryOperator kMultiplicative[] = {
    {"*", Op::kMul}, {"/", Op::kDiv}, {"//", Op::kFloorDiv}, {"%", Op::kMod}};
constexpr BinaryOperator kPower[] = {{"**", Op::kPow}};
constexpr std::span<const BinaryOperator> kLevels[] = {kAdditive, kMultiplicative, kPower};
constexpr BinaryOperator kComparisons[] = {{"==", Op::kEq}, {"!=", Op::kNe}, {"<", Op::kLt},
                                           {"<=", Op::kLe}, {">", Op::kGt},  {">=", Op::kGe}};

const BinaryOperator* find_operator(std::span<const BinaryOperator> from, const Token& token) {
  for (const BinaryOperator& o : from)
    if (token.is_operator(o.symbol)) return &o;
  return nullptr;
}

bool is_constant_name(std::string_view name) {
  return name == "true" || name == "false" || name == "none" || name == "True" || name == "False" ||
         name == "None";
}

}  // namespace

std::string ExpressionParser::describe(const Token& token) {
  switch (token.type) {
    case TokenType::kEnd:
      return "the template's end";
    case TokenType::kBlockEnd:
      return "the end of the tag";
    case TokenType::kVariableEnd:
      return "the end of the expression";
    case TokenType::kString:
      return "a string";
    default:
      return fmt::format("'{}'", token.text.substr(0, 40));
  }
}

Status ExpressionParser::expect(std::string_view op) {
  if (!peek().is_operator(op)) return fail("expected '{}', got {}", op, describe(peek()));
  next();
  return {};
}

Result<ExpressionParser::Nesting> ExpressionParser::enter() {
  if (depth_ >= kNestingMax)
    return make_error(ErrorCode::kTooLarge, "line {}: nested deeper than {} levels", peek().line,
                      kNestingMax);
  return Nesting(depth_);
}

Expr* ExpressionParser::make(ExprKind kind, uint32_t line) {
  Expr& expr = template_->exprs.emplace_back();
  expr.kind = kind;
  expr.line = line;
  return &expr;
}

Expr* ExpressionParser::make_operation(ExprKind kind, Op op, Expr* left, Expr* right) {
  Expr* expr = make(kind, left != nullptr ? left->line : peek().line);
  expr->op = op;
  expr->left = left;
  expr->right = right;
  return expr;
}

NameId ExpressionParser::intern(const std::string& name) {
  auto [place, fresh] = name_ids_.try_emplace(name, static_cast<NameId>(template_->names.size()));
  if (fresh) template_->names.push_back(name);
  return place->second;
}

Value ExpressionParser::literal_text(std::string_view text) {
  return Value::string(std::make_shared<const Text>(text, SpanKind::kLiteral));
}

Expr* ExpressionParser::hole() { return make(ExprKind::kHole, peek().line); }

Status ExpressionParser::check_known_names() const {
  if (unknown_.empty()) return {};
  return make_error(ErrorCode::kCorrupt, "{}", unknown_.front());
}

Result<Expr*> ExpressionParser::expression(bool conditions) {
  return conditions ? condition() : logical(true);
}

Result<Expr*> ExpressionParser::condition() {
  LANTERN_ASSIGN(Nesting nesting, enter());
  const size_t unknown_before = unknown_.size();
  LANTERN_ASSIGN(Expr * value, logical(true));
  while (peek().is_name("if")) {
    next();
    Expr* expr = make_operation(ExprKind::kCondition, Op::kAdd, value, nullptr);
    LANTERN_ASSIGN(expr->right, logical(true));
    if (peek().is_name("else")) {
      next();
      LANTERN_ASSIGN(expr->third, condition());
    }
    unknown_.resize(unknown_before);
    value = expr;
  }
  return value;
}

Result<Expr*> ExpressionParser::logical(bool is_or) {
  const std::string_view word = is_or ? "or" : "and";
  LANTERN_ASSIGN(Expr * left, is_or ? logical(false) : negation());
  while (peek().is_name(word)) {
    next();
    LANTERN_ASSIGN(Expr * right, is_or ? logical(false) : negation());
    left = make_operation(is_or ? ExprKind::kOr : ExprKind::kAnd, Op::kAdd, left, right);
  }
  return left;
}

Result<Expr*> ExpressionParser::negation() {
  if (!peek().is_name("not")) return comparison();
  LANTERN_ASSIGN(Nesting nesting, enter());
  next();
  LANTERN_ASSIGN(Expr * operand, negation());
  return make_operation(ExprKind::kUnary, Op::kNot, operand, nullptr);
}

Result<Expr*> ExpressionParser::comparison() {
  LANTERN_ASSIGN(Expr * left, binary(0));
  Expr* chain = nullptr;
  while (true) {
    Op op = Op::kEq;
    if (const BinaryOperator* o = find_operator(kComparisons, peek())) {
      op = o->op;
      next();
    } else if (peek().is_name("in")) {
      op = Op::kIn;
      next();
    } else if (peek().is_name("not") && peek(1).is_name("in")) {
      op = Op::kNotIn;
      next();
      next();
    } else {
      break;
    }
    if (chain == nullptr) chain = make_operation(ExprKind::kCompare, op, left, nullptr);
    LANTERN_ASSIGN(Expr * right, binary(0));
    chain->ops.push_back(op);
    chain->items.push_back(right);
  }
  return chain != nullptr ? chain : left;
}

Result<Expr*> ExpressionParser::binary(int level) {
  auto operand = [&]() -> Result<Expr*> {
    if (level == 0) return concatenation();
    if (level == 1) return binary(2);
    return unary(true);
  };
  LANTERN_ASSIGN(Expr * left, operand());
  while (const BinaryOperator* o = find_operator(kLevels[level], peek())) {
    next();
    LANTERN_ASSIGN(Expr * right, operand());
    left = make_operation(ExprKind::kBinary, o->op, left, right);
  }
  return left;
}

Result<Expr*> ExpressionParser::concatenation() {
  LANTERN_ASSIGN(Expr * first, binary(1));
  if (!peek().is_operator("~")) return first;
  Expr* expr = make(ExprKind::kConcat, first->line);
  expr->items.push_back(first);
  while (peek().is_operator("~")) {
    next();
    LANTERN_ASSIGN(Expr * item, binary(1));
    expr->items.push_back(item);
  }
  return expr;
}

Result<Expr*> ExpressionParser::unary(bool with_filters) {
  Expr* node = nullptr;
  if (peek().is_operator("-") || peek().is_operator("+")) {
    LANTERN_ASSIGN(Nesting nesting, enter());
    const Op op = next().text == "-" ? Op::kNegative : Op::kPositive;
    LANTERN_ASSIGN(Expr * operand, unary(false));
    node = make_operation(ExprKind::kUnary, op, operand, nullptr);
  } else {
    LANTERN_ASSIGN(node, primary());
  }
  LANTERN_ASSIGN(node, postfix(node));
  return with_filters ? filters_and_tests(node) : node;
}

Result<Expr*> ExpressionParser::primary() {
  const Token& token = peek();
  if (token.type == TokenType::kName) return name_or_constant();
  if (token.type == TokenType::kString) {
    Expr* expr = make(ExprKind::kLiteral, token.line);
    std::string text;
    while (peek().type == TokenType::kString) text += next().text;
    expr->literal = literal_text(text);
    return expr;
  }
  if (token.type == TokenType::kInteger || token.type == TokenType::kFloat) {
    Expr* expr = make(ExprKind::kLiteral, token.line);
    expr->literal =
        token.type == TokenType::kInteger ? Value::integer(token.integer) : Value::real(token.real);
    next();
    return expr;
  }
  if (token.is_operator("(")) {
    next();
    LANTERN_ASSIGN(Expr * expr, tuple_or_expression({.parenthesized = true}));
    LANTERN_TRY(expect(")"));
    return expr;
  }
  if (token.is_operator("[")) return list_display();
  if (token.is_operator("{")) return dict_display();
  return fail("unexpected {}", describe(token));
}

Result<Expr*> ExpressionParser::name_or_constant() {
  const Token& token = next();
  if (is_constant_name(token.text)) {
    Expr* expr = make(ExprKind::kLiteral, token.line);
    const char first = token.text[0];
    expr->literal =
        first == 'n' || first == 'N' ? Value::none() : Value::boolean(first == 't' || first == 'T');
    return expr;
  }
  special_names_.caller |= token.text == "caller";
  special_names_.varargs |= token.text == "varargs";
  special_names_.kwargs |= token.text == "kwargs";
  Expr* expr = make(ExprKind::kName, token.line);
  expr->name = intern(token.text);
  return expr;
}

Result<Expr*> ExpressionParser::tuple_or_expression(TupleOptions options) {
  const uint32_t line = peek().line;
  auto at_end = [&] {
    const Token& token = peek();
    return token.type == TokenType::kVariableEnd || token.type == TokenType::kBlockEnd ||
           token.is_operator(")");
  };
  std::vector<Expr*> items;
  bool is_tuple = false;
  while (!at_end()) {
    LANTERN_ASSIGN(Expr * item, expression(options.conditions));
    items.push_back(item);
    if (!peek().is_operator(",")) break;
    is_tuple = true;
    next();
  }
  if (!is_tuple) {
    if (!items.empty()) return items[0];
    if (!options.parenthesized) return fail("expected an expression, got {}", describe(peek()));
  }
  Expr* tuple = make(ExprKind::kTuple, line);
  tuple->items = std::move(items);
  return tuple;
}

Result<Expr*> ExpressionParser::list_display() {
  Expr* list = make(ExprKind::kList, next().line);
  while (!peek().is_operator("]")) {
    if (!list->items.empty()) LANTERN_TRY(expect(","));
    if (peek().is_operator("]")) break;
    LANTERN_ASSIGN(Expr * item, expression());
    list->items.push_back(item);
  }
  next();
  return list;
}

Result<Expr*> ExpressionParser::dict_display() {
  Expr* dict = make(ExprKind::kDict, next().line);
  while (!peek().is_operator("}")) {
    if (!dict->items.empty()) LANTERN_TRY(expect(","));
    if (peek().is_operator("}")) break;
    LANTERN_ASSIGN(Expr * key, expression());
    LANTERN_TRY(expect(":"));
    LANTERN_ASSIGN(Expr * value, expression());
    dict->items.push_back(key);
    dict->items.push_back(value);
  }
  next();
  return dict;
}

Result<Expr*> ExpressionParser::postfix(Expr* node) {
  while (true) {
    if (peek().is_operator(".")) {
      LANTERN_ASSIGN(node, attribute(node));
    } else if (peek().is_operator("[")) {
      LANTERN_ASSIGN(node, subscript(node));
    } else if (peek().is_operator("(")) {
      LANTERN_ASSIGN(node, call(node));
    } else {
      return node;
    }
  }
}

Result<Expr*> ExpressionParser::filters_and_tests(Expr* node) {
  while (true) {
    if (peek().is_operator("|")) {
      LANTERN_ASSIGN(node, filter_chain(node));
    } else if (peek().is_name("is")) {
      LANTERN_ASSIGN(node, test(node));
    } else if (peek().is_operator("(")) {
      LANTERN_ASSIGN(node, call(node));
    } else {
      return node;
    }
  }
}

Result<std::string> ExpressionParser::dotted_name() {
  if (peek().type != TokenType::kName) return fail("expected a name, got {}", describe(peek()));
  std::string name = next().text;
  while (peek().is_operator(".")) {
    next();
    if (peek().type != TokenType::kName) return fail("expected a name, got {}", describe(peek()));
    name += "." + next().text;
  }
  return name;
}

Result<Expr*> ExpressionParser::filter_chain(Expr* node, bool first_without_pipe) {
  while (first_without_pipe || peek().is_operator("|")) {
    if (!first_without_pipe) next();
    first_without_pipe = false;
    Expr* filter = make_operation(ExprKind::kFilter, Op::kAdd, node, nullptr);
    filter->line = peek().line;
    LANTERN_ASSIGN(filter->text, dotted_name());
    if (!soft_ && !is_filter(filter->text))
      unknown_.push_back(
          fmt::format("line {}: there is no filter '{}'", filter->line, filter->text));
    filter->call = std::make_unique<CallSyntax>();
    if (peek().is_operator("(")) LANTERN_TRY(call_arguments(*filter->call));
    node = filter;
  }
  return node;
}

Result<Expr*> ExpressionParser::test(Expr* node) {
  next();  // is
  const bool negated = peek().is_name("not");
  if (negated) next();
  Expr* expr = make_operation(ExprKind::kTest, Op::kAdd, node, nullptr);
  LANTERN_ASSIGN(expr->text, dotted_name());
  if (!soft_ && !is_test(expr->text))
    unknown_.push_back(fmt::format("line {}: there is no test '{}'", expr->line, expr->text));
  expr->call = std::make_unique<CallSyntax>();
  const Token& token = peek();
  const bool takes_argument = token.type == TokenType::kName || token.type == TokenType::kString ||
                              token.type == TokenType::kInteger ||
                              token.type == TokenType::kFloat || token.is_operator("[") ||
                              token.is_operator("{");
  if (token.is_operator("(")) {
    LANTERN_TRY(call_arguments(*expr->call));
  } else if (takes_argument && !token.is_name("else") && !token.is_name("or") &&
             !token.is_name("and")) {
    if (token.is_name("is")) return fail("tests cannot be chained with 'is'");
    LANTERN_ASSIGN(Nesting nesting, enter());
    LANTERN_ASSIGN(Expr * argument, primary());
    LANTERN_ASSIGN(argument, postfix(argument));
    expr->call->positional.push_back(argument);
  }
  return negated ? make_operation(ExprKind::kUnary, Op::kNot, expr, nullptr) : expr;
}

Result<Expr*> ExpressionParser::attribute(Expr* node) {
  next();  // .
  const Token& token = next();
  if (token.type == TokenType::kName) {
    Expr* expr = make_operation(ExprKind::kGetAttr, Op::kAdd, node, nullptr);
    expr->text = token.text;
    return expr;
  }
  if (token.type != TokenType::kInteger)
    return fail("expected a name or a number after '.', got {}", describe(token));
  Expr* index = make(ExprKind::kLiteral, token.line);
  index->literal = Value::integer(token.integer);
  return make_operation(ExprKind::kGetItem, Op::kAdd, node, index);
}

Result<Expr*> ExpressionParser::subscript(Expr* node) {
  next();  // [
  std::vector<Expr*> parts;
  while (!peek().is_operator("]")) {
    if (!parts.empty()) LANTERN_TRY(expect(","));
    LANTERN_ASSIGN(Expr * part, slice_or_index());
    parts.push_back(part);
  }
  next();
  // A slice that has its object already is an index: x['abc'[:2]].
  const auto is_bare_slice = [](const Expr* part) {
    return part->kind == ExprKind::kSlice && part->left == nullptr;
  };
  if (parts.size() == 1 && is_bare_slice(parts[0])) {
    parts[0]->left = node;
    return parts[0];
  }
  for (const Expr* part : parts)
    if (is_bare_slice(part)) return fail("a slice cannot be one of several indices");
  if (parts.size() == 1) return make_operation(ExprKind::kGetItem, Op::kAdd, node, parts[0]);
  Expr* tuple = make(ExprKind::kTuple, node->line);
  tuple->items = std::move(parts);
  return make_operation(ExprKind::kGetItem, Op::kAdd, node, tuple);
}

Result<Expr*> ExpressionParser::slice_part() {
  if (peek().is_operator(":") || peek().is_operator("]") || peek().is_operator(","))
    return static_cast<Expr*>(nullptr);
  return expression();
}

Result<Expr*> ExpressionParser::slice_or_index() {
  const uint32_t line = peek().line;
  Expr* first = nullptr;
  if (!peek().is_operator(":")) {
    LANTERN_ASSIGN(first, expression());
    if (!peek().is_operator(":")) return first;
  }
  next();
  Expr* slice = make(ExprKind::kSlice, line);
  LANTERN_ASSIGN(Expr * last, slice_part());
  Expr* step = nullptr;
  if (peek().is_operator(":")) {
    next();
    LANTERN_ASSIGN(step, slice_part());
  }
  slice->items = {first, last, step};
  return slice;
}

Result<Expr*> ExpressionParser::call(Expr* node) {
  Expr* expr = make_operation(ExprKind::kCall, Op::kAdd, node, nullptr);
  expr->line = peek().line;
  expr->call = std::make_unique<CallSyntax>();
  LANTERN_TRY(call_arguments(*expr->call));
  return expr;
}

Status ExpressionParser::call_arguments(CallSyntax& call) {
  LANTERN_TRY(expect("("));
  bool first = true;
  while (!peek().is_operator(")")) {
    if (!first) {
      LANTERN_TRY(expect(","));
      if (peek().is_operator(")")) break;
    }
    first = false;
    LANTERN_TRY(one_argument(call));
  }
  next();
  return {};
}

Status ExpressionParser::one_argument(CallSyntax& call) {
  const bool dynamic = call.star != nullptr || call.double_star != nullptr;
  bool in_order = true;
  if (peek().is_operator("*")) {
    in_order = !dynamic;
    next();
    LANTERN_ASSIGN(call.star, expression());
  } else if (peek().is_operator("**")) {
    in_order = call.double_star == nullptr;
    next();
    LANTERN_ASSIGN(call.double_star, expression());
  } else if (peek().type == TokenType::kName && peek(1).is_operator("=")) {
    in_order = call.double_star == nullptr;
    std::string name = next().text;
    next();
    LANTERN_ASSIGN(Expr * value, expression());
    for (const auto& [given, unused] : call.named)
      if (given == name) return fail("the argument '{}' is given twice", name);
    call.named.emplace_back(std::move(name), value);
  } else {
    in_order = !dynamic && call.named.empty();
    LANTERN_ASSIGN(Expr * value, expression());
    call.positional.push_back(value);
  }
  if (!in_order) return fail("the arguments of a call stand in the wrong order");
  return {};
}

Result<NameId> ExpressionParser::assignable_name(const std::string& name) {
  if (is_constant_name(name)) return fail("cannot assign to '{}'", name);
  return intern(name);
}

Status ExpressionParser::target_item(Target& target, TargetOptions options) {
  LANTERN_ASSIGN(Nesting nesting, enter());
  if (peek().is_operator("(")) {
    next();
    LANTERN_TRY(this->target(target, options));
    return expect(")");
  }
  if (peek().type != TokenType::kName) return fail("cannot assign to {}", describe(peek()));
  LANTERN_ASSIGN(target.name, assignable_name(next().text));
  if (options.attributes && peek().is_operator(".")) {
    next();
    if (peek().type != TokenType::kName) return fail("expected a name, got {}", describe(peek()));
    target.kind = Target::Kind::kAttribute;
    target.attribute = next().text;
  }
  return {};
}

Status ExpressionParser::target(Target& target, TargetOptions options) {
  auto at_end = [&] {
    const Token& token = peek();
    return token.type == TokenType::kVariableEnd || token.type == TokenType::kBlockEnd ||
           token.is_operator(")");
  };
  std::vector<Target> items;
  bool is_tuple = false;
  while (!at_end()) {
    LANTERN_TRY(target_item(items.emplace_back(), options));
    if (!peek().is_operator(",")) break;
    is_tuple = true;
    next();
  }
  if (items.empty()) return fail("expected a name to assign to, got {}", describe(peek()));
  if (!is_tuple) {
    target = std::move(items[0]);
    return {};
  }
  target.kind = Target::Kind::kTuple;
  target.items = std::move(items);
  return {};
}

}  // namespace lantern::text::jinja
