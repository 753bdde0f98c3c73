// Constant folding over a template's expressions: what each could come to.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/attributes.h"
#include "text/jinja/builtins.h"
#include "text/jinja/runtime.h"

namespace lantern::supply::scan {

/// What an expression may come to.
struct Folded {
  std::vector<text::jinja::Value> constants;  // each of these
  bool is_unknown = false;                    // or something that only rendering tells
  bool from_handle = false;        // a Python function or object of the host (lipsum, cycler, self)
  bool from_words = false;         // computed from what a message says
  bool from_date = false;          // computed from today's date
  bool has_dunder = false;         // a constant with "__" went into it
  bool from_computed_key = false;  // an item whose key is no literal

  static Folded unknown() {
    Folded value;
    value.is_unknown = true;
    return value;
  }
  /// Joins what else it may be; drops constants past the limit.
  void join(const Folded& other);
  void add(text::jinja::Value value);
  void taint_by(const Folded& other);
  /// The constants that are text.
  [[nodiscard]] std::vector<std::string_view> texts() const;
  static constexpr size_t kConstantsMax = 16;
};

/// Applies `function` to every combination of constants. Unknown where an operand is.
Folded combine(
    const std::vector<const Folded*>& operands,
    const std::function<Result<text::jinja::Value>(std::vector<text::jinja::Value>)>& function);

}  // namespace lantern::supply::scan
