// The tests a template applies with `is`.
#include <algorithm>

#include "text/jinja/attributes.h"
#include "text/jinja/builtins.h"
#include "text/jinja/conversion.h"
#include "text/jinja/operations.h"

namespace lantern::text::jinja {
namespace {

Value yes(bool is) { return Value::boolean(is); }

template <Kind... kKinds>
Result<Value> kind_test(Runtime&, const Value& value, const Arguments&) {
  return yes((value.is(kKinds) || ...));
}

template <Op kOp>
Result<Value> comparison_test(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const bool holds, comparison(rt, kOp, value, args.at(0)));
  return yes(holds);
}

Result<Value> defined_test(Runtime&, const Value& value, const Arguments&) {
  return yes(!value.is(Kind::kUndefined));
}

template <bool kWanted>
Result<Value> is_boolean_test(Runtime&, const Value& value, const Arguments&) {
  return yes(value.is(Kind::kBool) && value.as_bool() == kWanted);
}

template <int kRemainder>
Result<Value> parity_test(Runtime& rt, const Value& value, const Arguments&) {
  LANTERN_ASSIGN(const Value remainder, binary_operation(rt, Op::kMod, value, Value::integer(2)));
  LANTERN_ASSIGN(const bool holds, equals(rt, remainder, Value::integer(kRemainder)));
  return yes(holds);
}

Result<Value> divisibleby_test(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const Value remainder, binary_operation(rt, Op::kMod, value, args.at(0)));
  LANTERN_ASSIGN(const bool holds, equals(rt, remainder, Value::integer(0)));
  return yes(holds);
}

Result<Value> iterable_test(Runtime& rt, const Value& value, const Arguments&) {
  if (value.is(Kind::kCallable)) {
    LANTERN_ASSIGN(const std::optional<Value> length, find_attribute(rt, value, "length"));
    return yes(length.has_value());
  }
  return yes(value.is(Kind::kUndefined) || value.is(Kind::kIterator) ||
             length_of(value).has_value());
}

Result<Value> sequence_test(Runtime&, const Value& value, const Arguments&) {
  return yes(length_of(value).has_value() && !value.is(Kind::kView));
}

Result<Value> callable_test(Runtime&, const Value& value, const Arguments&) {
  return yes(value.is(Kind::kCallable) || value.is(Kind::kUndefined));
}

Result<Value> sameas_test(Runtime&, const Value& value, const Arguments& args) {
  const Value& other = args.at(0);
  if (value.is(Kind::kBool) || value.is(Kind::kInt))
    return yes(value.kind() == other.kind() && value.as_int() == other.as_int());
  if (value.is(Kind::kFloat)) return yes(false);
  return yes(value.same_object(other));
}

Result<Value> escaped_test(Runtime&, const Value& value, const Arguments&) {
  return yes(value.is_markup());
}

template <bool (*kExists)(std::string_view)>
Result<Value> exists_test(Runtime&, const Value& value, const Arguments&) {
  return yes(value.is(Kind::kString) && kExists(value.view_text()));
}

template <const char* const& kMethod>
Result<Value> case_test(Runtime& rt, const Value& value, const Arguments&) {
  LANTERN_ASSIGN(const Value text, to_string(rt, value));
  LANTERN_ASSIGN(const Value method, get_attribute(rt, text, kMethod));
  return call_value(rt, method, {});
}

const char* const kIsLowerMethod = "islower";
const char* const kIsUpperMethod = "isupper";

const std::vector<Builtin>& tests() {
  static const std::vector<Builtin> kTests = {
      {{"!=", {"other"}, 1}, comparison_test<Op::kNe>},
      {{"<", {"other"}, 1}, comparison_test<Op::kLt>},
      {{"<=", {"other"}, 1}, comparison_test<Op::kLe>},
      {{"==", {"other"}, 1}, comparison_test<Op::kEq>},
      {{">", {"other"}, 1}, comparison_test<Op::kGt>},
      {{">=", {"other"}, 1}, comparison_test<Op::kGe>},
      {{"boolean", {}}, kind_test<Kind::kBool>},
      {{"callable", {}}, callable_test},
      {{"defined", {}}, defined_test},
      {{"divisibleby", {"num"}, 1}, divisibleby_test},
      {{"eq", {"other"}, 1}, comparison_test<Op::kEq>},
      {{"equalto", {"other"}, 1}, comparison_test<Op::kEq>},
      {{"escaped", {}}, escaped_test},
      {{"even", {}}, parity_test<0>},
      {{"false", {}}, is_boolean_test<false>},
      {{"filter", {}}, exists_test<is_filter>},
      {{"float", {}}, kind_test<Kind::kFloat>},
      {{"ge", {"other"}, 1}, comparison_test<Op::kGe>},
      {{"greaterthan", {"other"}, 1}, comparison_test<Op::kGt>},
      {{"gt", {"other"}, 1}, comparison_test<Op::kGt>},
      {{"in", {"seq"}, 1}, comparison_test<Op::kIn>},
      {{"integer", {}}, kind_test<Kind::kInt>},
      {{"iterable", {}}, iterable_test},
      {{"le", {"other"}, 1}, comparison_test<Op::kLe>},
      {{"lessthan", {"other"}, 1}, comparison_test<Op::kLt>},
      {{"lower", {}}, case_test<kIsLowerMethod>},
      {{"lt", {"other"}, 1}, comparison_test<Op::kLt>},
      {{"mapping", {}}, kind_test<Kind::kDict>},
      {{"ne", {"other"}, 1}, comparison_test<Op::kNe>},
      {{"none", {}}, kind_test<Kind::kNone>},
      {{"number", {}}, kind_test<Kind::kBool, Kind::kInt, Kind::kFloat>},
      {{"odd", {}}, parity_test<1>},
      {{"sameas", {"other"}, 1}, sameas_test},
      {{"sequence", {}}, sequence_test},
      {{"string", {}}, kind_test<Kind::kString>},
      {{"test", {}}, exists_test<is_test>},
      {{"true", {}}, is_boolean_test<true>},
      {{"undefined", {}}, kind_test<Kind::kUndefined>},
      {{"upper", {}}, case_test<kIsUpperMethod>},
  };
  return kTests;
}

const Builtin* find_test(std::string_view name) {
  const auto found = std::find_if(tests().begin(), tests().end(), [&](const Builtin& test) {
    return name == test.signature.function;
  });
  return found == tests().end() ? nullptr : &*found;
}

}  // namespace

bool is_test(std::string_view name) { return find_test(name) != nullptr; }

Result<bool> apply_test(Runtime& rt, std::string_view name, const Value& value, CallArgs args) {
  LANTERN_TRY(rt.step());
  const Builtin* test = find_test(name);
  if (test == nullptr) return type_error("there is no test '{}'", name);
  LANTERN_ASSIGN(const Arguments bound, Arguments::bind(test->signature, std::move(args)));
  LANTERN_ASSIGN(const Value result, test->function(rt, value, bound));
  return truthy(result);
}

}  // namespace lantern::text::jinja
