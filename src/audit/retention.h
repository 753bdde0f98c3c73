// Retention: the oldest entries go, their hashes stay. The tree, its proofs of later entries and
// every signed checkpoint are as before; only what the entries said is gone.
#pragma once

#include <cstdint>

#include "audit/log.h"
#include "audit/reader.h"
#include "base/result.h"

namespace lantern::audit {

/// Drops entries before `first_kept`, in whole bundles of sealed ones, never from the middle, and
/// records it as `actor`'s doing before anything goes. Returns the first entry that is kept, which
/// may be less. `folder` is the log's.
Result<uint64_t> drop_before(Log& log, const std::filesystem::path& folder, uint64_t first_kept,
                             const Actor& actor);

/// Whether the log itself records that entries before `first_kept` were dropped: a file that says
/// so is no reason for entries to be missing.
Result<bool> drop_is_recorded(LogView& view, uint64_t first_kept);

}  // namespace lantern::audit
