// Retention: the oldest entries go, their hashes stay. The tree, its proofs of later entries and
// every signed checkpoint are as before; only what the entries said is gone. An entry records each
// drop before anything goes, so that a check can tell it from a loss.
#pragma once

#include <cstdint>
#include <string>

#include "audit/log.h"
#include "audit/reader.h"
#include "base/result.h"

namespace lantern::audit {

/// What would go if entries before `first_kept` did.
struct DropPlan {
  uint64_t first_kept_now = 0;
  uint64_t first_kept = 0;  // a whole number of bundles; first_kept_now: nothing would go
  uint64_t bytes = 0;       // of the bundles that would go
  /// The times of the oldest and of the newest entry that would go; 0 where nothing would.
  int64_t oldest_ms = 0;
  int64_t newest_ms = 0;

  [[nodiscard]] bool empty() const { return first_kept == first_kept_now; }
};
/// The longest prefix, in whole bundles, all of whose entries are older than `cutoff_ms`. An entry
/// whose time cannot be read goes only together with an old one behind it.
Result<DropPlan> plan_drop(LogView& view, int64_t cutoff_ms);

struct DropOptions {
  uint64_t first_kept = 0;
  Actor actor = {};
  std::string reason = {};
};
/// Drops entries before `first_kept`, in whole bundles of sealed ones, never from the middle, and
/// records it before anything goes. Returns the first entry that is kept, which may be less.
/// `folder` is the log's.
Result<uint64_t> drop_before(Log& log, const std::filesystem::path& folder,
                             const DropOptions& options);

/// Whether the entry that the view's folder names as the record of its drop is one: a file that
/// says so is no reason for entries to be missing. The entry itself is as verified as its hash.
Result<bool> drop_is_recorded(LogView& view);

}  // namespace lantern::audit
