// Values as text: str(), repr() and JSON.
#pragma once

#include <string>

#include "base/result.h"
#include "text/jinja/runtime.h"

namespace lantern::text::jinja {

/// Python's repr of a float: the shortest digits that read back as the same number.
std::string float_repr(double value);

/// Appends str(value). A string keeps the kinds of its characters, a number has its own; what
/// else is rewritten is content if anything in it is.
Status append_str(Runtime& rt, TextBuilder& out, const Value& value);
/// str(value) as a value; a string is given back as it is.
Result<Value> to_string(Runtime& rt, const Value& value);
Status append_repr(Runtime& rt, TextBuilder& out, const Value& value);

struct JsonOptions {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
/// json.dumps(value). kInvalidArgument for what JSON has no form for (undefined among them).
Result<Value> to_json(Runtime& rt, const Value& value, const JsonOptions& options);

/// A value of JSON from outside. kInvalidArgument for strings that are not UTF-8 and nesting
/// deeper than 128; kind: what its strings and numbers are.
Result<Value> from_json(Runtime& rt, const base::OrderedJson& json, SpanKind kind);

}  // namespace lantern::text::jinja
