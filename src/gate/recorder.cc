#include "gate/recorder.h"

#include <algorithm>
#include <utility>

#include "base/thread.h"

namespace lantern::gate {
namespace {

/// The log takes at most 4,096 at a time.
constexpr size_t kBatchMax = 1024;

}  // namespace

Result<std::unique_ptr<Recorder>> Recorder::start(AuditLog log) {
  std::unique_ptr<Recorder> made(new Recorder(std::move(log)));
  LANTERN_ASSIGN(made->thread_, base::start_thread("record answers",
                                                   [raw = made.get()](const std::stop_token& stop) {
                                                     raw->run(stop);
                                                   }));
  return made;
}

Recorder::~Recorder() = default;

void Recorder::record(audit::Event event, std::function<void(Status)> done) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back({std::move(event), std::move(done)});
  changed_.notify_one();
}

void Recorder::run(const std::stop_token& stop) {
  for (;;) {
    std::vector<Waiting> batch;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, stop, [&] { return !waiting_.empty(); });
      if (waiting_.empty()) return;
      const size_t n = std::min(waiting_.size(), kBatchMax);
      const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(n);
      batch.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
      waiting_.erase(waiting_.begin(), end);
    }
    std::vector<audit::Event> events;
    events.reserve(batch.size());
    for (Waiting& one : batch) events.push_back(std::move(one.event));
    const auto recorded = log_.log().append(events);
    // One entry that the log does not take must not cost the others their answers.
    for (size_t i = 0; i < batch.size(); ++i) {
      if (recorded.ok()) {
        batch[i].done({});
        continue;
      }
      const auto alone = log_.append(events[i]);
      batch[i].done(alone.ok() ? Status() : Status(alone.error()));
    }
  }
}

}  // namespace lantern::gate
