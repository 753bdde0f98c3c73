#include "audit/retention.h"

#include "base/file.h"

namespace lantern::audit {
namespace {

namespace fs = std::filesystem;
constexpr const char* kFirstKeptFact = "first_kept";

/// From the beginning, for a crash may have left some of an earlier time.
Status remove_bundles_before(const fs::path& folder, uint64_t first_kept) {
  for (uint64_t bundle = 0; bundle < first_kept / kTileWidth; ++bundle) {
    const fs::path file = folder / bundle_path(bundle, kTileWidth);
    std::error_code error;
    fs::remove(file, error);
    if (error) return base::errno_error(error.value(), file.string());
  }
  return {};
}

}  // namespace

Result<DropPlan> plan_drop(LogView& view, int64_t cutoff_ms) {
  DropPlan plan{.first_kept_now = view.first_kept(), .first_kept = view.first_kept()};
  uint64_t bytes = 0;
  int64_t oldest_ms = 0, newest_ms = 0;
  const auto look = [&](uint64_t index, std::string_view entry) {
    bytes += entry.size() + 2;
    if (const auto time_ms = event_time(entry, "entry"); time_ms.ok()) {
      if (*time_ms >= cutoff_ms) return false;
      if (oldest_ms == 0) oldest_ms = *time_ms;
      newest_ms = std::max(newest_ms, *time_ms);
      if ((index + 1) % kTileWidth == 0)
        plan = {.first_kept_now = plan.first_kept_now,
                .first_kept = index + 1,
                .bytes = bytes,
                .oldest_ms = oldest_ms,
                .newest_ms = newest_ms};
    }
    return true;
  };
  LANTERN_TRY(view.for_each(view.first_kept(), view.size(), look));
  return plan;
}

Result<uint64_t> drop_before(Log& log, const fs::path& folder, const DropOptions& options) {
  LANTERN_ASSIGN(const SignedCheckpoint published, log.publish());
  LANTERN_ASSIGN(const LogView before, LogView::open(folder));
  const uint64_t n_bundles = std::min(options.first_kept, published.checkpoint.size) / kTileWidth;
  const uint64_t first = n_bundles * kTileWidth;
  if (first <= before.first_kept()) {
    LANTERN_TRY(remove_bundles_before(folder, before.first_kept()));
    return before.first_kept();
  }
  LANTERN_ASSIGN(const uint64_t record,
                 log.append({.action = Action::kLogPrune,
                             .decision = Decision::kRecord,
                             .actor = options.actor,
                             .reason = options.reason,
                             .facts = {{kFirstKeptFact, static_cast<int64_t>(first)}}}));
  LANTERN_TRY(
      base::write_file_atomically(folder / kPrunedFile, fmt::format("{}\n{}\n", first, record)));
  LANTERN_TRY(remove_bundles_before(folder, first));
  return first;
}

Result<bool> drop_is_recorded(LogView& view) {
  // A record that is itself among what was dropped would be one that no hash is held against.
  if (view.drop_record() < view.first_kept() || view.drop_record() >= view.size()) return false;
  LANTERN_ASSIGN(const std::string entry, view.entry(view.drop_record()));
  const auto event = event_from_json(entry, "entry");
  if (!event.ok() || event->action != Action::kLogPrune || event->decision != Decision::kRecord)
    return false;
  for (const Fact& fact : event->facts)
    if (const auto* number = std::get_if<int64_t>(&fact.value);
        number != nullptr && fact.name == kFirstKeptFact)
      return *number >= 0 && static_cast<uint64_t>(*number) == view.first_kept();
  return false;
}

}  // namespace lantern::audit
