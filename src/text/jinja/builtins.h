// The filters, tests and functions a template can name.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "text/jinja/callable.h"
#include "text/jinja/runtime.h"

namespace lantern::text::jinja {

using BuiltinFunction = Result<Value> (*)(Runtime&, const Value& value, const Arguments&);

/// A filter or test whose arguments a signature binds.
struct Builtin {
  Signature signature;
  BuiltinFunction function;
};

std::span<const Builtin> text_filters();
std::span<const Builtin> sequence_filters();
std::span<const Builtin> value_filters();

/// A filter or test of Jinja, whether or not apply_filter() supports it.
bool is_filter(std::string_view name);
bool is_test(std::string_view name);
/// value|name(args). kUnsupported for Jinja's filters that make HTML, kInvalidArgument for a name
/// that is none.
Result<Value> apply_filter(Runtime& rt, std::string_view name, const Value& value, CallArgs args);
/// value is name(args).
Result<bool> apply_test(Runtime& rt, std::string_view name, const Value& value, CallArgs args);
/// The format filter: printf-style.
Result<Value> format_filter(Runtime& rt, const Value& value, CallArgs args);
/// map, select, reject, selectattr and rejectattr, whose arguments another filter or test takes.
Result<std::optional<Value>> apply_mapping_filter(Runtime& rt, std::string_view name,
                                                  const Value& value, CallArgs& args);

/// range, dict, namespace, cycler, joiner, raise_exception, strftime_now; or nothing.
std::optional<Value> find_global(Runtime& rt, std::string_view name);

}  // namespace lantern::text::jinja
