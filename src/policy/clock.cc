#include "policy/clock.h"

#include <algorithm>

namespace lantern::policy {

Result<base::UtcTime> trusted_time(base::UtcTime wall_clock,
                                   std::optional<base::UtcTime> newest_record) {
  if (!newest_record) return wall_clock;
  if (*newest_record - wall_clock > kClockBehindMax)
    return make_error(
        ErrorCode::kDenied,
        "the clock says {}, the log's newest record {}: set the clock right; if it is "
        "right, that record was written while it was ahead: see `lantern audit clock`",
        base::format_utc(wall_clock), base::format_utc(*newest_record));
  return std::max(wall_clock, *newest_record);
}

}  // namespace lantern::policy
