#include "audit/reader.h"

#include "audit/lock.h"
#include "base/file.h"

namespace lantern::audit {

namespace fs = std::filesystem;

Result<SignedCheckpoint> read_unverified(std::string_view bytes, std::string_view what) {
  LANTERN_ASSIGN(const Note note, parse_note(bytes, what));
  LANTERN_ASSIGN(Checkpoint checkpoint, parse_checkpoint_text(note.text, what));
  return SignedCheckpoint{std::move(checkpoint), std::string(bytes)};
}

Status parts_meet(uint64_t published_size, const Journal& journal, std::string_view what) {
  if (journal.end() < published_size)
    return make_error(ErrorCode::kCorrupt,
                      "{}: the journal ends at entry {}, the published checkpoint covers {}: its "
                      "tail was cut",
                      what, journal.end(), published_size);
  if (journal.base > published_size)
    return make_error(ErrorCode::kCorrupt,
                      "{}: the journal begins at entry {}, the published checkpoint covers {}: "
                      "an older checkpoint was put in its place",
                      what, journal.base, published_size);
  return {};
}

namespace {

/// The file's text, or nothing where it is not there.
Result<std::optional<std::string>> read_optional(const fs::path& path, uint64_t bytes_max) {
  auto text = base::read_text_file(path, bytes_max);
  if (text.ok()) return std::optional<std::string>(*std::move(text));
  if (text.error().code == ErrorCode::kNotFound) return std::optional<std::string>();
  return std::move(text).error();
}

}  // namespace

Result<LogView> LogView::open(const fs::path& folder) {
  const auto lock = LogLock::shared(folder);
  return open_locked(folder);
}

Result<LogView> LogView::open_locked(const fs::path& folder) {
  const std::string what = (folder / kCheckpointFile).string();
  LANTERN_ASSIGN(const auto published, read_optional(folder / kCheckpointFile, kNoteBytesMax));
  if (!published)
    return make_error(ErrorCode::kNotFound, "{}: no audit log (it has no checkpoint)",
                      folder.string());
  LANTERN_ASSIGN(SignedCheckpoint checkpoint, read_unverified(*published, what));
  LogView view(folder, checkpoint.checkpoint.size);
  view.published_ = view.head_ = std::move(checkpoint);
  const uint64_t published_size = view.published_.checkpoint.size;

  LANTERN_ASSIGN(const auto journal, read_optional(folder / kJournalFile, kJournalBytesMax));
  view.journal_.base = published_size;
  if (journal) {
    LANTERN_ASSIGN(view.journal_, parse_journal(*journal, (folder / kJournalFile).string()));
  }
  LANTERN_TRY(parts_meet(published_size, view.journal_, folder.string()));
  for (const JournalBatch& batch : view.journal_.records.batches)
    for (size_t i = 0; i < batch.entries.size(); ++i) {
      if (batch.first + i < published_size) continue;
      view.tail_.push_back(batch.entries[i]);
      view.tail_leaves_.push_back(view.hasher_.leaf(std::as_bytes(std::span(batch.entries[i]))));
    }
  if (view.journal_.end() > published_size) {
    LANTERN_ASSIGN(view.head_, read_unverified(view.journal_.records.batches.back().checkpoint,
                                               (folder / kJournalFile).string()));
    if (view.head_.checkpoint.size != view.journal_.end())
      return make_error(
          ErrorCode::kCorrupt, "{}: its last checkpoint covers {} entries, its records end at {}",
          (folder / kJournalFile).string(), view.head_.checkpoint.size, view.journal_.end());
  }

  LANTERN_ASSIGN(const auto head, read_optional(folder / kHeadFile, kNoteBytesMax));
  // Empty after a power failure: it is written without an fsync.
  if (head && !head->empty()) {
    LANTERN_ASSIGN(view.noted_head_, read_unverified(*head, (folder / kHeadFile).string()));
  }
  LANTERN_ASSIGN(const auto pruned, read_optional(folder / kPrunedFile, 64));
  if (pruned) LANTERN_TRY(view.read_drop(*pruned));
  return view;
}

Status LogView::read_drop(std::string_view text) {
  const std::string what = (folder_ / kPrunedFile).string();
  const size_t end = text.find('\n');
  if (end == std::string_view::npos || !text.ends_with('\n') || end + 1 == text.size())
    return make_error(ErrorCode::kCorrupt, "{}: not two lines, the first entry and its record",
                      what);
  LANTERN_ASSIGN(first_kept_, parse_decimal(text.substr(0, end), what));
  LANTERN_ASSIGN(drop_record_, parse_decimal(text.substr(end + 1, text.size() - end - 2), what));
  return {};
}

Result<std::string> LogView::entry(uint64_t index) {
  std::string found;
  if (index >= size())
    return make_error(ErrorCode::kInvalidArgument, "no entry {}: the log has {}, the first is 0",
                      index, size());
  LANTERN_TRY(for_each(index, index + 1, [&](uint64_t, std::string_view entry) {
    found = entry;
    return true;
  }));
  return found;
}

Status LogView::for_each(uint64_t begin, uint64_t end,
                         const std::function<bool(uint64_t, std::string_view)>& f) {
  const uint64_t in_tiles = tiles_.size();
  end = std::min(end, size());
  if (begin < first_kept_)
    return make_error(ErrorCode::kNotFound, "entry {}: retention has dropped the entries before {}",
                      begin, first_kept_);
  while (begin < std::min(end, in_tiles)) {
    const uint64_t bundle = begin / kTileWidth;
    const uint64_t width = std::min(kTileWidth, in_tiles - bundle * kTileWidth);
    LANTERN_ASSIGN(const std::string bytes, read_bundle(folder_, bundle, width));
    LANTERN_ASSIGN(const auto entries,
                   parse_bundle(bytes, width, (folder_ / bundle_path(bundle, width)).string()));
    for (uint64_t i = begin % kTileWidth; i < width && begin < end; ++i, ++begin)
      if (!f(begin, entries[i])) return {};
  }
  for (; begin < end; ++begin)
    if (!f(begin, tail_[begin - in_tiles])) return {};
  return {};
}

Result<Hash> LogView::node(int level, uint64_t index) {
  const uint64_t in_tiles = tiles_.size();
  if (((index + 1) << level) <= in_tiles) return tiles_.node(level, index);
  if (level == 0) {
    if (index >= size())
      return make_error(ErrorCode::kInternal, "no leaf {} in a log of {} entries", index, size());
    return tail_leaves_[index - in_tiles];
  }
  LANTERN_ASSIGN(const Hash left, node(level - 1, 2 * index));
  LANTERN_ASSIGN(const Hash right, node(level - 1, 2 * index + 1));
  return hasher_.node(left, right);
}

}  // namespace lantern::audit
