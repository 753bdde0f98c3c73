#include "gate/usage.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/paths.h"
#include "base/thread.h"

namespace lantern::gate {
namespace {

constexpr std::string_view kMigrations[] = {R"(
  CREATE TABLE usage (
    day INTEGER NOT NULL, subject TEXT NOT NULL, tokens INTEGER NOT NULL,
    PRIMARY KEY (day, subject)) STRICT, WITHOUT ROWID;
)"};
constexpr int64_t kDaySeconds = int64_t{24} * 3600;
constexpr int64_t kDaysKept = 7;
constexpr auto kWriteEvery = std::chrono::milliseconds(200);

int64_t seconds_of(base::UtcTime time) { return time.time_since_epoch().count(); }

}  // namespace

std::string user_subject(const Caller& caller) {
  return caller.user.empty() ? "unknown" : "user:" + caller.user;
}
std::string key_subject(const Caller& caller) {
  return caller.key_id.empty() ? std::string() : "key:" + caller.key_id;
}

Result<std::shared_ptr<Usage>> Usage::open(const std::filesystem::path& folder, Clock clock) {
  LANTERN_TRY(base::make_private_folder(folder));
  LANTERN_ASSIGN(base::Database database, base::Database::open(folder / "usage.db", kMigrations));
  std::shared_ptr<Usage> made(new Usage(std::move(database), std::move(clock)));
  LANTERN_ASSIGN(made->thread_, base::start_thread("write counts",
                                                   [raw = made.get()](const std::stop_token& stop) {
                                                     raw->run(stop);
                                                   }));
  return made;
}

Result<std::shared_ptr<Usage>> Usage::of_user() {
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  return open(folders.state);
}

Usage::~Usage() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  (void)flush();
}

void Usage::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    changed_.wait(lock, stop, [this] { return is_dirty_; });
    changed_.wait_for(lock, stop, kWriteEvery, [] { return false; });
    (void)write();
  }
}

Status Usage::flush() {
  const std::lock_guard lock(mutex_);
  return write();
}

/// Adds what is unwritten to what is there, and takes over what others added.
Status Usage::write() {
  if (!is_dirty_) return {};
  Status written = database_.transaction([&]() -> Status {
    for (auto& [name, subject] : subjects_) {
      if (subject.unwritten == 0) continue;
      LANTERN_TRY(database_.run(
          "INSERT INTO usage VALUES (?, ?, ?) ON CONFLICT (day, subject) DO UPDATE SET tokens = "
          "tokens + excluded.tokens",
          {day_, name, subject.unwritten}));
    }
    return {};
  });
  if (!written.ok()) {
    fault_ = written.error();
    return written;
  }
  fault_.reset();
  is_dirty_ = false;
  for (auto& [name, subject] : subjects_) {
    if (std::exchange(subject.unwritten, 0) == 0 || !subject.is_read) continue;
    LANTERN_TRY(database_.run("SELECT tokens FROM usage WHERE day = ? AND subject = ?",
                              {day_, name}, [&](const base::Row& row) -> Status {
                                subject.tokens =
                                    std::max(subject.tokens, row.number(0) - subject.reserved);
                                return {};
                              }));
  }
  return {};
}

void Usage::begin_day(int64_t day) {
  (void)write();
  day_ = day;
  for (auto& [name, subject] : subjects_) {
    subject.tokens = subject.unwritten = subject.reserved = 0;
    subject.is_read = false;
  }
  std::erase_if(subjects_, [&](const auto& entry) {
    return entry.second.newest_second < day * kDaySeconds - 60;
  });
  // What is too old does no harm where it cannot be dropped now.
  (void)database_.run("DELETE FROM usage WHERE day < ?", {day - kDaysKept});
}

Usage::Subject& Usage::subject(const std::string& name) {
  const int64_t day = seconds_of(clock_()) / kDaySeconds;
  // A clock that was set back does not give a day anew.
  if (day > day_) begin_day(day);
  Subject& one = subjects_[name];
  if (one.is_read) return one;
  const Status read = database_.run("SELECT tokens FROM usage WHERE day = ? AND subject = ?",
                                    {day_, name}, [&](const base::Row& row) -> Status {
                                      one.tokens += row.number(0);
                                      return {};
                                    });
  one.is_read = read.ok();
  return one;
}

void Usage::advance(Subject& subject, int64_t second) {
  const auto n = static_cast<int64_t>(subject.requests.size());
  if (second - subject.newest_second >= n) subject.requests.fill(0);
  for (int64_t at = std::max(subject.newest_second + 1, second - n + 1); at <= second; ++at)
    subject.requests[static_cast<size_t>(at % n)] = 0;
  subject.newest_second = std::max(subject.newest_second, second);
}

Result<Usage::Used> Usage::used(const std::string& name) {
  const std::lock_guard lock(mutex_);
  Subject& one = subject(name);
  if (fault_ || !one.is_read)
    return make_error(ErrorCode::kIo, "what was used of budgets cannot be kept: {}",
                      fault_ ? fault_->message : "usage.db cannot be read");
  const int64_t now = seconds_of(clock_());
  advance(one, now);
  Used used{.tokens_today = one.tokens,
            .seconds_to_tomorrow = kDaySeconds - now % kDaySeconds,
            .seconds_to_next_request = 1};
  const auto n = static_cast<int64_t>(one.requests.size());
  for (int64_t second = one.newest_second - n + 1; second <= one.newest_second; ++second) {
    const uint32_t count = one.requests[static_cast<size_t>(second % n)];
    if (count > 0 && used.requests_this_minute == 0)
      used.seconds_to_next_request = std::max<int64_t>(1, second + n - now);
    used.requests_this_minute += count;
  }
  return used;
}

Result<std::map<std::string, Usage::Used>> Usage::report() {
  std::vector<std::string> names;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, subject] : subjects_) names.push_back(name);
  }
  std::map<std::string, Used> out;
  for (const std::string& name : names) {
    LANTERN_ASSIGN(out[name], used(name));
  }
  return out;
}

void Usage::count_request(const Caller& caller) {
  const std::lock_guard lock(mutex_);
  for (const std::string& name : {user_subject(caller), key_subject(caller)}) {
    if (name.empty()) continue;
    Subject& one = subject(name);
    advance(one, seconds_of(clock_()));
    ++one.requests[static_cast<size_t>(one.newest_second) % one.requests.size()];
  }
}

/// Under the mutex.
void Usage::add(const Caller& caller, int64_t tokens, int64_t reserved) {
  for (const std::string& name : {user_subject(caller), key_subject(caller)}) {
    if (name.empty()) continue;
    Subject& one = subject(name);
    one.tokens += tokens;
    one.reserved += reserved;
    one.unwritten += tokens + reserved;
  }
  is_dirty_ = true;
}

void Usage::add_tokens(const Caller& caller, int64_t n) {
  if (n <= 0) return;
  {
    const std::lock_guard lock(mutex_);
    add(caller, n, 0);
  }
  changed_.notify_one();
}

Result<Usage::Reservation> Usage::reserve(const Caller& caller, int64_t tokens) {
  const std::lock_guard lock(mutex_);
  add(caller, 0, tokens);
  if (const Status written = write(); !written.ok()) {
    add(caller, 0, -tokens);
    return written.error();
  }
  return Reservation{.day = day_, .tokens = tokens};
}

void Usage::settle(const Caller& caller, const Reservation& reservation, int64_t used) {
  {
    const std::lock_guard lock(mutex_);
    // One of a day that is over stays with that day.
    (void)subject(user_subject(caller));
    add(caller, used, reservation.day == day_ ? -reservation.tokens : 0);
  }
  changed_.notify_one();
}

}  // namespace lantern::gate
