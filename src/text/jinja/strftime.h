// The C library's strftime in the C locale, over a LocalTime.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "text/chat_template.h"

namespace lantern::text::jinja {

/// kInvalidArgument for a date that is none. Conversions that need a time zone write nothing, as
/// Python does for a naive datetime; an unknown one is written as it stands.
Result<std::string> format_time(std::string_view format, const LocalTime& time);

}  // namespace lantern::text::jinja
