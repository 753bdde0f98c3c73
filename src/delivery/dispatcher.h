// Events on their way to every receiver. publish() puts an event into each receiver's spool, on
// disk, and returns; a thread a receiver delivers from there in order, at least once, and tries
// again with growing pauses while its receiver is away. Receivers do not wait for each other.
//
// Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "delivery/event.h"
#include "delivery/receiver_config.h"

namespace lantern::delivery {

struct DispatcherOptions {
  /// Of the spools: each receiver's is the folder <name>.<kind> in it.
  std::filesystem::path folder = {};
  std::chrono::milliseconds pause_min{500}, pause_max{60'000};  // between attempts
  /// Told what a person should know: a receiver went away, came back, refused an event, or a spool
  /// overflowed. Called by any of the threads.
  std::function<void(std::string_view receiver, std::string_view message)> notice = {};
};

/// Since the start, except for `waiting`.
struct ReceiverState {
  std::string name = {}, kind = {}, target = {};
  uint64_t delivered = 0;
  uint64_t waiting = 0;         // in the spool now
  uint64_t lost = 0;            // went unsent because the spool was full
  bool lost_unknown = false;    // a damaged spool was moved aside: some more may be lost
  uint64_t refused = 0;         // by the receiver, for good
  std::string last_error = {};  // empty: the last attempt succeeded
};

class Dispatcher {
 public:
  /// Opens every spool and transport and delivers what still waits from before. Errors: those of
  /// Spool::open(), and files of keys and certificates that cannot be read, naming the receiver.
  static Result<std::unique_ptr<Dispatcher>> start(std::vector<Receiver> receivers,
                                                   DispatcherOptions options);
  /// stop().
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  /// Durable in every spool when this returns; never waits for a receiver. Several at once cost
  /// one sync of the disk a receiver. After an error some spools may have the events, each all or
  /// none of them: publishing the same events again, with the same ids, is safe. Errors:
  /// kInvalidArgument (check_event), kTooLarge, kExhausted (the disk is full), kIo.
  Status publish(std::span<const Event> events);
  Status publish(const Event& event) { return publish(std::span(&event, 1)); }

  /// Tries every receiver once more without a pause (those that asked for one excepted) and waits
  /// until all spools are empty; false where they are not in time.
  bool flush(std::chrono::milliseconds timeout);
  /// Ends the threads; what is not delivered stays in the spools.
  void stop();

  [[nodiscard]] std::vector<ReceiverState> states() const;

 private:
  class Worker;
  explicit Dispatcher(DispatcherOptions options);
  void tell_of_forsaken() const;
  DispatcherOptions options_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace lantern::delivery
