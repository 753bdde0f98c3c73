#include "delivery/dispatcher.h"

#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>
#include <set>
#include <stop_token>
#include <thread>

#include "base/printable.h"
#include "base/thread.h"
#include "delivery/spool.h"
#include "delivery/transport.h"

namespace lantern::delivery {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Of one delivery: what may arrive twice after a fault, and what of the spool cannot be lost.
constexpr size_t kBatchEventsMax = 512;
constexpr uint64_t kBatchBytesMax = 1u << 20;
constexpr uint64_t kBatchShareOfSpool = 4;

/// A peer that closes early would end the program (OpenSSL and libcurl write without MSG_NOSIGNAL).
void block_sigpipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  (void)pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

/// Doubles from attempt to attempt; the half of it at random, so that many senders do not come back
/// at once.
class Pauses {
 public:
  Pauses(milliseconds min, milliseconds max)
      : min_(min), max_(max), random_(std::random_device{}()) {}

  milliseconds next() {
    const milliseconds whole = std::min(min_ * (int64_t{1} << std::min(n_, 20)), max_);
    ++n_;
    std::uniform_int_distribution<int64_t> part(whole.count() / 2, whole.count());
    return milliseconds(part(random_));
  }
  void reset() { n_ = 0; }

 private:
  milliseconds min_, max_;
  int n_ = 0;
  std::minstd_rand random_;
};

}  // namespace

/// One receiver: its spool, its transport, and the thread that brings events from one to the other.
class Dispatcher::Worker {
 public:
  static Result<std::unique_ptr<Worker>> make(Receiver receiver, const DispatcherOptions& options) {
    std::unique_ptr<Worker> worker(new Worker(std::move(receiver), options));
    LANTERN_ASSIGN(worker->transport_, worker->receiver_.make());
    LANTERN_ASSIGN(worker->spool_,
                   Spool::open({.folder = options.folder / worker->folder_name(),
                                .bytes_max = worker->receiver_.spool_bytes_max,
                                .form = [transport = worker->transport_.get()](const Event& event) {
                                  return transport->form(event);
                                }}));
    worker->tell_of_losses();
    return worker;
  }

  [[nodiscard]] std::string folder_name() const { return receiver_.name + "." + receiver_.kind; }

  Status start() {
    LANTERN_ASSIGN(thread_, base::start_thread("deliver events",
                                               [this](const std::stop_token& stop) { run(stop); }));
    return {};
  }

  Status publish(std::span<const Event> events) {
    std::vector<Spooled> spooled;
    for (const Event& event : events)
      spooled.push_back({event.id, event.time_us, transport_->form(event)});
    if (Status appended = spool_->append(spooled); !appended.ok())
      return std::move(appended).error().within("receiver " + receiver_.name);
    tell_of_losses();
    wake();
    return {};
  }

  void hurry() {
    {
      const std::lock_guard lock(mutex_);
      hurry_ = true;
    }
    changed_.notify_all();
  }

  bool wait_until_empty(Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline, [this] { return spool_->counts().waiting == 0; });
  }

  void request_stop() { thread_.request_stop(); }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

  [[nodiscard]] ReceiverState state() const {
    const Spool::Counts counts = spool_->counts();
    const std::lock_guard lock(mutex_);
    return {.name = receiver_.name,
            .kind = receiver_.kind,
            .target = receiver_.target,
            .delivered = delivered_,
            .waiting = counts.waiting,
            .lost = counts.lost,
            .lost_unknown = counts.lost_unknown,
            .refused = refused_,
            .last_error = last_error_};
  }

 private:
  Worker(Receiver receiver, const DispatcherOptions& options)
      : receiver_(std::move(receiver)),
        notice_(options.notice),
        pauses_(options.pause_min, options.pause_max) {}

  void tell(std::string_view message) const {
    if (notice_) notice_(receiver_.name, message);
  }

  /// Once each.
  void tell_of_losses() {
    const Spool::Counts counts = spool_->counts();
    bool is_full = false, was_damaged = false;
    {
      const std::lock_guard lock(mutex_);
      is_full = counts.lost > 0 && !std::exchange(told_.lost, counts.lost > 0);
      was_damaged = counts.lost_unknown && !std::exchange(told_.lost_unknown, counts.lost_unknown);
    }
    if (is_full) tell("its spool is full: the oldest events go, and a gap counts them");
    if (was_damaged)
      tell(
          "its spool was damaged: it is kept beside the new one as spool.db.kept, and the "
          "receiver is told of a gap");
  }

  /// Whoever waits looks again at what it waits for.
  void wake() {
    { const std::lock_guard lock(mutex_); }
    changed_.notify_all();
  }

  void run(const std::stop_token& stop) {
    block_sigpipe();
    while (wait_for_events(stop)) {
      const auto asked = deliver_some(stop);
      wake();
      if (asked) pause(*asked, stop);
    }
  }

  bool wait_for_events(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [this] { return spool_->counts().waiting > 0; });
    return !stop.stop_requested();
  }

  /// After a fault: how long the receiver asks to be left alone.
  std::optional<milliseconds> deliver_some(const std::stop_token& stop) {
    auto events = spool_->take(
        kBatchEventsMax, std::min(kBatchBytesMax, receiver_.spool_bytes_max / kBatchShareOfSpool));
    if (!events.ok()) return failed(events.error());
    // None where all that is left was delivered, and only its removal failed.
    const Outcome outcome = events->empty() ? Outcome{} : transport_->deliver(*events, stop);
    for (const Outcome::Refused& refused : outcome.refused)
      tell(fmt::format("refused event {} for good: {}", (*events)[refused.index].id, refused.why));
    {
      const std::lock_guard lock(mutex_);
      delivered_ += outcome.n_done - outcome.refused.size();
      refused_ += outcome.refused.size();
    }
    if (const Status settled = spool_->settle(outcome.n_done, outcome.rest); !settled.ok())
      return failed(settled.error());
    if (outcome.n_done > 0) pauses_.reset();
    if (outcome.fault) {
      if (stop.stop_requested()) return milliseconds(0);
      return failed(*outcome.fault, outcome.retry_after);
    }
    tell_of_losses();
    succeeded();
    return {};
  }

  milliseconds failed(const Error& error, milliseconds asked = {}) {
    bool is_new = false;
    {
      const std::lock_guard lock(mutex_);
      is_new = last_error_.empty();
      last_error_ = error.message;
    }
    if (is_new) tell(fmt::format("events wait: {}", error.message));
    return asked;
  }

  void succeeded() {
    pauses_.reset();
    bool was_away = false;
    {
      const std::lock_guard lock(mutex_);
      was_away = !last_error_.empty();
      last_error_.clear();
    }
    if (was_away) tell("takes events again");
  }

  void pause(milliseconds asked, const std::stop_token& stop) {
    const milliseconds length = std::max(pauses_.next(), asked);
    std::unique_lock lock(mutex_);
    // A receiver that asked for its pause has it.
    changed_.wait_for(lock, stop, length, [&] { return hurry_ && asked == milliseconds(0); });
    hurry_ = false;
  }

  Receiver receiver_;
  std::function<void(std::string_view, std::string_view)> notice_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Spool> spool_;
  Pauses pauses_;  // of the thread

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  bool hurry_ = false;
  uint64_t delivered_ = 0, refused_ = 0;
  std::string last_error_;
  struct Told {
    bool lost = false, lost_unknown = false;
  } told_;
  std::jthread thread_;  // last: it uses what is above
};

Dispatcher::Dispatcher(DispatcherOptions options) : options_(std::move(options)) {}

Result<std::unique_ptr<Dispatcher>> Dispatcher::start(std::vector<Receiver> receivers,
                                                      DispatcherOptions options) {
  std::unique_ptr<Dispatcher> dispatcher(new Dispatcher(std::move(options)));
  for (Receiver& receiver : receivers) {
    const std::string name = receiver.name;
    auto worker = Worker::make(std::move(receiver), dispatcher->options_);
    if (!worker.ok()) return std::move(worker).error().within("receiver " + name);
    dispatcher->workers_.push_back(*std::move(worker));
  }
  dispatcher->tell_of_forsaken();
  for (const auto& worker : dispatcher->workers_) LANTERN_TRY(worker->start());
  return dispatcher;
}

/// Spools with events for receivers that are configured no more.
void Dispatcher::tell_of_forsaken() const {
  if (!options_.notice) return;
  std::set<std::string> own;
  for (const auto& worker : workers_) own.insert(worker->folder_name());
  std::error_code error;
  for (std::filesystem::directory_iterator at(options_.folder, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (own.contains(name)) continue;
    const auto waiting = Spool::count_in(at->path());
    if (waiting.ok() && *waiting > 0)
      options_.notice(base::printable(name, 80),
                      fmt::format("{} events wait here for a receiver that is not configured: name "
                                  "it again, or remove {}",
                                  *waiting, base::printable(at->path().string(), 300)));
  }
}

Dispatcher::~Dispatcher() { stop(); }

Status Dispatcher::publish(std::span<const Event> events) {
  for (const Event& event : events) LANTERN_TRY(check_event(event));
  Status all;
  for (const auto& worker : workers_)
    if (Status one = worker->publish(events); !one.ok() && all.ok()) all = std::move(one);
  return all;
}

bool Dispatcher::flush(milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  for (const auto& worker : workers_) worker->hurry();
  bool all = true;
  for (const auto& worker : workers_) all = worker->wait_until_empty(deadline) && all;
  return all;
}

void Dispatcher::stop() {
  for (const auto& worker : workers_) worker->request_stop();
  for (const auto& worker : workers_) worker->join();
}

std::vector<ReceiverState> Dispatcher::states() const {
  std::vector<ReceiverState> states;
  states.reserve(workers_.size());
  for (const auto& worker : workers_) states.push_back(worker->state());
  return states;
}

}  // namespace lantern::delivery
