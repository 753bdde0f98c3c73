// Attributes, subscripts, slices and calls, under the sandbox's rules: names of Python's
// internals (__class__, ...) and methods that change a list or dict give an undefined value
// whose every use is an error.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/jinja/callable.h"
#include "text/jinja/runtime.h"

namespace lantern::text::jinja {

/// value.name: the attribute, else the item of that name, else undefined.
Result<Value> get_attribute(Runtime& rt, const Value& value, std::string_view name);
/// The attribute alone, or nothing.
Result<std::optional<Value>> find_attribute(Runtime& rt, const Value& value, std::string_view name);
/// value[key]: the item, else, where key is a string, the attribute, else undefined.
Result<Value> get_item(Runtime& rt, const Value& value, const Value& key);
/// value[begin:end:step], each null or none where left out.
Result<Value> get_slice(Runtime& rt, const Value& value, const Value* begin, const Value* end,
                        const Value* step);
Result<Value> call_value(Runtime& rt, const Value& callee, CallArgs args);

/// The method of that name bound to its value, or nothing.
std::optional<Value> find_method(Runtime& rt, const Value& value, std::string_view name);

}  // namespace lantern::text::jinja
