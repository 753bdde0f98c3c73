// Moments of UTC, to the second, as RFC 3339 writes them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lantern::base {

using UtcTime = std::chrono::sys_seconds;

/// The wall clock.
UtcTime utc_clock();

/// "2026-01-31T12:00:00Z"
std::string format_utc(UtcTime time);

/// "2026-01-31T12:00:00.000001Z", of microseconds since 1970.
std::string format_utc_us(int64_t time_us);

/// RFC 3339 with "Z", whole seconds, years 1970 to 9999: the one form that format_utc() writes.
/// kCorrupt.
Result<UtcTime> parse_utc(std::string_view text);

}  // namespace lantern::base
