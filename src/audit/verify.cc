#include "audit/verify.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "audit/reader.h"
#include "audit/retention.h"
#include "audit/tiles.h"
#include "base/file.h"
#include "base/thread_pool.h"

namespace lantern::audit {
namespace {

namespace fs = std::filesystem;

constexpr size_t kFindingsMax = 32;
constexpr int64_t kTilesAtOnce = 1024;  // 256 Ki entries between two looks at the tree above

constexpr std::string_view kFaults[] = {"changed_entry",    "changed_hash",  "changed_file",
                                        "missing_file",     "bad_signature", "cut_tail",
                                        "replayed_old_log", "forked_log",    "another_log"};
static_assert(std::size(kFaults) == static_cast<size_t>(Fault::kAnotherLog) + 1);

/// Whether a log that does not open ends, by its journal, before its published checkpoint.
bool tail_is_cut(const fs::path& folder) {
  const auto note = base::read_text_file(folder / kCheckpointFile, kNoteBytesMax);
  const auto bytes = base::read_text_file(folder / kJournalFile, kJournalBytesMax);
  if (!note.ok() || !bytes.ok()) return false;
  const auto published = read_unverified(*note, "checkpoint");
  const auto journal = parse_journal(*bytes, "journal");
  return published.ok() && journal.ok() && journal->end() < published->checkpoint.size;
}

/// One pass over a log. Roots at the sizes that matter are taken as the pass goes by.
class Verification {
 public:
  explicit Verification(const VerifyOptions& options)
      : options_(options), pool_(std::max(1, options.n_threads)) {}

  Result<Verdict> run();

 private:
  struct TileCheck {
    bool known = false;             // root_ is what the entries give
    Hash root = {};                 // of a full tile
    std::vector<Hash> leaves = {};  // of one that is not full, or that holds a wanted size
  };

  void find(Fault fault, std::string message);
  /// Files that are not there or break their form are findings; other errors are errors.
  Status absorb(const Error& error);

  Result<bool> open_view();
  void expect(const SignedCheckpoint& checkpoint, std::string source, bool outside);
  Result<std::optional<SignedCheckpoint>> open_own(const SignedCheckpoint& read,
                                                   std::string_view what);
  Status open_anchors();
  Status check_tiles();
  Status check_tile(uint64_t index, TileCheck& check);
  Status add_hash(int level, const Hash& hash);
  Status compare_tile(int level, uint64_t index, const std::vector<Hash>& hashes);
  Status finish_tiles();
  void check_journal();
  Status look_beyond();
  void append_leaf(const Hash& leaf);
  void take_root();
  void judge();

  struct Expected {
    Checkpoint checkpoint;
    std::string source;
    bool outside = false;  // kept outside the log's folder
  };

  const VerifyOptions& options_;
  base::ThreadPool pool_;
  std::optional<LogView> view_;
  Verdict verdict_;
  std::mutex findings_mutex_;
  std::vector<Expected> expected_;
  std::map<uint64_t, std::optional<Hash>> roots_;  // at the sizes that were expected
  Frontier frontier_;
  bool cut_ = false;                     // something in the folder says that the log was longer
  bool broken_ = false;                  // the frontier is not that of the entries any more
  std::vector<std::vector<Hash>> rows_;  // per tile level, since the last full tile
  std::vector<uint64_t> n_full_;
  TreeHasher hasher_;
};

void Verification::find(Fault fault, std::string message) {
  const std::lock_guard guard(findings_mutex_);
  cut_ = cut_ || fault == Fault::kCutTail;
  if (verdict_.findings.size() < kFindingsMax)
    verdict_.findings.push_back({fault, std::move(message)});
}

Status Verification::absorb(const Error& error) {
  switch (error.code) {
    case ErrorCode::kNotFound:
      find(Fault::kMissingFile, error.message);
      return {};
    case ErrorCode::kCorrupt:
    case ErrorCode::kUnsupported:
    case ErrorCode::kTooLarge:
    case ErrorCode::kInvalidArgument:
      find(Fault::kChangedFile, error.message);
      return {};
    default:
      return error;
  }
}

Result<bool> Verification::open_view() {
  auto view = LogView::open(options_.folder);
  if (view.ok()) {
    view_.emplace(*std::move(view));
    return true;
  }
  if (view.error().code == ErrorCode::kNotFound) return std::move(view).error();
  if (tail_is_cut(options_.folder))
    find(Fault::kCutTail, view.error().message);
  else
    LANTERN_TRY(absorb(view.error()));
  return false;
}

void Verification::expect(const SignedCheckpoint& checkpoint, std::string source, bool outside) {
  expected_.push_back({checkpoint.checkpoint, std::move(source), outside});
  roots_.emplace(checkpoint.checkpoint.size, std::nullopt);
}

Result<std::optional<SignedCheckpoint>> Verification::open_own(const SignedCheckpoint& read,
                                                               std::string_view what) {
  auto opened = open_checkpoint(read.note, what, options_.keys);
  if (opened.ok()) return std::optional<SignedCheckpoint>(*std::move(opened));
  find(Fault::kBadSignature, opened.error().message);
  return std::optional<SignedCheckpoint>();
}

Status Verification::open_anchors() {
  for (const Anchor& anchor : options_.anchors) {
    auto opened = open_checkpoint(anchor.note, anchor.source, options_.keys, options_.witnesses);
    if (opened.ok() && !options_.witnesses.empty())
      opened = open_checkpoint(anchor.note, anchor.source, {}, options_.witnesses);
    if (!opened.ok()) {
      find(Fault::kBadSignature, opened.error().message);
      continue;
    }
    expect(*opened, anchor.source, /*outside=*/true);
  }
  if (!options_.anchors.empty() || options_.witnesses.empty()) return {};
  const std::string what = (options_.folder / kCheckpointFile).string();
  auto opened = open_checkpoint(view_->published().note, what, {}, options_.witnesses);
  if (opened.ok())
    expect(*opened, "the witness's signature in " + what, /*outside=*/true);
  else
    find(Fault::kBadSignature, opened.error().message);
  return {};
}

void Verification::take_root() {
  const auto wanted = roots_.find(frontier_.size());
  if (wanted != roots_.end() && !broken_) wanted->second = frontier_.root();
}

void Verification::append_leaf(const Hash& leaf) {
  frontier_.append(leaf);
  take_root();
}

Status Verification::compare_tile(int level, uint64_t index, const std::vector<Hash>& hashes) {
  auto tile = read_tile(options_.folder, level, index, hashes.size());
  if (!tile.ok()) return absorb(tile.error());
  if (*tile != hashes)
    find(Fault::kChangedHash,
         fmt::format("{}: a hash is not that of what is below it",
                     (options_.folder / tile_path(level, index, hashes.size())).string()));
  return {};
}

Status Verification::add_hash(int level, const Hash& hash) {
  Hash carry = hash;
  for (auto at = static_cast<size_t>(level);; ++at) {
    if (rows_.size() <= at) {
      rows_.resize(at + 1);
      n_full_.resize(at + 1);
    }
    std::vector<Hash>& row = rows_[at];
    row.push_back(carry);
    if (row.size() < kTileWidth) return {};
    LANTERN_TRY(compare_tile(static_cast<int>(at), n_full_[at], row));
    for (; row.size() > 1; row.resize(row.size() / 2))
      for (size_t i = 0; i < row.size() / 2; ++i) row[i] = hasher_.node(row[2 * i], row[2 * i + 1]);
    carry = row[0];
    row.clear();
    ++n_full_[at];
  }
}

Status Verification::check_tile(uint64_t index, TileCheck& check) {
  const uint64_t size = view_->published().checkpoint.size;
  const uint64_t width = tile_width(0, index, size);
  auto tile = read_tile(options_.folder, 0, index, width);
  if (!tile.ok()) return absorb(tile.error());
  const std::string what = (options_.folder / bundle_path(index, width)).string();
  TreeHasher hasher;
  std::vector<Hash> leaves;
  // What retention dropped is vouched for by its hashes alone.
  if ((index + 1) * kTileWidth <= view_->first_kept()) {
    leaves = *tile;
  } else {
    auto bundle = read_bundle(options_.folder, index, width);
    if (!bundle.ok()) return absorb(bundle.error());
    auto entries = parse_bundle(*bundle, width, what);
    if (!entries.ok()) return absorb(entries.error());
    leaves.reserve(width);
    for (const std::string_view entry : *entries)
      leaves.push_back(hasher.leaf(std::as_bytes(std::span(entry))));
    for (uint64_t i = 0; i < width; ++i)
      if (leaves[i] != (*tile)[i])
        find(Fault::kChangedEntry,
             fmt::format("{}: entry {} is not the one whose hash stands in {}", what,
                         index * kTileWidth + i, tile_path(0, index, width)));
  }
  const auto inside = roots_.upper_bound(index * kTileWidth);
  const bool wanted = inside != roots_.end() && inside->first < (index + 1) * kTileWidth;
  check.known = true;
  if (width < kTileWidth || wanted) check.leaves = leaves;
  if (width < kTileWidth) return {};
  for (; leaves.size() > 1; leaves.resize(leaves.size() / 2))
    for (size_t i = 0; i < leaves.size() / 2; ++i)
      leaves[i] = hasher.node(leaves[2 * i], leaves[2 * i + 1]);
  check.root = leaves[0];
  return {};
}

Status Verification::check_tiles() {
  const uint64_t size = view_->published().checkpoint.size;
  const auto n_tiles = static_cast<int64_t>((size + kTileWidth - 1) / kTileWidth);
  take_root();
  for (int64_t first = 0; first < n_tiles && !broken_; first += kTilesAtOnce) {
    const int64_t n = std::min(kTilesAtOnce, n_tiles - first);
    std::vector<TileCheck> checks(static_cast<size_t>(n));
    std::vector<Status> statuses(static_cast<size_t>(n));
    pool_.parallel_for(n, 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        statuses[static_cast<size_t>(i)] =
            check_tile(static_cast<uint64_t>(first + i), checks[static_cast<size_t>(i)]);
    });
    for (size_t i = 0; i < checks.size(); ++i) {
      LANTERN_TRY(statuses[i]);
      const TileCheck& check = checks[i];
      if (!check.known) {
        broken_ = true;
        break;
      }
      const bool full = (static_cast<uint64_t>(first) + i + 1) * kTileWidth <= size;
      if (full) LANTERN_TRY(add_hash(1, check.root));
      if (full && check.leaves.empty()) {
        frontier_.append_subtree(kTileHeight, check.root);
        take_root();
      } else {
        for (const Hash& leaf : check.leaves) append_leaf(leaf);
      }
    }
  }
  return broken_ ? Status() : finish_tiles();
}

Status Verification::finish_tiles() {
  for (size_t level = 1; level < rows_.size(); ++level)
    if (!rows_[level].empty())
      LANTERN_TRY(compare_tile(static_cast<int>(level), n_full_[level], rows_[level]));
  return {};
}

void Verification::check_journal() {
  if (broken_) return;
  for (const Hash& leaf : view_->tail_leaves()) append_leaf(leaf);
}

/// What remains of a longer log where its tail was cut.
Status Verification::look_beyond() {
  LANTERN_ASSIGN(const auto beyond, file_beyond(options_.folder, view_->size()));
  if (beyond)
    find(Fault::kCutTail, fmt::format("{}: is of a log of more than its {} entries: its tail was "
                                      "cut",
                                      beyond->string(), view_->size()));
  return {};
}

/// What the entries give against what checkpoints say.
void Verification::judge() {
  const uint64_t size = view_->size();
  for (const Expected& expected : expected_) {
    const Checkpoint& checkpoint = expected.checkpoint;
    if (checkpoint.origin != view_->head().checkpoint.origin) {
      find(Fault::kAnotherLog, fmt::format("{}: is of the log {}, this one is {}", expected.source,
                                           checkpoint.origin, view_->head().checkpoint.origin));
      continue;
    }
    if (checkpoint.size > size) {
      // A write that never ended was never covered by a checkpoint: what is left of one that was
      // is a record that somebody cut.
      const bool torn = view_->journal().records.unfinished_bytes > 0;
      if (!expected.outside || torn || cut_)
        find(Fault::kCutTail,
             fmt::format("{}: covers {} entries and the log ends {} {}: its tail was cut",
                         expected.source, checkpoint.size, torn ? "within entry" : "at", size));
      else
        find(Fault::kReplayedOldLog,
             fmt::format("{}: covers {} entries and the log ends at {}, with no trace of more: an "
                         "old copy, or cut back to what one would be",
                         expected.source, checkpoint.size, size));
      continue;
    }
    const std::optional<Hash>& root = roots_.at(checkpoint.size);
    if (!root) continue;  // a finding above says why it is not known
    if (*root != checkpoint.root) {
      find(expected.outside ? Fault::kForkedLog : Fault::kChangedHash,
           expected.outside
               ? fmt::format("{}: tells another story of the first {} entries: the log was forked "
                             "or rewritten",
                             expected.source, checkpoint.size)
               : fmt::format("{}: signs another root of {} entries than theirs", expected.source,
                             checkpoint.size));
      continue;
    }
    if (expected.outside && checkpoint.size >= verdict_.anchored_size.value_or(0)) {
      verdict_.anchored_size = checkpoint.size;
      verdict_.anchored_by = expected.source;
    }
  }
}

Result<Verdict> Verification::run() {
  LANTERN_ASSIGN(const bool readable, open_view());
  if (!readable) return std::move(verdict_);
  verdict_.head = view_->head().checkpoint;
  verdict_.n_entries = view_->size();
  verdict_.first_kept = view_->first_kept();
  verdict_.drop_record = view_->drop_record();
  verdict_.unfinished_bytes = view_->journal().records.unfinished_bytes;

  if (view_->first_kept() > 0) {
    const auto recorded = drop_is_recorded(*view_);
    if (!recorded.ok())
      LANTERN_TRY(absorb(recorded.error()));
    else if (!*recorded)
      find(
          Fault::kChangedFile,
          fmt::format(
              "{}: says that entries before {} were dropped, which entry {} does not record",
              (options_.folder / kPrunedFile).string(), view_->first_kept(), view_->drop_record()));
  }

  const std::string journal = (options_.folder / kJournalFile).string();
  const std::string published = (options_.folder / kCheckpointFile).string();
  LANTERN_ASSIGN(const auto own, open_own(view_->published(), published));
  if (own) expect(*own, published, /*outside=*/false);
  for (const JournalBatch& batch : view_->journal().records.batches) {
    auto read = read_unverified(batch.checkpoint, journal);
    if (!read.ok()) {
      LANTERN_TRY(absorb(read.error()));
      continue;
    }
    if (read->checkpoint.size != batch.first + batch.entries.size())
      find(Fault::kChangedFile, fmt::format("{}: the checkpoint after entry {} is of {} entries",
                                            journal, batch.first, read->checkpoint.size));
    LANTERN_ASSIGN(const auto opened, open_own(*read, journal));
    if (opened) expect(*opened, journal, /*outside=*/false);
  }
  if (view_->noted_head()) {
    const std::string head = (options_.folder / kHeadFile).string();
    LANTERN_ASSIGN(const auto opened, open_own(*view_->noted_head(), head));
    if (opened) expect(*opened, head, /*outside=*/false);
  }
  LANTERN_TRY(open_anchors());
  LANTERN_TRY(check_tiles());
  check_journal();
  LANTERN_TRY(look_beyond());
  judge();
  return std::move(verdict_);
}

}  // namespace

std::string_view fault_name(Fault fault) { return kFaults[static_cast<size_t>(fault)]; }

Result<Verdict> verify_log(const VerifyOptions& options) { return Verification(options).run(); }

}  // namespace lantern::audit
