// Python's operators over template values.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace lantern::text::jinja {

/// left op right for the arithmetic operators. Integers are 64 bits wide; what does not fit
/// is kInvalidArgument, as is a division by zero or operands without meaning.
Result<Value> binary_operation(Runtime& rt, Op op, const Value& left, const Value& right);
/// - and + before a number.
Result<Value> sign_operation(Op op, const Value& operand);
/// One comparison of a chain, `in` and `not in` included.
Result<bool> comparison(Runtime& rt, Op op, const Value& left, const Value& right);

Result<bool> equals(Runtime& rt, const Value& left, const Value& right);
/// kInvalidArgument where Python has no order for the two.
Result<bool> less(Runtime& rt, const Value& left, const Value& right);
Result<bool> contains(Runtime& rt, const Value& container, const Value& item);

/// The order, as indices, in which sorted() would put `keys`; stable.
Result<std::vector<size_t>> sorted_order(Runtime& rt, const std::vector<Value>& keys, bool reverse);

/// Sets an item of a dict under construction; kInvalidArgument for a key that cannot be one.
Status put(Runtime& rt, Dict& dict, Value key, Value value);

}  // namespace lantern::text::jinja
