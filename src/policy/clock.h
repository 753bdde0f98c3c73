// The time that decisions go by.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/time.h"

namespace lantern::policy {

/// By which what depends on the time is refused where the clock cannot be believed.
inline constexpr std::string_view kClockRule = "lantern.clock";

/// A wall clock further behind the newest log record than this is wrong or was set back.
inline constexpr std::chrono::seconds kClockBehindMax = std::chrono::minutes(5);

/// The later of the wall clock and the newest log record, if there is one. kDenied where the
/// clock is behind by more than kClockBehindMax: whatever depends on time is refused then
/// (Facts::now stays absent).
Result<base::UtcTime> trusted_time(base::UtcTime wall_clock,
                                   std::optional<base::UtcTime> newest_record);

}  // namespace lantern::policy
