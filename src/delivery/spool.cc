#include "delivery/spool.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/paths.h"
#include "base/printable.h"

namespace lantern::delivery {
namespace {

namespace fs = std::filesystem;
using base::Row;

// first_us, last_us, lost and is_closed are a gap's; its payload is formed when it is taken. When a
// spool is opened, this text and its constraints are held against what is there.
constexpr std::string_view kSchema =
    "CREATE TABLE queue (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, "
    "time_us INTEGER NOT NULL CHECK (time_us BETWEEN 0 AND 253402300799999999), "
    "payload BLOB NOT NULL, is_gap INTEGER NOT NULL CHECK (is_gap IN (0, 1)), "
    "lost INTEGER NOT NULL CHECK (lost BETWEEN -1 AND 1000000000000000), "
    "first_us INTEGER NOT NULL CHECK (first_us BETWEEN 0 AND 253402300799999999), "
    "last_us INTEGER NOT NULL CHECK (last_us BETWEEN 0 AND 253402300799999999), "
    "is_closed INTEGER NOT NULL CHECK (is_closed IN (0, 1))) STRICT";

// Of a row, beside its payload: its other columns, and its share of the table's inner pages.
constexpr uint64_t kRowBytes = 128;

constexpr std::string_view kFile = "spool.db";
constexpr std::string_view kDamaged = "spool.db.damaged";  // until its gap is in the new one
constexpr std::string_view kKept = "spool.db.kept";        // for whoever wants to look into it

base::Database::Blob blob(std::string_view text) { return std::as_bytes(std::span(text)); }

/// As a receiver gets it: one line of UTF-8.
bool is_payload(std::string_view text) {
  return !text.empty() && text.size() < kEventBytesMax && base::is_utf8(text) &&
         std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

// Columns as take_rows() asks for them. Nothing for what append() would not have written.

std::optional<Spooled> read_event(const Row& row) {
  Spooled event{.id = row.text(1), .time_us = row.number(2)};
  const std::vector<std::byte> payload = row.bytes(3);
  event.payload.assign(reinterpret_cast<const char*>(payload.data()), payload.size());
  if (!is_event_id(event.id) || !is_payload(event.payload)) return {};
  return event;
}

std::optional<Spooled> read_gap(const Row& row,
                                const std::function<std::string(const Event&)>& form) {
  const Gap gap{.lost = row.number(5), .first_us = row.number(6), .last_us = row.number(7)};
  Spooled event{.id = row.text(1), .time_us = row.number(2)};
  const bool is_good = is_event_id(event.id) && is_event_time(event.time_us) &&
                       is_event_time(gap.first_us) && is_event_time(gap.last_us) &&
                       (gap.lost > 0 || gap.lost == Gap::kUnknown);
  if (!is_good) return {};
  event.payload = form(gap_event(gap, event.id, event.time_us));
  return event;
}

Status move_files(const fs::path& from, const fs::path& to) {
  for (const char* suffix : {"-wal", "-shm", ""}) {
    std::error_code error;
    fs::rename(from.string() + suffix, to.string() + suffix, error);
    if (error == std::errc::no_such_file_or_directory) {
      fs::remove(to.string() + suffix, error);  // of an earlier one
      continue;
    }
    if (error) return base::errno_error(error.value(), from.string() + suffix);
  }
  return base::sync_folder(from.parent_path());
}

Result<base::UniqueFd> lock_folder(const fs::path& folder) {
  const fs::path path = folder / "lock";
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0) return base::errno_error(errno, path.string());
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  if (::fcntl(fd.get(), F_OFD_SETLK, &range) == 0) return fd;
  if (errno != EAGAIN && errno != EACCES) return base::errno_error(errno, path.string());
  return make_error(ErrorCode::kIo,
                    "{}: another process delivers from this spool; end it, or give this receiver "
                    "another name",
                    folder.string());
}

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(SpoolOptions options) {
  LANTERN_TRY(base::make_private_folder(options.folder));
  if (::chmod(options.folder.c_str(), 0700) != 0)
    return base::errno_error(errno, options.folder.string());
  std::unique_ptr<Spool> spool(new Spool(std::move(options)));
  LANTERN_ASSIGN(spool->lock_, lock_folder(spool->options_.folder));
  const std::lock_guard lock(spool->mutex_);
  LANTERN_TRY(spool->open_or_move_aside());
  return spool;
}

Status Spool::open_database() {
  database_.reset();
  const fs::path path = options_.folder / kFile;
  const std::string_view migrations[] = {kSchema};
  LANTERN_ASSIGN(base::Database database, base::Database::open(path, migrations));
  const auto wrong = [&path](std::string_view fault) {
    return make_error(ErrorCode::kCorrupt, "{}: {}", path.string(), fault);
  };
  LANTERN_TRY(database.run("PRAGMA quick_check(1)", {}, [&](const Row& row) -> Status {
    if (row.text(0) != "ok") return wrong(base::printable(row.text(0)));
    return {};
  }));
  LANTERN_TRY(database.run("SELECT count(*), max(sql) FROM sqlite_schema", {},
                           [&](const Row& row) -> Status {
                             if (row.number(0) != 1 || row.text(1) != kSchema)
                               return wrong("not the tables of a spool");
                             return {};
                           }));
  // The gap is there before its cause is put away: a crash in between makes two of it, never none.
  const fs::path damaged = options_.folder / kDamaged;
  if (fs::exists(damaged)) {
    const int64_t time_us = now_us();
    LANTERN_ASSIGN(const std::string id, new_event_id(time_us));
    LANTERN_TRY(database.run(
        "INSERT INTO queue VALUES ((SELECT coalesce(min(seq), 1) - 1 FROM queue), ?, ?, x'', 1, ?, "
        "0, 0, 1)",
        {id, time_us, Gap::kUnknown}));
    LANTERN_TRY(move_files(damaged, options_.folder / kKept));
    counts_.lost_unknown = true;
  }
  LANTERN_TRY(database.run("SELECT count(*) FROM queue", {}, [this](const Row& row) -> Status {
    counts_.waiting = static_cast<uint64_t>(row.number(0));
    return {};
  }));
  database_ = std::move(database);
  return {};
}

Status Spool::open_or_move_aside() {
  Status opened = open_database();
  if (opened.ok() || opened.error().code != ErrorCode::kCorrupt) return opened;
  return move_aside();
}

Status Spool::move_aside() {
  database_.reset();
  taken_.clear();
  done_until_.reset();
  LANTERN_TRY(move_files(options_.folder / kFile, options_.folder / kDamaged));
  return open_database();
}

Status Spool::mended(const std::function<Status()>& work) {
  if (!database_) LANTERN_TRY(open_or_move_aside());
  Status done = work();
  if (done.ok() || done.error().code != ErrorCode::kCorrupt) return done;
  LANTERN_TRY(move_aside());
  return work();
}

Status Spool::remove_done() {
  if (!done_until_) return {};
  return database_->run("DELETE FROM queue WHERE seq <= ?", {*done_until_});
}

Result<uint64_t> Spool::bytes_in_use() {
  uint64_t bytes = 0;
  LANTERN_TRY(
      database_->run("SELECT (page_count - freelist_count) * page_size FROM "
                     "pragma_page_count, pragma_freelist_count, pragma_page_size",
                     {}, [&bytes](const Row& row) -> Status {
                       bytes = static_cast<uint64_t>(row.number(0));
                       return {};
                     }));
  return bytes;
}

Status Spool::append(std::span<const Spooled> events) {
  for (const Spooled& event : events) {
    if (event.payload.size() >= kEventBytesMax)
      return make_error(ErrorCode::kTooLarge, "event {}: {} bytes, at most {} are delivered",
                        base::printable(event.id, 40), event.payload.size(), kEventBytesMax);
    if (!is_payload(event.payload) || !is_event_id(event.id))
      return make_error(ErrorCode::kInvalidArgument, "event {}: not one line of UTF-8",
                        base::printable(event.id, 40));
  }
  const std::lock_guard lock(mutex_);
  return mended([&]() -> Status {
    const Counts before = counts_;
    Status done = database_->transaction([&]() -> Status {
      LANTERN_TRY(remove_done());
      for (const Spooled& event : events) {
        LANTERN_TRY(make_room(event.payload.size() + kRowBytes));
        LANTERN_TRY(database_->run(
            "INSERT INTO queue SELECT coalesce(max(seq), 0) + 1, ?, ?, ?, 0, 0, 0, 0, 0 FROM queue",
            {event.id, event.time_us, blob(event.payload)}));
        ++counts_.waiting;
      }
      return {};
    });
    if (done.ok())
      done_until_.reset();
    else
      counts_ = before;
    return done;
  });
}

Status Spool::make_room(uint64_t bytes) {
  for (;;) {
    LANTERN_ASSIGN(const uint64_t in_use, bytes_in_use());
    if (in_use + bytes <= options_.bytes_max) return {};
    LANTERN_ASSIGN(const bool has_lost_one, lose_oldest());
    if (!has_lost_one)
      return make_error(ErrorCode::kTooLarge, "{}: an event of {} bytes does not fit in {} bytes",
                        options_.folder.string(), bytes, options_.bytes_max);
  }
}

/// False where there is none but those on their way.
Result<bool> Spool::lose_oldest() {
  const int64_t on_their_way = taken_.empty() ? done_until() : taken_.back().seq;
  std::optional<int64_t> oldest;
  LANTERN_TRY(
      database_->run("SELECT seq FROM queue WHERE seq > ? AND is_gap = 0 ORDER BY seq LIMIT 1",
                     {on_their_way}, [&oldest](const Row& row) -> Status {
                       oldest = row.number(0);
                       return {};
                     }));
  if (!oldest) return false;
  LANTERN_TRY(make_gap(*oldest));
  LANTERN_TRY(join_gaps(*oldest));
  return true;
}

Status Spool::make_gap(int64_t seq) {
  const int64_t time_now_us = now_us();
  LANTERN_ASSIGN(const std::string id, new_event_id(time_now_us));
  ++counts_.lost;
  return database_->run(
      "UPDATE queue SET id = ?, payload = x'', is_gap = 1, lost = 1, first_us = time_us, "
      "last_us = time_us, is_closed = 0, time_us = ? WHERE seq = ?",
      {id, time_now_us, seq});
}

/// Counts neighbours that are open gaps in one: `seq` and the row after it, the row before and
/// `seq`.
Status Spool::join_gaps(int64_t seq) {
  const auto join = [this, seq](std::string_view neighbour_sql) -> Status {
    std::optional<int64_t> other;
    LANTERN_TRY(database_->run(neighbour_sql, {seq}, [&other](const Row& row) -> Status {
      if (row.number(1) != 0) other = row.number(0);
      return {};
    }));
    if (!other) return {};
    const int64_t first = std::min(seq, *other), second = std::max(seq, *other);
    LANTERN_TRY(
        database_->run("UPDATE queue SET (lost, first_us, last_us) = (SELECT min(sum(lost), "
                       "1000000000000000), min(first_us), "
                       "max(last_us) FROM queue WHERE seq IN (?, ?)) WHERE seq = ?",
                       {first, second, first}));
    --counts_.waiting;
    return database_->run("DELETE FROM queue WHERE seq = ?", {second});
  };
  LANTERN_TRY(
      join("SELECT seq, is_gap AND NOT is_closed FROM queue WHERE seq > ? ORDER BY seq LIMIT 1"));
  return join(
      "SELECT seq, is_gap AND NOT is_closed FROM queue WHERE seq < ? ORDER BY seq DESC LIMIT 1");
}

Result<std::vector<Spooled>> Spool::take(size_t count_max, uint64_t bytes_max) {
  const std::lock_guard lock(mutex_);
  std::vector<Spooled> events;
  LANTERN_TRY(mended([&]() -> Status {
    return database_->transaction([&] { return take_rows(count_max, bytes_max, events); });
  }));
  return events;
}

Status Spool::take_rows(size_t count_max, uint64_t bytes_max, std::vector<Spooled>& events) {
  taken_.clear();
  events.clear();
  uint64_t bytes = 0;
  std::vector<int64_t> broken;  // rows that are no event and no gap
  LANTERN_TRY(database_->run(
      "SELECT seq, id, time_us, payload, is_gap, lost, first_us, last_us, is_closed FROM queue "
      "WHERE seq > ? ORDER BY seq LIMIT ?",
      {done_until(), static_cast<int64_t>(count_max)}, [&](const Row& row) -> Status {
        if (!events.empty() && bytes >= bytes_max) return {};
        const bool is_gap = row.number(4) != 0;
        auto event = is_gap ? read_gap(row, options_.form) : read_event(row);
        if (!event) {
          broken.push_back(row.number(0));
          return {};
        }
        bytes += event->payload.size();
        events.push_back(*std::move(event));
        taken_.push_back({.seq = row.number(0), .has_closed_gap = is_gap && row.number(8) == 0});
        return {};
      }));
  for (const int64_t seq : broken) LANTERN_TRY(make_gap(seq));
  if (!broken.empty()) return take_rows(count_max, bytes_max, events);
  for (const Taken& taken : taken_)
    if (taken.has_closed_gap)
      LANTERN_TRY(database_->run("UPDATE queue SET is_closed = 1 WHERE seq = ?", {taken.seq}));
  return {};
}

Status Spool::settle(size_t n_done, Rest rest) {
  const std::lock_guard lock(mutex_);
  // Remembered first: what was delivered is not taken again where the disk has no room to say so.
  const size_t n = std::min(n_done, taken_.size());
  if (n > 0) done_until_ = taken_[n - 1].seq;
  counts_.waiting -= n;
  const std::vector<Taken> left(taken_.begin() + static_cast<std::ptrdiff_t>(n), taken_.end());
  taken_.clear();
  Status settled = mended([&]() -> Status {
    return database_->transaction([&]() -> Status {
      LANTERN_TRY(remove_done());
      for (const Taken& taken : left)
        if (taken.has_closed_gap && rest == Rest::kDidNotArrive)
          LANTERN_TRY(database_->run("UPDATE queue SET is_closed = 0 WHERE seq = ?", {taken.seq}));
      return {};
    });
  });
  if (settled.ok()) done_until_.reset();
  return settled;
}

Result<uint64_t> Spool::count_in(const fs::path& folder) {
  const std::string_view migrations[] = {kSchema};
  LANTERN_ASSIGN(base::Database database,
                 base::Database::open_read_only(folder / kFile, migrations));
  uint64_t n = 0;
  LANTERN_TRY(database.run("SELECT count(*) FROM queue", {}, [&n](const Row& row) -> Status {
    n = static_cast<uint64_t>(row.number(0));
    return {};
  }));
  return n;
}

Spool::Counts Spool::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace lantern::delivery
