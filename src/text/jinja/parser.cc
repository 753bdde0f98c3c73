// A parser by recursive descent whose recursion is bounded: every way down goes through
// Nesting. Precedence, lowest first: if-else, or, and, not, comparisons, + -, ~, * / // %,
// **, unary, postfix and filters.
#include "text/jinja/parser.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "text/jinja/expression_parser.h"
#include "text/jinja/scope_analysis.h"

namespace lantern::text::jinja {
namespace {

class StatementParser : private ExpressionParser {
 public:
  explicit StatementParser(std::vector<Token> tokens) : ExpressionParser(std::move(tokens)) {}

  Result<std::shared_ptr<const Template>> run() {
    LANTERN_ASSIGN(out().body, block({}));
    LANTERN_TRY(check_known_names());
    find_unset_names(out());
    return std::shared_ptr<const Template>(take());
  }

 private:
  /// What one statement's parsing assumes of its surroundings.
  struct Surroundings {
    bool soft;
    bool in_loop;
  };

  Stmt* make(StmtKind kind, uint32_t line) {
    Stmt& stmt = out().stmts.emplace_back();
    stmt.kind = kind;
    stmt.line = line;
    return &stmt;
  }

  Status expect_block_end() {
    if (peek().type != TokenType::kBlockEnd)
      return fail("expected the end of the tag (%}}), got {}", describe(peek()));
    next();
    return {};
  }

  /// Statements up to, and not with, a tag whose name is one of `ends`. Both the tag's
  /// opening and its name: the name is the current token afterwards.
  Result<Block> block(std::vector<std::string_view> ends) {
    LANTERN_ASSIGN(Nesting nesting, enter());
    Block body;
    while (true) {
      const Token& token = peek();
      if (token.type == TokenType::kEnd) {
        if (ends.empty()) return body;
        return fail("the template ends where {} is missing", ends.back());
      }
      if (token.type == TokenType::kData) {
        Stmt* stmt = make(StmtKind::kText, token.line);
        stmt->text = literal_text(token.text);
        body.push_back(stmt);
        next();
        continue;
      }
      if (token.type == TokenType::kVariableBegin) {
        next();
        Stmt* stmt = make(StmtKind::kOutput, peek().line);
        LANTERN_ASSIGN(stmt->expr, tuple_or_expression({}));
        if (peek().type != TokenType::kVariableEnd)
          return fail("expected the end of the expression (}}}}), got {}", describe(peek()));
        next();
        body.push_back(stmt);
        continue;
      }
      next();  // the block's begin
      if (peek().type != TokenType::kName)
        return fail("a tag begins with its name, not with {}", describe(peek()));
      if (std::find(ends.begin(), ends.end(), peek().text) != ends.end()) return body;
      LANTERN_TRY(statement(body));
      LANTERN_TRY(expect_block_end());
    }
  }

  /// The body of the tag just read: its closing, statements, the end tag's name.
  Result<Block> body_until(std::vector<std::string_view> ends) {
    if (peek().is_operator(":")) next();
    LANTERN_TRY(expect_block_end());
    return block(std::move(ends));
  }

  Result<Block> body_to_end(std::string_view end) {
    LANTERN_ASSIGN(Block body, body_until({end}));
    next();
    return body;
  }

  /// The body of something that is a frame of its own: an unknown filter counts again.
  Result<Block> frame_body(std::string_view end, bool in_loop) {
    const Surroundings before{std::exchange(soft_, false), std::exchange(in_loop_, in_loop)};
    auto body = body_to_end(end);
    soft_ = before.soft;
    in_loop_ = before.in_loop;
    return body;
  }

  Status statement(Block& body) {
    const std::string tag = peek().text;
    if (tag == "if") return if_statement(body);
    if (tag == "for") return for_statement(body);
    if (tag == "set") return set_statement(body);
    if (tag == "macro") return macro_statement(body);
    if (tag == "call") return call_statement(body);
    if (tag == "filter") return filter_statement(body);
    if (tag == "with") return with_statement(body);
    if (tag == "generation") return generation_statement(body);
    if (tag == "print") return print_statement(body);
    if (tag == "break" || tag == "continue") {
      if (!in_loop_) return fail("'{}' outside of a loop", tag);
      body.push_back(make(tag == "break" ? StmtKind::kBreak : StmtKind::kContinue, next().line));
      return {};
    }
    for (std::string_view other : {"include", "import", "from", "extends", "block", "autoescape"})
      if (tag == other)
        return make_error(ErrorCode::kUnsupported,
                          "line {}: the tag '{}' is not supported in a chat template", peek().line,
                          tag);
    return fail("unknown tag '{}'", tag);
  }

  Status if_statement(Block& body) {
    Stmt* stmt = make(StmtKind::kIf, next().line);
    body.push_back(stmt);
    const bool soft_before = std::exchange(soft_, true);
    while (true) {
      LANTERN_ASSIGN(Expr * condition, tuple_or_expression({.conditions = false}));
      LANTERN_ASSIGN(Block branch, body_until({"elif", "else", "endif"}));
      stmt->branches.emplace_back(condition, std::move(branch));
      const std::string end = next().text;
      if (end == "elif") continue;
      if (end == "else") {
        LANTERN_ASSIGN(stmt->otherwise, body_to_end("endif"));
      }
      break;
    }
    soft_ = soft_before;
    return {};
  }

  Status for_statement(Block& body) {
    Stmt* stmt = make(StmtKind::kFor, next().line);
    body.push_back(stmt);
    LANTERN_TRY(target(stmt->target, {}));
    if (!peek().is_name("in")) return fail("expected 'in', got {}", describe(peek()));
    next();
    LANTERN_ASSIGN(stmt->expr, tuple_or_expression({.conditions = false}));
    const Surroundings before{std::exchange(soft_, false), std::exchange(in_loop_, true)};
    if (peek().is_name("if")) {
      next();
      LANTERN_ASSIGN(stmt->filter, expression());
    }
    if (peek().is_name("recursive")) {
      next();
      stmt->recursive = true;
    }
    LANTERN_ASSIGN(stmt->body, body_until({"else", "endfor"}));
    in_loop_ = before.in_loop;
    if (next().text == "else") {
      LANTERN_ASSIGN(stmt->otherwise, body_to_end("endfor"));
    }
    soft_ = before.soft;
    return {};
  }

  Status set_statement(Block& body) {
    Stmt* stmt = make(StmtKind::kSet, next().line);
    body.push_back(stmt);
    LANTERN_TRY(target(stmt->target, {.attributes = true}));
    if (peek().is_operator("=")) {
      next();
      LANTERN_ASSIGN(stmt->expr, tuple_or_expression({}));
      return {};
    }
    stmt->kind = StmtKind::kSetBlock;
    if (peek().is_operator("|")) {
      LANTERN_ASSIGN(stmt->expr, filter_chain(hole()));
    }
    LANTERN_ASSIGN(stmt->body, frame_body("endset", false));
    return {};
  }

  /// The parameters in brackets of a macro or call block.
  Status signature(MacroSyntax& macro) {
    next();  // (
    while (!peek().is_operator(")")) {
      if (!macro.parameters.empty()) LANTERN_TRY(expect(","));
      if (peek().type != TokenType::kName)
        return fail("expected a parameter's name, got {}", describe(peek()));
      LANTERN_ASSIGN(const NameId name, assignable_name(next().text));
      if (out().names[name] == "caller") macro.caller_is_parameter = true;
      macro.parameters.push_back(name);
      if (peek().is_operator("=")) {
        next();
        LANTERN_ASSIGN(Expr * value, expression());
        macro.defaults.push_back(value);
      } else if (!macro.defaults.empty()) {
        return fail("a parameter without default follows one with a default");
      }
    }
    next();
    return {};
  }

  /// A macro takes more positional or named arguments, or a caller, if its body reads those names.
  Status macro_body(MacroSyntax& macro, std::string_view end) {
    const SpecialNames outside = std::exchange(special_names(), {});
    auto body = frame_body(end, false);
    if (!body.ok()) return std::move(body).error();
    macro.body = std::move(body).value();
    auto is_parameter = [&](std::string_view name) {
      return std::any_of(macro.parameters.begin(), macro.parameters.end(),
                         [&](NameId id) { return out().names[id] == name; });
    };
    const SpecialNames inside = std::exchange(special_names(), outside);
    macro.wants_caller = inside.caller;
    macro.wants_varargs = inside.varargs && !is_parameter("varargs");
    macro.wants_kwargs = inside.kwargs && !is_parameter("kwargs");
    special_names().caller |= inside.caller;
    special_names().varargs |= inside.varargs;
    special_names().kwargs |= inside.kwargs;
    return {};
  }

  Status macro_statement(Block& body) {
    Stmt* stmt = make(StmtKind::kMacro, next().line);
    body.push_back(stmt);
    stmt->macro = std::make_unique<MacroSyntax>();
    if (peek().type != TokenType::kName)
      return fail("expected the macro's name, got {}", describe(peek()));
    LANTERN_ASSIGN(stmt->target.name, assignable_name(next().text));
    stmt->macro->name = out().names[stmt->target.name];
    if (!peek().is_operator("(")) return fail("expected '(', got {}", describe(peek()));
    LANTERN_TRY(signature(*stmt->macro));
    return macro_body(*stmt->macro, "endmacro");
  }

  Status call_statement(Block& body) {
    Stmt* stmt = make(StmtKind::kCallBlock, next().line);
    body.push_back(stmt);
    stmt->macro = std::make_unique<MacroSyntax>();
    stmt->macro->name = "caller";
    if (peek().is_operator("(")) LANTERN_TRY(signature(*stmt->macro));
    LANTERN_ASSIGN(stmt->expr, expression());
    if (stmt->expr->kind != ExprKind::kCall) return fail("a call block needs a call");
    return macro_body(*stmt->macro, "endcall");
  }

  Status filter_statement(Block& body) {
    Stmt* stmt = make(StmtKind::kFilterBlock, next().line);
    body.push_back(stmt);
    LANTERN_ASSIGN(stmt->expr, filter_chain(hole(), /*first_without_pipe=*/true));
    LANTERN_ASSIGN(stmt->body, frame_body("endfilter", false));
    return {};
  }

  Status with_statement(Block& body) {
    Stmt* stmt = make(StmtKind::kWith, next().line);
    body.push_back(stmt);
    while (peek().type != TokenType::kBlockEnd) {
      if (!stmt->assignments.empty()) LANTERN_TRY(expect(","));
      auto& [to, value] = stmt->assignments.emplace_back();
      LANTERN_TRY(target(to, {}));
      LANTERN_TRY(expect("="));
      LANTERN_ASSIGN(value, expression());
    }
    LANTERN_ASSIGN(stmt->body, frame_body("endwith", in_loop_));
    return {};
  }

  Status generation_statement(Block& body) {
    Stmt* stmt = make(StmtKind::kScope, next().line);
    body.push_back(stmt);
    LANTERN_ASSIGN(stmt->body, frame_body("endgeneration", false));
    return {};
  }

  Status print_statement(Block& body) {
    const uint32_t line = next().line;
    for (bool first = true; peek().type != TokenType::kBlockEnd; first = false) {
      if (!first) LANTERN_TRY(expect(","));
      Stmt* stmt = make(StmtKind::kOutput, line);
      LANTERN_ASSIGN(stmt->expr, expression());
      body.push_back(stmt);
    }
    return {};
  }

  bool in_loop_ = false;
};

}  // namespace

Result<std::shared_ptr<const Template>> parse_template(std::string_view source) {
  LANTERN_ASSIGN(std::vector<Token> tokens, tokenize(source));
  return StatementParser(std::move(tokens)).run();
}

}  // namespace lantern::text::jinja
