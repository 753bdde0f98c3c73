#include "audit/retention.h"

#include "base/file.h"

namespace lantern::audit {
namespace {

namespace fs = std::filesystem;
constexpr const char* kFirstKeptFact = "first_kept";

}  // namespace

Result<uint64_t> drop_before(Log& log, const fs::path& folder, uint64_t first_kept,
                             const Actor& actor) {
  LANTERN_ASSIGN(const SignedCheckpoint published, log.publish());
  LANTERN_ASSIGN(const LogView before, LogView::open(folder));
  const uint64_t n_bundles = std::min(first_kept, published.checkpoint.size) / kTileWidth;
  const uint64_t first = n_bundles * kTileWidth;
  if (first <= before.first_kept()) return before.first_kept();
  const auto recorded = log.append({.action = Action::kLogPrune,
                                    .decision = Decision::kRecord,
                                    .actor = actor,
                                    .facts = {{kFirstKeptFact, static_cast<int64_t>(first)}}});
  if (!recorded.ok()) return recorded.error();
  LANTERN_TRY(base::write_file_atomically(folder / kPrunedFile, std::to_string(first) + "\n"));
  // From the beginning, for a crash may have left some of an earlier time.
  for (uint64_t bundle = 0; bundle < n_bundles; ++bundle) {
    std::error_code error;
    fs::remove(folder / bundle_path(bundle, kTileWidth), error);
    if (error) return base::errno_error(error.value(), bundle_path(bundle, kTileWidth));
  }
  return first;
}

Result<bool> drop_is_recorded(LogView& view, uint64_t first_kept) {
  bool recorded = false;
  const auto look = [&](uint64_t, std::string_view entry) {
    // Parsing every entry would take far longer than reading them.
    if (entry.find(action_name(Action::kLogPrune)) == std::string_view::npos) return true;
    const auto event = event_from_json(entry, "entry");
    if (!event.ok() || event->action != Action::kLogPrune) return true;
    for (const Fact& fact : event->facts)
      if (const auto* number = std::get_if<int64_t>(&fact.value);
          number != nullptr && fact.name == kFirstKeptFact && *number >= 0 &&
          static_cast<uint64_t>(*number) == first_kept)
        recorded = true;
    return !recorded;
  };
  LANTERN_TRY(view.for_each(view.first_kept(), view.size(), look));
  return recorded;
}

}  // namespace lantern::audit
