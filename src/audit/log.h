// The audit log as its writers see it: append-only, tamper-evident, safe for many threads and
// several processes.
//
// A batch of entries is one record of the journal with the checkpoint after it, written with one
// fsync; then its callers are answered. Who finds no batch under way becomes the one that writes
// the next, for everybody who waits. Now and then the journal is sealed: its entries go into
// tiles, its checkpoint is published, a new journal begins. A crash at any point leaves the old
// journal or the new one, and either says where the log ends.
//
// One writer at a time: it holds a lock on the log and rereads the head, so that two processes
// cannot fork it. Before it writes it also holds the log against the newest checkpoint that was
// kept outside the folder; a log that was cut, replaced or forked is refused, not continued.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "audit/checkpoint.h"
#include "audit/event.h"
#include "base/file.h"
#include "base/keys.h"
#include "base/result.h"

namespace lantern::audit {

/// The points of a batch and of a seal between which a process may die.
enum class LogStep {
  kBeforeWrite,
  kHalfWritten,
  kWritten,
  kDurable,
  kNotedHead,
  kAnchored,
  kTilesWritten,
  kPublished,
  kJournalReplaced,
  kSpooledAppended,
};
inline constexpr int kLogSteps = 10;

struct LogKeys {
  base::PrivateKey signer;                  // Ed25519
  std::vector<base::PublicKey> known = {};  // may have signed before; the signer's own is one
};

/// A head of the log that somebody outside it remembers.
struct KeptHead {
  uint64_t size = 0;
  Hash root = {};
  std::string at = {};  // who remembers it, for messages
};

struct LogOptions {
  std::filesystem::path folder;
  /// A file outside the folder that keeps the newest checkpoint; empty: none is kept.
  std::filesystem::path anchor = {};
  /// The log must reach at least as far, by the same entries.
  std::vector<KeptHead> kept = {};
  /// A folder outside for append_or_spool(); empty: it has nowhere to spool.
  std::filesystem::path spool = {};
  /// The name of a log that is made now; an existing one has its own.
  std::string origin = {};
  LogKeys keys;
  /// Seals the journal once it has this many entries; it also does at 4 MiB.
  size_t journal_entries_max = 4096;
  /// Gives the keys anew where a checkpoint is signed by none that is known: another process may
  /// have rotated them.
  std::function<Result<LogKeys>()> keys_now = {};
  /// How long to wait for another process's batch before the append is refused.
  int lock_timeout_ms = 10'000;
  /// How long an anchor on disk may lag behind the log while this process lives.
  int anchor_interval_ms = 1000;
  /// For tests: called at each point.
  std::function<void(LogStep)> at_step = {};
};

/// What became of an event that must not be stopped.
struct Recorded {
  enum class Where { kLog, kSpool, kNowhere };
  Where where = Where::kLog;
  uint64_t index = 0;      // in the log
  std::string fault = {};  // why it is not in the log, one line
};

class Log {
 public:
  /// Opens the log or makes one. Errors: kIo, kExhausted, kCorrupt where its parts, its signatures
  /// or the anchor contradict it.
  static Result<std::unique_ptr<Log>> open(LogOptions options);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// Durable once it returns; the index of the entry. Any error: nothing was recorded as far as
  /// the caller is concerned, and what was to be recorded must not happen.
  Result<uint64_t> append(const Event& event) { return append(std::span(&event, 1)); }
  /// All of them, next to each other, or none; the index of the first. At most 4,096.
  Result<uint64_t> append(std::span<const Event> events);
  /// append(), or else the spool, from where it enters the log later. Never an error.
  Recorded append_or_spool(const Event& event);

  /// Seals the journal and returns the published checkpoint.
  Result<SignedCheckpoint> publish();

  struct Reading {
    uint64_t first = 0;  // before it retention has dropped what was asked for
    Checkpoint head = {};
  };
  /// Calls f(index, entry) for the entries from `begin` to the log's end, as it is now. Those of
  /// the journal are in memory.
  Result<Reading> read_from(uint64_t begin,
                            const std::function<void(uint64_t, std::string_view)>& f);

  /// The newest head that this object knows.
  [[nodiscard]] Checkpoint head() const;
  /// The newest entry's time, since the clock was last corrected; 0 for an empty log.
  [[nodiscard]] int64_t newest_time_ms() const { return newest_time_ms_.load(); }

 private:
  struct Waiter;
  struct Sequencer;
  explicit Log(LogOptions options);
  void commit(std::span<Waiter* const> batch);
  /// Runs `work` as the one who uses the sequencer.
  template <typename T>
  Result<T> lead(const std::function<Result<T>()>& work);

  LogOptions options_;
  std::unique_ptr<Sequencer> sequencer_;  // used by whoever leads
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiter*> queue_;
  bool leading_ = false;
  std::atomic<int64_t> newest_time_ms_ = 0;
  Checkpoint head_;
};

}  // namespace lantern::audit
