#include "audit/sequencer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "audit/journal.h"
#include "base/paths.h"

namespace lantern::audit {
namespace {

namespace fs = std::filesystem;

constexpr size_t kSealBytes =
    4u << 20;  // of entries in the journal, which a writer keeps in memory

Status write_all(int fd, uint64_t offset, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return base::errno_error(n < 0 ? errno : EIO, path.string());
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

/// Replaces a file that the log can do without: no fsync, so a power failure may leave the old
/// content or none.
Status write_hint(const fs::path& path, std::string_view text) {
  const fs::path temporary = path.string() + ".tmp";
  const base::UniqueFd fd(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (fd.get() < 0) return base::errno_error(errno, temporary.string());
  LANTERN_TRY(write_all(fd.get(), 0, text, temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return base::errno_error(errno, path.string());
  return {};
}

/// What a log that ends before `kept` is called; `kept` was said by the log itself.
Error ends_early(const Checkpoint& head, const Checkpoint& kept, std::string_view kept_at,
                 std::string_view folder) {
  return make_error(ErrorCode::kCorrupt,
                    "{}: the audit log ends at entry {}, {} covers {}: its tail was cut or an old "
                    "copy was put back; nothing is appended. See lantern audit verify",
                    folder, head.size, kept_at, kept.size);
}

}  // namespace

Result<SignedCheckpoint> Sequencer::open_known(std::string_view note, std::string_view what) {
  const auto known = [&] {
    std::vector<base::PublicKey> all = keys_.known;
    all.push_back(keys_.signer.public_key());
    return all;
  };
  auto opened = open_checkpoint(note, what, known());
  if (opened.ok() || !options_.keys_now) return opened;
  auto keys = options_.keys_now();
  if (!keys.ok()) return opened;
  keys_ = *std::move(keys);
  return open_checkpoint(note, what, known());
}

Result<LogLock> Sequencer::enter() {
  if (poisoned_)
    return make_error(ErrorCode::kIo,
                      "{}: a failed write could not be taken back; restart this process",
                      options_.folder.string());
  if (!loaded_) LANTERN_TRY(base::make_private_folder(options_.folder));
  LANTERN_ASSIGN(LogLock lock, LogLock::exclusive(options_.folder, options_.lock_timeout_ms));
  LANTERN_TRY(refresh());
  return lock;
}

Status Sequencer::refresh() {
  if (!loaded_) {
    std::error_code error;
    const bool is_new = !fs::exists(file(kCheckpointFile), error) && !error &&
                        !fs::exists(file(kJournalFile), error) && !error;
    if (is_new) LANTERN_TRY(create());
    return load();
  }
  // The journal under its name is ours for as long as it is the same inode, which cannot be used
  // again while it is open here.
  struct stat own {
  }, named{};
  const fs::path path = file(kJournalFile);
  if (::fstat(journal_.get(), &own) != 0) return base::errno_error(errno, path.string());
  if (::stat(path.c_str(), &named) != 0) return base::errno_error(errno, path.string());
  if (own.st_ino != named.st_ino || own.st_dev != named.st_dev) return load();
  const auto bytes = static_cast<uint64_t>(own.st_size);
  if (bytes == journal_bytes_) return {};
  if (bytes < journal_bytes_)
    return make_error(ErrorCode::kCorrupt, "{}: was cut from {} to {} bytes while it was open",
                      path.string(), journal_bytes_, bytes);
  return load_tail(bytes);
}

Status Sequencer::create() {
  if (options_.origin.empty())
    return make_error(ErrorCode::kInvalidArgument, "{}: no audit log, and no origin for a new one",
                      options_.folder.string());
  std::error_code ignored;
  if (!options_.anchor.empty() && fs::exists(options_.anchor, ignored))
    return make_error(
        ErrorCode::kCorrupt,
        "{}: the audit log is gone, {} keeps a checkpoint of it; nothing is appended. "
        "See lantern audit verify",
        options_.folder.string(), options_.anchor.string());
  for (const KeptHead& kept : options_.kept)
    if (kept.size > 0)
      return make_error(ErrorCode::kCorrupt,
                        "{}: the audit log is gone, {} knows {} entries of it; nothing is "
                        "appended. See lantern audit verify",
                        options_.folder.string(), kept.at, kept.size);
  LANTERN_ASSIGN(
      const SignedCheckpoint empty,
      sign_checkpoint({.origin = options_.origin, .size = 0, .root = empty_root()}, keys_.signer));
  return base::write_file_atomically(file(kCheckpointFile), empty.note);
}

Status Sequencer::load() {
  LANTERN_ASSIGN(LogView view, LogView::open_locked(options_.folder));
  LANTERN_ASSIGN(const SignedCheckpoint published,
                 open_known(view.published().note, file(kCheckpointFile).string()));
  LANTERN_ASSIGN(const SignedCheckpoint head,
                 open_known(view.head().note, file(kJournalFile).string()));
  for (const SignedCheckpoint* checkpoint : {&published, &head}) {
    LANTERN_ASSIGN(const Hash root, root_at(view, checkpoint->checkpoint.size));
    if (root != checkpoint->checkpoint.root ||
        checkpoint->checkpoint.origin != head.checkpoint.origin)
      return make_error(ErrorCode::kCorrupt,
                        "{}: its entries are not those that its checkpoint of {} entries signs; "
                        "nothing is appended. See lantern audit verify",
                        options_.folder.string(), checkpoint->checkpoint.size);
  }
  LANTERN_TRY(hold_against_anchor(view));
  LANTERN_ASSIGN(frontier_, frontier_at(view, view.size()));
  published_ = published.checkpoint;
  head_ = head;
  tiles_.reset();
  pending_.clear();
  pending_bytes_ = 0;
  for (size_t i = 0; i < view.tail().size(); ++i) {
    pending_.push_back({view.tail()[i], view.tail_leaves()[i]});
    pending_bytes_ += view.tail()[i].size();
  }
  if (view.size() > view.first_kept()) {
    LANTERN_ASSIGN(const std::string last, view.entry(view.size() - 1));
    take_time_of(last);
  }
  const Journal& journal = view.journal();
  const bool leftover = journal.base < published_.size;  // sealed, and the journal outlived it
  if (leftover || !fs::exists(file(kJournalFile))) {
    LANTERN_TRY(replace_journal());
  } else {
    LANTERN_TRY(open_journal(kJournalHeaderBytes + journal.records.bytes));
  }
  loaded_ = true;
  return {};
}

Status Sequencer::hold_against_anchor(LogView& view) {
  struct Kept {
    Checkpoint checkpoint;
    std::string at;
  };
  std::vector<Kept> all;
  if (loaded_) all.push_back({head_.checkpoint, "what this process has seen"});
  for (const KeptHead& kept : options_.kept)
    all.push_back(
        {{.origin = view.head().checkpoint.origin, .size = kept.size, .root = kept.root}, kept.at});
  if (view.noted_head()) {
    LANTERN_ASSIGN(const auto noted, open_known(view.noted_head()->note, file(kHeadFile).string()));
    all.push_back({noted.checkpoint, file(kHeadFile).string()});
  }
  if (!options_.anchor.empty()) {
    const std::string path = options_.anchor.string();
    auto text = base::read_text_file(options_.anchor, kNoteBytesMax);
    if (text.ok()) {
      LANTERN_ASSIGN(const auto anchor, open_known(*text, path));
      all.push_back({anchor.checkpoint, "the checkpoint kept in " + path});
      anchored_ = anchor.checkpoint.size;
    } else if (text.error().code != ErrorCode::kNotFound) {
      return std::move(text).error();
    }
  }
  const Checkpoint& head = view.head().checkpoint;
  for (const Kept& kept : all) {
    if (kept.checkpoint.size > head.size)
      return ends_early(head, kept.checkpoint, kept.at, options_.folder.string());
    LANTERN_ASSIGN(const Hash root, root_at(view, kept.checkpoint.size));
    if (kept.checkpoint.origin != head.origin || root != kept.checkpoint.root)
      return make_error(ErrorCode::kCorrupt,
                        "{}: the audit log and {} tell two stories of its first {} entries: it was "
                        "forked or replaced; nothing is appended. See lantern audit verify",
                        options_.folder.string(), kept.at, kept.checkpoint.size);
  }
  return {};
}

Status Sequencer::open_journal(uint64_t valid_bytes) {
  const fs::path path = file(kJournalFile);
  journal_ = base::UniqueFd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat info {};
  if (journal_.get() < 0 || ::fstat(journal_.get(), &info) != 0)
    return base::errno_error(errno, path.string());
  journal_bytes_ = valid_bytes;
  if (static_cast<uint64_t>(info.st_size) == valid_bytes) return {};
  // What is left of a write that nobody was answered for.
  if (::ftruncate(journal_.get(), static_cast<off_t>(valid_bytes)) != 0 ||
      ::fdatasync(journal_.get()) != 0)
    return base::errno_error(errno, path.string());
  return {};
}

Status Sequencer::replace_journal() {
  LANTERN_TRY(
      base::write_file_atomically(file(kJournalFile), journal_header(head_.checkpoint.size)));
  return open_journal(kJournalHeaderBytes);
}

Status Sequencer::load_tail(uint64_t bytes) {
  const std::string what = file(kJournalFile).string();
  if (bytes > kJournalBytesMax)
    return make_error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are read", what, bytes,
                      kJournalBytesMax);
  std::string tail(bytes - journal_bytes_, '\0');
  LANTERN_ASSIGN(const auto reading, base::ReadFile::open(file(kJournalFile)));
  LANTERN_TRY(reading.read_at(journal_bytes_, std::as_writable_bytes(std::span(tail))));
  LANTERN_ASSIGN(const JournalRecords records,
                 parse_journal_records(tail, head_.checkpoint.size, what));
  if (!records.batches.empty()) {
    LANTERN_ASSIGN(const SignedCheckpoint head,
                   open_known(records.batches.back().checkpoint, what));
    Frontier frontier = frontier_;
    std::vector<Pending> added;
    for (const JournalBatch& batch : records.batches)
      for (const std::string& entry : batch.entries) {
        added.push_back({entry, hasher_.leaf(std::as_bytes(std::span(entry)))});
        frontier.append(added.back().leaf);
      }
    if (frontier.size() != head.checkpoint.size || frontier.root() != head.checkpoint.root ||
        head.checkpoint.origin != head_.checkpoint.origin)
      return make_error(ErrorCode::kCorrupt,
                        "{}: another process's checkpoint does not follow from this log", what);
    take_time_of(added.back().entry);
    for (Pending& pending : added) {
      pending_bytes_ += pending.entry.size();
      pending_.push_back(std::move(pending));
    }
    frontier_ = frontier;
    head_ = head;
  }
  return open_journal(journal_bytes_ + records.bytes);
}

void Sequencer::take_time_of(std::string_view last_entry) {
  const auto event = event_from_json(last_entry, "the newest entry");
  if (!event.ok()) return;
  if (event->spool_id.empty())
    set_time(event->time_ms);
  else
    note_time(event->time_ms);
}

void Sequencer::roll_back() {
  if (::ftruncate(journal_.get(), static_cast<off_t>(journal_bytes_)) != 0 ||
      ::fdatasync(journal_.get()) != 0)
    poisoned_ = true;
}

Status Sequencer::append_record(const std::string& record) {
  const fs::path path = file(kJournalFile);
  const std::string_view bytes = record;
  const size_t half = options_.at_step ? bytes.size() / 2 : 0;
  step(LogStep::kBeforeWrite);
  Status written = write_all(journal_.get(), journal_bytes_, bytes.substr(0, half), path);
  if (half > 0) step(LogStep::kHalfWritten);
  if (written.ok())
    written = write_all(journal_.get(), journal_bytes_ + half, bytes.substr(half), path);
  step(LogStep::kWritten);
  // After a failed fsync pages may count as clean and be lost later: the record goes, too.
  if (written.ok() && ::fdatasync(journal_.get()) != 0)
    written = base::errno_error(errno, path.string());
  if (!written.ok()) roll_back();
  return written;
}

Result<uint64_t> Sequencer::write(std::vector<std::string> entries) {
  // A journal that could not be sealed grows no further than what is read back.
  if (journal_bytes_ > kJournalBytesMax - 2 * kBatchBytesMax) {
    if (auto sealed = seal(); !sealed.ok()) return std::move(sealed).error();
  }
  const uint64_t first = head_.checkpoint.size;
  Frontier frontier = frontier_;
  std::vector<Pending> added;
  added.reserve(entries.size());
  for (const std::string& entry : entries) {
    added.push_back({entry, hasher_.leaf(std::as_bytes(std::span(entry)))});
    frontier.append(added.back().leaf);
  }
  LANTERN_ASSIGN(SignedCheckpoint head, sign_checkpoint({.origin = head_.checkpoint.origin,
                                                         .size = frontier.size(),
                                                         .root = frontier.root()},
                                                        keys_.signer));
  const std::string record =
      journal_record({.first = first, .entries = std::move(entries), .checkpoint = head.note});
  LANTERN_TRY(append_record(record));
  journal_bytes_ += record.size();
  frontier_ = frontier;
  head_ = std::move(head);
  for (Pending& pending : added) {
    pending_bytes_ += pending.entry.size();
    pending_.push_back(std::move(pending));
  }
  step(LogStep::kDurable);
  // The entries are durable and will be answered for; what follows helps to notice a change and to
  // find things, and is made up for by the next batch where it fails.
  (void)write_hint(file(kHeadFile), head_.note);
  step(LogStep::kNotedHead);
  (void)keep_anchor(/*at_once=*/false);
  step(LogStep::kAnchored);
  if (pending_.size() >= options_.journal_entries_max || pending_bytes_ >= kSealBytes) (void)seal();
  return first;
}

Result<SignedCheckpoint> Sequencer::seal() {
  const auto write_tiles = [&]() -> Status {
    if (!tiles_) {
      LANTERN_ASSIGN(tiles_, TileWriter::open(options_.folder, published_.size));
    }
    for (uint64_t i = tiles_->size() - published_.size; i < pending_.size(); ++i)
      LANTERN_TRY(tiles_->add(pending_[i].entry, pending_[i].leaf));
    return tiles_->flush();
  };
  if (Status written = write_tiles(); !written.ok()) {
    tiles_.reset();  // it may be ahead of its files
    return std::move(written).error();
  }
  step(LogStep::kTilesWritten);
  LANTERN_ASSIGN(SignedCheckpoint signed_head, sign_checkpoint(head_.checkpoint, keys_.signer));
  LANTERN_TRY(base::write_file_atomically(file(kCheckpointFile), signed_head.note));
  head_ = signed_head;
  published_ = head_.checkpoint;
  pending_.clear();
  pending_bytes_ = 0;
  step(LogStep::kPublished);
  // Without a new journal the old one ends where the tiles do, which load() puts in order.
  if (Status replaced = replace_journal(); !replaced.ok()) {
    loaded_ = false;
    return std::move(replaced).error();
  }
  step(LogStep::kJournalReplaced);
  return signed_head;
}

Result<uint64_t> Sequencer::read_from(uint64_t begin,
                                      const std::function<void(uint64_t, std::string_view)>& f) {
  const uint64_t in_tiles = published_.size;
  if (begin < in_tiles) {
    LANTERN_ASSIGN(LogView view, LogView::open_locked(options_.folder));
    begin = std::max(begin, view.first_kept());
    LANTERN_TRY(view.for_each(begin, in_tiles, [&](uint64_t index, std::string_view entry) {
      f(index, entry);
      return true;
    }));
  }
  for (uint64_t i = std::max(begin, in_tiles); i < in_tiles + pending_.size(); ++i)
    f(i, pending_[i - in_tiles].entry);
  return begin;
}

Status Sequencer::keep_anchor(bool at_once) {
  if (options_.anchor.empty() || (anchored_ && *anchored_ >= head_.checkpoint.size)) return {};
  const auto now = std::chrono::steady_clock::now();
  if (!at_once && now - anchored_at_ < std::chrono::milliseconds(options_.anchor_interval_ms))
    return {};
  LANTERN_TRY(base::make_private_folder(options_.anchor.parent_path()));
  LANTERN_TRY(base::write_file_atomically(options_.anchor, head_.note));
  anchored_ = head_.checkpoint.size;
  anchored_at_ = now;
  return {};
}

}  // namespace lantern::audit
