// The one writer of a log: what audit/log.h promises, step by step. Log gives it batches; it is
// used by one thread at a time, under the log's lock.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/checkpoint.h"
#include "audit/lock.h"
#include "audit/log.h"
#include "audit/merkle.h"
#include "audit/reader.h"
#include "audit/tiles.h"
#include "base/file.h"

namespace lantern::audit {

class Sequencer {
 public:
  explicit Sequencer(const LogOptions& options) : options_(options), keys_(options.keys) {}

  /// Takes the lock and rereads what other processes have written; makes the log where there is
  /// none. The head is current for as long as the lock is held.
  Result<LogLock> enter();

  /// Appends entries and makes them durable; seals where the journal is long. The index of the
  /// first. On an error the log is as it was.
  Result<uint64_t> write(std::vector<std::string> entries);
  /// Moves the journal into tiles and publishes the head, signed with the current key.
  Result<SignedCheckpoint> seal();
  /// Log::read_from(), under the lock; returns the first index that is there to be read.
  Result<uint64_t> read_from(uint64_t begin,
                             const std::function<void(uint64_t, std::string_view)>& f);
  /// Writes the anchor where it is older than the head; at once, or once its interval is over.
  Status keep_anchor(bool at_once);

  [[nodiscard]] const SignedCheckpoint& head() const { return head_; }
  [[nodiscard]] size_t n_pending() const { return pending_.size(); }
  [[nodiscard]] const Checkpoint& published() const { return published_; }
  [[nodiscard]] int64_t newest_time_ms() const { return newest_time_ms_; }
  void note_time(int64_t time_ms) { newest_time_ms_ = std::max(newest_time_ms_, time_ms); }
  void set_time(int64_t time_ms) { newest_time_ms_ = time_ms; }
  void step(LogStep at) const {
    if (options_.at_step) options_.at_step(at);
  }

 private:
  struct Pending {
    std::string entry;
    Hash leaf;
  };

  Status refresh();
  Status create();
  Status load();
  Status load_tail(uint64_t bytes);
  Status hold_against_anchor(LogView& view);
  Status open_journal(uint64_t valid_bytes);
  Status replace_journal();
  Status append_record(const std::string& record);
  void roll_back();
  /// The time that the log goes on from is its last entry's, which may be before that of entries
  /// from before the clock was corrected. What waited in the spool has times of its own.
  void take_time_of(std::string_view last_entry);
  /// A checkpoint of this log, signed by one of its keys.
  Result<SignedCheckpoint> open_known(std::string_view note, std::string_view what);
  [[nodiscard]] std::filesystem::path file(std::string_view name) const {
    return options_.folder / name;
  }

  const LogOptions& options_;
  LogKeys keys_;
  bool loaded_ = false;
  bool poisoned_ = false;  // a failed write could not be taken back
  Checkpoint published_;
  SignedCheckpoint head_;
  Frontier frontier_;
  std::vector<Pending> pending_;  // in the journal and not in tiles
  size_t pending_bytes_ = 0;
  base::UniqueFd journal_;
  uint64_t journal_bytes_ = 0;
  std::optional<TileWriter> tiles_;
  std::optional<uint64_t> anchored_;  // the size that the anchor covers
  std::chrono::steady_clock::time_point anchored_at_ = {};
  int64_t newest_time_ms_ = 0;
  TreeHasher hasher_;
};

}  // namespace lantern::audit
