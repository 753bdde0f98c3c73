#include "supply/scan/template/fold.h"

#include <algorithm>
#include <utility>

namespace lantern::supply::scan {
namespace {

using text::jinja::Kind;
using text::jinja::Value;

constexpr size_t kCombinationsMax = 64;

bool same(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.is(Kind::kString)) return a.view_text() == b.view_text();
  if (a.is(Kind::kInt) || a.is(Kind::kBool)) return a.as_int() == b.as_int();
  return a.same_object(b) && !a.is_number();
}

}  // namespace

void Folded::add(Value value) {
  if (value.is(Kind::kUndefined)) {
    is_unknown = true;
    return;
  }
  if (value.is(Kind::kString) && value.view_text().find("__") != std::string_view::npos)
    has_dunder = true;
  if (std::any_of(constants.begin(), constants.end(),
                  [&](const Value& held) { return same(held, value); }))
    return;
  if (constants.size() >= kConstantsMax) {
    is_unknown = true;
    return;
  }
  constants.push_back(std::move(value));
}

void Folded::taint_by(const Folded& other) {
  from_words = from_words || other.from_words;
  from_date = from_date || other.from_date;
  has_dunder = has_dunder || other.has_dunder;
}

void Folded::join(const Folded& other) {
  for (const Value& value : other.constants) add(value);
  is_unknown = is_unknown || other.is_unknown;
  from_handle = from_handle || other.from_handle;
  from_computed_key = from_computed_key || other.from_computed_key;
  taint_by(other);
}

std::vector<std::string_view> Folded::texts() const {
  std::vector<std::string_view> out;
  for (const Value& value : constants)
    if (value.is(Kind::kString)) out.push_back(value.view_text());
  return out;
}

Folded combine(const std::vector<const Folded*>& operands,
               const std::function<Result<Value>(std::vector<Value>)>& function) {
  Folded out;
  size_t n_combinations = 1;
  for (const Folded* operand : operands) {
    out.taint_by(*operand);
    if (operand->is_unknown) out.is_unknown = true;
    n_combinations *= operand->constants.size();
    if (n_combinations == 0) {
      out.is_unknown = true;
      return out;
    }
    if (n_combinations > kCombinationsMax) {
      out.is_unknown = true;
      n_combinations = kCombinationsMax;
    }
  }
  for (size_t i = 0; i < n_combinations; ++i) {
    std::vector<Value> values;
    values.reserve(operands.size());
    size_t rest = i;
    for (const Folded* operand : operands) {
      values.push_back(operand->constants[rest % operand->constants.size()]);
      rest /= operand->constants.size();
    }
    auto value = function(std::move(values));
    if (value.ok())
      out.add(std::move(value).value());
    else
      out.is_unknown = true;
  }
  return out;
}

}  // namespace lantern::supply::scan
