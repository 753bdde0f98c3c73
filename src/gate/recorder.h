// Records of answers, made durable many at a time: one thread appends whatever waits with one
// fsync, then tells each that its record is there.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "audit/event.h"
#include "base/result.h"
#include "gate/audit.h"

namespace lantern::gate {

class Recorder {
 public:
  /// kExhausted where no thread is to be had.
  static Result<std::unique_ptr<Recorder>> start(AuditLog log);
  /// Records what waits, then ends.
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// Never blocks. `done` is called from the recorder's thread once the entry is durable; its error
  /// means that what was to be recorded must not be told. It must not throw.
  void record(audit::Event event, std::function<void(Status)> done);

 private:
  struct Waiting {
    audit::Event event;
    std::function<void(Status)> done;
  };
  explicit Recorder(AuditLog log) : log_(std::move(log)) {}
  void run(const std::stop_token& stop);

  AuditLog log_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Waiting> waiting_;
  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace lantern::gate
