// Where a revocation or a stop waits while the log cannot be written: one file an event, in a
// folder outside the log's.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "audit/event.h"
#include "base/result.h"

namespace lantern::audit {

struct Spooled {
  std::filesystem::path file = {};
  Event event = {};
};

/// Durable once this returns. Gives the event its spool_id, and the time where it has
/// none.
Status spool_event(const std::filesystem::path& folder, Event event);
/// What waits, the oldest first, at most 1,024. A file that is no event is left where it is.
Result<std::vector<Spooled>> read_spool(const std::filesystem::path& folder);
Status remove_spooled(const std::filesystem::path& folder, const std::vector<Spooled>& events);

}  // namespace lantern::audit
