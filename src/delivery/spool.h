// What waits for one receiver: a queue on disk, bounded in bytes. An event is in it from append()
// until it was delivered, whatever happens to the process in between; where the oldest had to go
// for want of space, one gap with their count stands in their place and is delivered as an event.
//
// One file, spool.db (SQLite, every commit synced), in a folder of its own (0700). A row is an
// event in the form that its receiver gets, or a gap. A gap that may have been seen by the receiver
// is closed: what is lost later is counted in another one, with an id of its own.
//
// Thread-safe: one thread appends while another takes and settles.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/sqlite.h"
#include "delivery/event.h"

namespace lantern::delivery {

/// An event in the form of its receiver.
struct Spooled {
  std::string id = {};
  int64_t time_us = 0;
  std::string payload = {};
};

struct SpoolOptions {
  std::filesystem::path folder = {};  // made where it is missing
  uint64_t bytes_max = 64u << 20;     // of the file's pages in use
  /// A gap in the form of its receiver.
  std::function<std::string(const Event&)> form = {};
};

class Spool {
 public:
  /// What is damaged is moved aside (spool.db.damaged) and becomes a gap of unknown size. Errors:
  /// kIo where another process has it; kUnsupported where a later version wrote it; kExhausted on
  /// a full disk.
  static Result<std::unique_ptr<Spool>> open(SpoolOptions options);

  /// All of them are durable when this returns, none after an error (kExhausted: the disk is full;
  /// kTooLarge: an event that cannot fit). Never waits for the receiver.
  Status append(std::span<const Spooled> events);

  /// The oldest, to be delivered in this order: at least one where any waits, then as many as
  /// `count_max` and `bytes_max` allow. They stay where they are until settle(), which must follow.
  Result<std::vector<Spooled>> take(size_t count_max, uint64_t bytes_max);

  enum class Rest { kMayHaveArrived, kDidNotArrive };
  /// The first `n_done` that take() gave last are delivered and leave the spool; whether the
  /// receiver may have seen those behind them decides about gaps among them.
  Status settle(size_t n_done, Rest rest);

  /// How many rows the spool in `folder` has, which nobody need have opened; nothing is changed.
  static Result<uint64_t> count_in(const std::filesystem::path& folder);

  struct Counts {
    uint64_t waiting = 0;       // events and gaps
    uint64_t lost = 0;          // since this was opened
    bool lost_unknown = false;  // a damaged spool was moved aside, too
  };
  [[nodiscard]] Counts counts() const;

 private:
  explicit Spool(SpoolOptions options) : options_(std::move(options)) {}
  // All with mutex_ held.
  Status open_database();
  Status open_or_move_aside();
  Status move_aside();
  Status mended(const std::function<Status()>& work);
  Status make_room(uint64_t bytes);
  Result<bool> lose_oldest();
  Status join_gaps(int64_t seq);
  Status make_gap(int64_t seq);
  Status take_rows(size_t count_max, uint64_t bytes_max, std::vector<Spooled>& events);
  Result<uint64_t> bytes_in_use();
  Status remove_done();
  [[nodiscard]] int64_t done_until() const { return done_until_.value_or(INT64_MIN); }

  SpoolOptions options_;
  base::UniqueFd lock_;
  mutable std::mutex mutex_;
  std::optional<base::Database> database_;
  struct Taken {
    int64_t seq = 0;
    bool has_closed_gap = false;  // by being taken
  };
  std::vector<Taken> taken_;
  std::optional<int64_t> done_until_;  // delivered, and not yet removed
  Counts counts_;
};

}  // namespace lantern::delivery
