// Python's two ways of formatting: "%s" % x and "{}".format(x).
#pragma once

#include "base/result.h"
#include "text/jinja/callable.h"
#include "text/jinja/runtime.h"

namespace lantern::text::jinja {

/// printf-style: `arguments` is one value, a tuple of them, or a dict for %(name)s.
Result<Value> percent_format(Runtime& rt, const Text& format, const Value& arguments);
/// str.format(). Attribute walks in fields obey the sandbox.
Result<Value> brace_format(Runtime& rt, const Text& format, const CallArgs& args);

}  // namespace lantern::text::jinja
