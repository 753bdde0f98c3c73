// The expressions of a template, and what the parser of statements shares with them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/token.h"

namespace lantern::text::jinja {

class ExpressionParser {
 protected:
  /// What a comma-separated list may hold.
  struct TupleOptions {
    bool conditions = true;      // a if b else c
    bool parenthesized = false;  // () is then a tuple
  };
  struct TargetOptions {
    bool attributes = false;  // ns.x may be written to
  };
  /// The names that make a macro take more, when its body reads them.
  struct SpecialNames {
    bool caller = false, varargs = false, kwargs = false;
  };

  explicit ExpressionParser(std::vector<Token> tokens)
      : tokens_(std::move(tokens)), template_(std::make_shared<Template>()) {}

  [[nodiscard]] const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(position_ + ahead, tokens_.size() - 1)];
  }
  const Token& next() {
    const Token& token = peek();
    if (position_ + 1 < tokens_.size()) ++position_;
    return token;
  }
  template <typename... Args>
  [[nodiscard]] Error fail(fmt::format_string<Args...> format, Args&&... args) const {
    return make_error(ErrorCode::kCorrupt, "line {}: {}", peek().line,
                      fmt::format(format, std::forward<Args>(args)...));
  }
  static std::string describe(const Token& token);
  Status expect(std::string_view op);

  /// One level of recursion, given back when it ends.
  class Nesting {
   public:
    explicit Nesting(size_t& depth) : depth_(&depth) { ++depth; }
    Nesting(Nesting&& other) noexcept : depth_(std::exchange(other.depth_, nullptr)) {}
    Nesting& operator=(Nesting&&) = delete;
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;
    ~Nesting() {
      if (depth_ != nullptr) --*depth_;
    }

   private:
    size_t* depth_;
  };
  Result<Nesting> enter();

  Result<Expr*> expression(bool conditions = true);
  Result<Expr*> tuple_or_expression(TupleOptions options);
  Status target(Target& target, TargetOptions options);
  Result<NameId> assignable_name(const std::string& name);
  /// `node` and the filters after it; a filter block's first has no |.
  Result<Expr*> filter_chain(Expr* node, bool first_without_pipe = false);
  Expr* hole();
  static Value literal_text(std::string_view text);
  /// kCorrupt for a filter or test that does not exist and is used without condition.
  [[nodiscard]] Status check_known_names() const;

  Template& out() { return *template_; }
  std::shared_ptr<Template> take() { return std::move(template_); }
  SpecialNames& special_names() { return special_names_; }

  bool soft_ = false;  // within a condition, where unknown filters fail only when reached

 private:
  Expr* make(ExprKind kind, uint32_t line);
  Expr* make_operation(ExprKind kind, Op op, Expr* left, Expr* right);
  NameId intern(const std::string& name);

  Result<Expr*> condition();
  Result<Expr*> logical(bool is_or);
  Result<Expr*> negation();
  Result<Expr*> comparison();
  Result<Expr*> binary(int level);
  Result<Expr*> concatenation();
  Result<Expr*> unary(bool with_filters);
  Result<Expr*> primary();
  Result<Expr*> name_or_constant();
  Result<Expr*> list_display();
  Result<Expr*> dict_display();
  Result<Expr*> postfix(Expr* node);
  Result<Expr*> filters_and_tests(Expr* node);
  Result<Expr*> test(Expr* node);
  Result<Expr*> attribute(Expr* node);
  Result<Expr*> subscript(Expr* node);
  Result<Expr*> slice_or_index();
  Result<Expr*> slice_part();
  Result<Expr*> call(Expr* node);
  Status call_arguments(CallSyntax& call);
  Status one_argument(CallSyntax& call);
  Result<std::string> dotted_name();
  Status target_item(Target& target, TargetOptions options);

  std::vector<Token> tokens_;
  size_t position_ = 0;
  size_t depth_ = 0;
  std::shared_ptr<Template> template_;
  std::unordered_map<std::string, NameId> name_ids_;
  SpecialNames special_names_;
  std::vector<std::string> unknown_;  // messages on filters and tests that do not exist
};

}  // namespace lantern::text::jinja
