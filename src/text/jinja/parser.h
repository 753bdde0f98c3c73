// Jinja source to a Template.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "text/jinja/ast.h"

namespace lantern::text::jinja {

/// Parses `source`, well-formed UTF-8. kCorrupt with the line for what Jinja would call a syntax
/// error (an unknown filter or test outside of a condition is one), kUnsupported for
/// tags that need other templates, kTooLarge past 100 nested levels.
Result<std::shared_ptr<const Template>> parse_template(std::string_view source);

}  // namespace lantern::text::jinja
