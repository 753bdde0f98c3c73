// What callers have used of their budgets: tokens a day (UTC) and requests a minute, by subject.
//
// Tokens are kept in usage.db in the state folder, so that a restart gives nobody his day anew:
// written by a thread of its own some times a second and at the end, added to what other processes
// wrote. A process that is killed loses at most what it counted within that time, and nothing of
// whoever has a budget: what his answer may use is written before it begins, and what it did not
// use is given back at its end. Requests of the last minute are this process's alone.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/result.h"
#include "base/sqlite.h"
#include "base/time.h"
#include "gate/caller.h"

namespace lantern::gate {

/// Under which a caller's use is counted: his user's name, or for all who are unknown one name.
std::string user_subject(const Caller& caller);
/// Empty where no key was used.
std::string key_subject(const Caller& caller);

class Usage {
 public:
  using Clock = std::function<base::UtcTime()>;

  /// usage.db in `folder`, made where it is missing. `clock` is for tests. Errors: those of the
  /// folder and the database, kExhausted where no thread is to be had.
  static Result<std::shared_ptr<Usage>> open(const std::filesystem::path& folder,
                                             Clock clock = base::utc_clock);
  /// In this user's state folder.
  static Result<std::shared_ptr<Usage>> of_user();
  /// Writes what is counted.
  ~Usage();
  Usage(const Usage&) = delete;
  Usage& operator=(const Usage&) = delete;

  // Safe for any number of threads.

  struct Used {
    int64_t tokens_today = 0, requests_this_minute = 0;
    int64_t seconds_to_tomorrow = 0, seconds_to_next_request = 0;
  };
  /// kIo where the counts cannot be kept: whoever goes by them refuses.
  Result<Used> used(const std::string& subject);
  /// Of everybody who was seen since the start, by subject.
  Result<std::map<std::string, Used>> report();
  /// By the caller's user and his key.
  void count_request(const Caller& caller);
  void add_tokens(const Caller& caller, int64_t n);
  /// What an answer may use at most, until it is settled: durable, for who reads the counts after
  /// this process was killed; used() does not have it yet.
  struct Reservation {
    int64_t day = 0, tokens = 0;
  };
  /// kIo where it cannot be written: nothing is reserved then.
  Result<Reservation> reserve(const Caller& caller, int64_t tokens);
  /// What the answer used takes the reservation's place. Once for each.
  void settle(const Caller& caller, const Reservation& reservation, int64_t used);
  /// Writes what waits; durable once it returns.
  Status flush();

 private:
  struct Subject {
    int64_t tokens = 0;                      // of today, those written among them
    int64_t unwritten = 0;                   // of those and what is reserved; less than 0: too much
    int64_t reserved = 0;                    // today, beside `tokens`
    bool is_read = false;                    // what was written before is among them
    std::array<uint32_t, 60> requests = {};  // by second
    int64_t newest_second = 0;
  };
  Usage(base::Database database, Clock clock)
      : database_(std::move(database)), clock_(std::move(clock)) {}
  void run(const std::stop_token& stop);
  /// Of the day that it is; reads what was written of a subject that is new here.
  Subject& subject(const std::string& name);
  void begin_day(int64_t day);
  static void advance(Subject& subject, int64_t second);
  Status write();
  void add(const Caller& caller, int64_t tokens, int64_t reserved);

  std::mutex mutex_;
  base::Database database_;  // under the mutex, as all below
  const Clock clock_;
  int64_t day_ = 0;
  std::map<std::string, Subject> subjects_;
  bool is_dirty_ = false;
  std::optional<Error> fault_;
  std::condition_variable_any changed_;
  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace lantern::gate
