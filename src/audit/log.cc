#include "audit/log.h"

#include <algorithm>
#include <chrono>

#include "audit/sequencer.h"
#include "audit/spool.h"

namespace lantern::audit {
namespace {

constexpr size_t kBatchEntries = 1024;  // then those who wait are answered

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

struct Log::Waiter {
  std::span<const Event> events;
  Result<uint64_t> result = uint64_t{0};
  bool done = false;
};

struct Log::Sequencer : audit::Sequencer {
  using audit::Sequencer::Sequencer;
  std::atomic<bool> spooled = false;  // something waits in the spool

  /// An event's line, with the time the log gives it.
  Result<std::string> entry_of(const Event& event) {
    Event timed = event;
    if (timed.time_ms == 0) timed.time_ms = std::max(now_ms(), newest_time_ms());
    LANTERN_ASSIGN(std::string line, event_to_json(timed));
    if (timed.action == Action::kClockCorrected && event.time_ms != 0)
      set_time(timed.time_ms);
    else
      note_time(timed.time_ms);
    return line;
  }

  /// Moves what waits in the spool into the log. A crash in between leaves an event in both, which
  /// its spool_id shows.
  Status drain(const std::filesystem::path& folder) {
    LANTERN_ASSIGN(const std::vector<Spooled> waiting, read_spool(folder));
    if (waiting.empty()) return {};
    std::vector<std::string> entries;
    for (const Spooled& spooled_event : waiting) {
      LANTERN_ASSIGN(std::string line, event_to_json(spooled_event.event));
      note_time(spooled_event.event.time_ms);
      entries.push_back(std::move(line));
    }
    auto written = write(std::move(entries));
    if (!written.ok()) return std::move(written).error();
    step(LogStep::kSpooledAppended);
    return remove_spooled(folder, waiting);
  }
};

Log::Log(LogOptions options)
    : options_(std::move(options)), sequencer_(std::make_unique<Sequencer>(options_)) {}

Result<std::unique_ptr<Log>> Log::open(LogOptions options) {
  std::unique_ptr<Log> log(new Log(std::move(options)));
  Sequencer& sequencer = *log->sequencer_;
  LANTERN_ASSIGN(const LogLock lock, sequencer.enter());
  if (!log->options_.spool.empty()) LANTERN_TRY(sequencer.drain(log->options_.spool));
  // A log whose newest checkpoint cannot be kept outside is not one to rely on.
  LANTERN_TRY(sequencer.keep_anchor(/*at_once=*/true));
  log->head_ = sequencer.head().checkpoint;
  log->newest_time_ms_ = sequencer.newest_time_ms();
  return log;
}

Log::~Log() {
  // Another process may have gone on; the anchor is for the newest head.
  options_.lock_timeout_ms = std::min(options_.lock_timeout_ms, 1000);
  if (auto lock = sequencer_->enter(); lock.ok()) (void)sequencer_->keep_anchor(/*at_once=*/true);
}

Checkpoint Log::head() const {
  const std::lock_guard guard(mutex_);
  return head_;
}

Result<uint64_t> Log::append(std::span<const Event> events) {
  if (events.empty() || events.size() > kBatchEntriesMax)
    return make_error(ErrorCode::kInvalidArgument, "{} events at once, 1 to {} are appended",
                      events.size(), kBatchEntriesMax);
  Waiter waiter{.events = events};
  std::unique_lock guard(mutex_);
  queue_.push_back(&waiter);
  while (!waiter.done) {
    if (leading_) {
      changed_.wait(guard);
      continue;
    }
    leading_ = true;
    std::vector<Waiter*> batch;
    for (size_t n = 0; !queue_.empty(); queue_.pop_front()) {
      n += queue_.front()->events.size();
      if (!batch.empty() && n > kBatchEntries) break;
      batch.push_back(queue_.front());
    }
    guard.unlock();
    commit(batch);
    guard.lock();
    head_ = sequencer_->head().checkpoint;
    newest_time_ms_ = sequencer_->newest_time_ms();
    for (Waiter* served : batch) served->done = true;
    leading_ = false;
    changed_.notify_all();
  }
  return std::move(waiter.result);
}

void Log::commit(std::span<Waiter* const> batch) {
  const auto refuse = [&](const Error& error) {
    for (Waiter* waiter : batch)
      if (waiter->result.ok()) waiter->result = error;
  };
  auto lock = sequencer_->enter();
  if (!lock.ok()) return refuse(lock.error());
  if (sequencer_->spooled.exchange(false) && !sequencer_->drain(options_.spool).ok())
    sequencer_->spooled = true;

  std::vector<std::string> entries;
  size_t bytes = 0;
  const auto write = [&](std::span<Waiter* const> waiters) {
    if (entries.empty()) return;
    auto first = sequencer_->write(std::move(entries));
    entries.clear();
    bytes = 0;
    for (Waiter* waiter : waiters) {
      if (!waiter->result.ok()) continue;
      if (!first.ok()) {
        waiter->result = first.error();
        continue;
      }
      waiter->result = *first;
      first = *first + waiter->events.size();
    }
  };
  size_t begin = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    std::vector<std::string> own;
    size_t own_bytes = 0;
    for (const Event& event : batch[i]->events) {
      auto line = sequencer_->entry_of(event);
      if (!line.ok()) {
        batch[i]->result = std::move(line).error();
        break;
      }
      own_bytes += line->size() + 2;
      own.push_back(*std::move(line));
    }
    if (batch[i]->result.ok() && own_bytes > kBatchBytesMax)
      batch[i]->result = make_error(ErrorCode::kTooLarge, "{} bytes of events, at most {} at once",
                                    own_bytes, kBatchBytesMax);
    if (!batch[i]->result.ok()) continue;
    if (bytes + own_bytes > kBatchBytesMax || entries.size() + own.size() > kBatchEntriesMax) {
      write(batch.subspan(begin, i - begin));
      begin = i;
    }
    bytes += own_bytes;
    std::move(own.begin(), own.end(), std::back_inserter(entries));
  }
  write(batch.subspan(begin));
}

Recorded Log::append_or_spool(const Event& event) {
  auto index = append(event);
  if (index.ok()) return {.where = Recorded::Where::kLog, .index = *index};
  Recorded recorded{.where = Recorded::Where::kNowhere, .fault = index.error().message};
  if (options_.spool.empty()) return recorded;
  Event timed = event;
  if (timed.time_ms == 0) timed.time_ms = std::max(now_ms(), newest_time_ms());
  if (const Status spooled = spool_event(options_.spool, timed); spooled.ok()) {
    recorded.where = Recorded::Where::kSpool;
    sequencer_->spooled = true;
  } else {
    recorded.fault += "; " + spooled.error().message;
  }
  return recorded;
}

template <typename T>
Result<T> Log::lead(const std::function<Result<T>()>& work) {
  std::unique_lock guard(mutex_);
  changed_.wait(guard, [&] { return !leading_; });
  leading_ = true;
  guard.unlock();
  auto result = work();
  guard.lock();
  head_ = sequencer_->head().checkpoint;
  leading_ = false;
  changed_.notify_all();
  return result;
}

Result<SignedCheckpoint> Log::publish() {
  return lead<SignedCheckpoint>([&]() -> Result<SignedCheckpoint> {
    LANTERN_ASSIGN(const LogLock lock, sequencer_->enter());
    LANTERN_ASSIGN(SignedCheckpoint published, sequencer_->seal());
    LANTERN_TRY(sequencer_->keep_anchor(/*at_once=*/true));
    return published;
  });
}

Result<Log::Reading> Log::read_from(uint64_t begin,
                                    const std::function<void(uint64_t, std::string_view)>& f) {
  return lead<Reading>([&]() -> Result<Reading> {
    LANTERN_ASSIGN(const LogLock lock, sequencer_->enter());
    LANTERN_ASSIGN(const uint64_t first, sequencer_->read_from(begin, f));
    return Reading{.first = first, .head = sequencer_->head().checkpoint};
  });
}

}  // namespace lantern::audit
