// lantern watch: what `lantern scan` sees, all the time, as events.
#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/idle_pages.h"
#include "base/memory.h"
#include "base/paths.h"
#include "base/printable.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/verdicts.h"
#include "cli/watch_events.h"
#include "cli/watch_responses.h"
#include "cli/watch_settings.h"
#include "delivery/dispatcher.h"
#include "sensor/at_rest_walk.h"
#include "sensor/procfs_host.h"
#include "sensor/watcher.h"
#include "server/notify.h"

namespace lantern::cli {
namespace {

using base::OrderedJson;
using delivery::Event;
using delivery::Severity;
using sensor::Change;
using sensor::Finding;
using sensor::WatchClock;
using std::chrono::milliseconds;

struct Flags {
  std::string config;
  bool report = false;
};

/// After a look, events of started programs wait at least so long: a burst is one look.
constexpr milliseconds kRest{100};
/// A service manager wants to hear now and then that all is well.
constexpr std::chrono::seconds kAwakeAtLeast{15};
/// What receivers may take once all else has ended; the spool keeps the rest.
constexpr milliseconds kFlushMax{3000};
/// Events that could be put nowhere wait here.
constexpr size_t kWaitingMax = 10'000;

/// A descriptor that becomes readable when somebody calls ring().
class Bell {
 public:
  Bell() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  [[nodiscard]] int fd() const { return fd_.get(); }
  void ring() const {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(fd_.get(), &one, sizeof one);
  }
  void silence() const {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t n = ::read(fd_.get(), &count, sizeof count);
  }

 private:
  base::UniqueFd fd_;
};

class Watch {
 public:
  explicit Watch(Flags flags) : flags_(std::move(flags)) {}
  Result<Exit> run();

 private:
  Status read_settings();
  Status start_receivers();
  Status start_looking();
  Status start_walk();
  void look();
  void take_at_rest();
  void judge();
  void reload();
  void beat();
  void wait() const;
  void tell_blind(const std::string& why);
  [[nodiscard]] std::vector<std::string> blind_spots() const;
  OrderedJson state();
  /// Whether a finding's verdicts are others than those that were told last.
  bool note_verdicts(const Finding& finding);
  /// Takes an event that could be made, tells one that could not.
  void publish(Result<Event> event);
  /// kIo where events go to stdout, and nobody reads that any more.
  Status send();

  [[nodiscard]] sensor::WatchOptions watch_options() const {
    return {.interval = settings_.interval,
            .full_interval = settings_.full_interval,
            .probe = settings_.probe};
  }

  Flags flags_;
  WatchSettings settings_;
  Bell bell_;
  std::unique_ptr<delivery::Dispatcher> dispatcher_;
  std::unique_ptr<sensor::Host> host_;
  std::unique_ptr<sensor::ProcessEvents> process_events_;
  std::string no_process_events_;  // why there are none
  Verdicts verdicts_;
  std::optional<WatchEvents> events_;
  std::optional<WatchResponses> responses_;
  std::unique_ptr<sensor::Watcher> watcher_;
  std::unique_ptr<sensor::AtRestWalk> walk_;
  std::map<std::string, std::string> told_verdicts_;  // of findings, by id
  std::vector<Event> waiting_;
  std::string blind_;  // what the last event of blindness said
  size_t n_at_rest_ = 0;
  bool news_ = true;  // something was told that is not judged yet
  WatchClock::time_point next_judgement_ = {}, next_beat_ = {};
};

Status Watch::read_settings() {
  if (flags_.config.empty()) return {};
  LANTERN_ASSIGN(settings_, read_watch_settings(flags_.config));
  return {};
}

Status Watch::start_receivers() {
  dispatcher_.reset();
  if (settings_.receivers.empty()) return {};
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  LANTERN_ASSIGN(
      dispatcher_,
      delivery::Dispatcher::start(
          settings_.receivers, {.folder = folders.state / "events",
                                .notice = [](std::string_view receiver, std::string_view message) {
                                  tell(fmt::format("{}: {}", receiver, message));
                                }}));
  return {};
}

Status Watch::start_looking() {
  LANTERN_ASSIGN(host_, sensor::open_procfs_host());
  if (settings_.process_events) {
    auto events = host_->process_events();
    if (events.ok())
      process_events_ = std::move(*events);
    else
      no_process_events_ = events.error().message;
  } else {
    no_process_events_ = "switched off";
  }
  events_.emplace(host_->boot_id(), verdicts_);
  responses_.emplace(*host_, verdicts_, *events_);
  LANTERN_ASSIGN(watcher_, sensor::Watcher::start(*host_, process_events_.get(), watch_options()));
  return {};
}

Status Watch::start_walk() {
  walk_.reset();
  LANTERN_ASSIGN(
      walk_, sensor::AtRestWalk::start(
                 [](std::stop_token stop) {
                   return sensor::open_procfs_host({.paced = true, .stop = std::move(stop)});
                 },
                 {.interval = settings_.at_rest_interval, .disk = settings_.disk, .done = [this] {
                    bell_.ring();
                  }}));
  return {};
}

void Watch::publish(Result<Event> event) {
  if (!event.ok()) return tell("an event is lost: " + event.error().message);
  waiting_.push_back(std::move(*event));
}

Status Watch::send() {
  if (waiting_.empty()) return {};
  if (settings_.receivers.empty()) {
    std::string lines;
    for (const Event& event : waiting_) lines += delivery::event_line(event) + "\n";
    waiting_.clear();
    return print(lines);
  }
  // None where settings were not taken, and those before cannot be any more.
  Status taken = dispatcher_ == nullptr ? start_receivers() : Status();
  if (taken.ok()) taken = dispatcher_->publish(waiting_);
  if (taken.ok()) {
    waiting_.clear();
    return {};
  }
  tell(fmt::format("{} events wait: {}", waiting_.size(), taken.error().message));
  if (waiting_.size() <= kWaitingMax) return {};
  const auto excess = static_cast<std::ptrdiff_t>(waiting_.size() - kWaitingMax);
  tell(fmt::format("the oldest {} of them are lost", excess));
  waiting_.erase(waiting_.begin(), waiting_.begin() + excess);
  return {};
}

void Watch::tell_blind(const std::string& why) {
  if (why == blind_) return;
  blind_ = why;
  if (!why.empty())
    publish(
        events_->of_watch("watch.blind", Severity::kMedium, why, {{"why", base::printable(why)}}));
}

bool Watch::note_verdicts(const Finding& finding) {
  std::string verdicts;
  for (const sensor::FoundWeights& one : finding.weights)
    verdicts += verdicts_.of(one).verdict + " ";
  std::string& told = told_verdicts_[events_->id_of(finding)];
  return std::exchange(told, verdicts) != verdicts;
}

void Watch::look() {
  auto told = watcher_->step(WatchClock::now());
  if (!told.ok()) return tell_blind(told.error().message);
  tell_blind(responses_->fault());
  news_ = news_ || !told->empty();
  for (const sensor::Observation& one : *told) {
    publish(events_->of(one));
    if (one.change == Change::kEnded)
      told_verdicts_.erase(events_->id_of(*one.finding));
    else
      note_verdicts(*one.finding);
  }
}

/// A revocation reaches what runs already; then the policy has its say.
void Watch::judge() {
  const auto now = WatchClock::now();
  const auto stop = responses_->due();
  if (!news_ && now < next_judgement_ && (!stop || now < *stop)) return;
  news_ = false;
  next_judgement_ = now + settings_.interval;
  if (verdicts_.refresh())
    for (const auto& finding : watcher_->findings())
      if (note_verdicts(*finding))
        publish(events_->of({.change = Change::kChanged, .finding = finding}));
  for (Result<Event>& event : responses_->step(watcher_->findings(), now))
    publish(std::move(event));
}

void Watch::take_at_rest() {
  auto found = walk_ == nullptr ? std::nullopt : walk_->take();
  if (!found) return;
  for (const std::string& why : found->left_out) tell_blind("models at rest: " + why);
  if (!found->weights) return;
  n_at_rest_ = found->weights->size();
  for (const sensor::WeightsObservation& one : watcher_->at_rest(std::move(*found->weights)))
    publish(events_->of(one));
}

/// What holds, and how much there is: at the start, at the end, and now and then.
OrderedJson Watch::state() {
  std::map<std::string, size_t> levels, verdicts;
  for (const auto& finding : watcher_->findings()) {
    ++levels[std::string(level_name(finding->level))];
    if (!finding->weights.empty()) ++verdicts[worst_verdict(*finding, verdicts_)];
  }
  OrderedJson json = {
      {"processes", watcher_->n_processes()},
      {"hidden_processes", watcher_->n_hidden()},
      {"findings", levels},
      {"verdicts", verdicts},
      {"at_rest", n_at_rest_},
      {"process_events", process_events_ == nullptr ? "" : std::string(process_events_->name())},
      {"responses", responses_->text()},
      {"blind_spots", blind_spots()}};
  OrderedJson receivers = OrderedJson::array();
  if (dispatcher_ != nullptr)
    for (const delivery::ReceiverState& one : dispatcher_->states())
      receivers.push_back({{"name", one.name},
                           {"delivered", one.delivered},
                           {"waiting", one.waiting},
                           {"lost", one.lost},
                           {"refused", one.refused}});
  json["receivers"] = std::move(receivers);
  return json;
}

std::vector<std::string> Watch::blind_spots() const {
  std::vector<std::string> lines = host_->blind_spots();
  if (process_events_ == nullptr)
    lines.push_back(fmt::format("programs that run for less than {} s ({})",
                                settings_.interval.count(), no_process_events_));
  if (verdicts_.fault() != nullptr)
    lines.push_back("what the records say of models: " + verdicts_.fault()->message);
  return lines;
}

void Watch::beat() {
  if (WatchClock::now() < next_beat_) return;
  next_beat_ = WatchClock::now() + settings_.heartbeat_interval;
  publish(events_->of_watch("watch.heartbeat", Severity::kInformational, "watches", state()));
}

/// Settings that are broken leave those before in force.
void Watch::reload() {
  WatchSettings before = settings_;
  Status status = read_settings();
  if (status.ok()) status = start_receivers();
  if (status.ok()) status = start_walk();
  if (!status.ok()) {
    settings_ = std::move(before);
    if (walk_ == nullptr) {
      dispatcher_.reset();
      (void)start_walk();
    }
    tell_blind("the settings were not taken: " + status.error().message);
    return;
  }
  watcher_->set_options(watch_options());
  next_beat_ = std::min(next_beat_, WatchClock::now() + settings_.heartbeat_interval);
  verdicts_.refresh(Verdicts::Refresh::kAlways);
  news_ = true;
  publish(events_->of_watch("watch.reloaded", Severity::kInformational, "read its settings again",
                            state()));
}

/// Until something is due, or somebody rings.
void Watch::wait() const {
  auto due = std::min({watcher_->due(), next_beat_, WatchClock::now() + kAwakeAtLeast});
  if (const auto stop = responses_->due()) due = std::min(due, *stop);
  const auto left = [&] {
    return static_cast<int>(
        std::max<int64_t>(std::chrono::ceil<milliseconds>(due - WatchClock::now()).count(), 0));
  };
  pollfd fds[] = {
      {.fd = bell_.fd(), .events = POLLIN, .revents = 0},
      {.fd = hangup_fd(), .events = POLLIN, .revents = 0},
      {.fd = process_events_ ? process_events_->fd() : -1, .events = POLLIN, .revents = 0}};
  const int rest = std::min(left(), static_cast<int>(kRest.count()));
  if (::poll(fds, 2, rest) != 0) return;
  ::poll(fds, 3, left());
}

/// What starting and the first look at all took.
void give_back_memory() {
  base::release_free_memory();
  (void)base::unmap_idle_pages();  // else there is a little more
}

Result<Exit> Watch::run() {
  // One heap for all threads: each would keep what it freed.
  ::mallopt(M_ARENA_MAX, 1);
  const std::stop_token stop = new_interruptible_scope(SecondInterrupt::kIgnored);
  const std::stop_callback ring(stop, [this] { bell_.ring(); });
  (void)hangup_fd();  // from here on a hangup reads the settings again, and does not end this
  LANTERN_TRY(read_settings());
  LANTERN_TRY(start_looking());
  LANTERN_TRY(start_receivers());
  for (const std::string& line : blind_spots()) tell("not seen: " + line);
  give_back_memory();
  look();
  judge();
  // First of all, with the counts of the first look.
  auto started = events_->of_watch("watch.started", Severity::kInformational, "watches", state());
  if (!started.ok()) return started.error();
  waiting_.insert(waiting_.begin(), std::move(*started));
  tell(responses_->text());
  next_beat_ = WatchClock::now() + settings_.heartbeat_interval;
  LANTERN_TRY(send());
  LANTERN_TRY(start_walk());
  give_back_memory();
  server::notify_service_manager("READY=1");
  while (!stop.stop_requested()) {
    wait();
    bell_.silence();
    if (take_hangup()) reload();
    look();
    take_at_rest();
    judge();
    beat();
    LANTERN_TRY(send());
    server::notify_service_manager("WATCHDOG=1");
  }
  server::notify_service_manager("STOPPING=1");
  walk_.reset();
  publish(
      events_->of_watch("watch.stopped", Severity::kInformational, "watches no longer", state()));
  LANTERN_TRY(send());
  if (dispatcher_ != nullptr && !dispatcher_->flush(kFlushMax))
    tell("some events wait in the spool for the next start");
  return Exit::kDone;
}

/// What a dry run has counted, without watching.
Result<Exit> report() {
  Verdicts verdicts;
  if (verdicts.fault() != nullptr) return *verdicts.fault();
  LANTERN_ASSIGN(gate::SensorResponses responses, gate::SensorResponses::open());
  LANTERN_ASSIGN(const gate::ResponseStanding standing,
                 responses.standing(*verdicts.governance(), std::chrono::seconds(0)));
  LANTERN_TRY(print(standing.text() + "\n"));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_flag("--report", flags->report,
               "only say what the policy has done, and what a dry run counted");
  app.add_option("--config", flags->config, "how to look, and whom to tell (docs/sensor.md)")
      ->type_name("FILE");
  return [flags] { return flags->report ? report() : Watch(*flags).run(); };
}

}  // namespace

extern const Command k_watch;
const Command k_watch = {
    .name = "watch",
    .access = ModelAccess::kNone,
    .summary = "the same as scan all the time: what runs AI here, as events",
    .examples =
        "  sudo lantern watch\n"
        "  lantern watch --config /etc/lantern/watch.toml",
    .define = define,
};

}  // namespace lantern::cli
