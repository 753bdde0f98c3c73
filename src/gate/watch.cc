#include "gate/watch.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/thread.h"

namespace lantern::gate {
namespace {

using Clock = std::chrono::steady_clock;

// A tenth of a millisecond each, all the time that a model is loaded; a withdrawal takes effect
// within a second.
constexpr auto kLook = std::chrono::milliseconds(400);
/// Approvals, policies and statements end by the clock, with no write to show it.
constexpr auto kDecideAnew = std::chrono::seconds(10);

class Watch {
 public:
  Watch(Composition model, policy::Action action) : model_(std::move(model)), action_(action) {}

  Status start() {
    auto started = base::start_thread("watch its approval",
                                      [this](const std::stop_token& stop) { run(stop); });
    if (!started.ok()) return std::move(started).error().within(model_.name);
    thread_ = std::move(*started);
    return {};
  }

  [[nodiscard]] const format::Standing& standing() const { return standing_; }

 private:
  void run(const std::stop_token& stop) {
    Status watched = watch(stop);
    if (!watched.ok()) standing_.withdraw(watched.error().message);
  }

  /// Until it must be withdrawn (the error says why) or nobody holds it any longer.
  Status watch(const std::stop_token& stop) {
    LANTERN_ASSIGN(Governance governance, Governance::open());
    int64_t version = -1;
    Clock::time_point decided{};
    std::mutex mutex;
    std::condition_variable_any wake;
    while (!stop.stop_requested()) {
      LANTERN_ASSIGN(const int64_t now, governance.state().data_version());
      const bool policy_changed = governance.managed() && policy_differs(governance);
      if (now != version || policy_changed || Clock::now() - decided > kDecideAnew) {
        version = now;
        decided = Clock::now();
        LANTERN_TRY(decide(governance));
      }
      std::unique_lock lock(mutex);
      wake.wait_for(lock, stop, kLook, [] { return false; });
    }
    return {};
  }

  bool policy_differs(Governance& governance) {
    const Result<PolicyPtr>& policy = governance.policy();
    const int64_t version = policy.ok() ? (*policy)->version : -1;
    const bool differs = version != policy_version_;
    policy_version_ = version;
    note_warning(governance);
    return differs;
  }

  /// A newer policy that is broken leaves the one before in force; the log says so, once.
  void note_warning(const Governance& governance) {
    if (governance.policy_warning() == noted_warning_) return;
    noted_warning_ = governance.policy_warning();
    if (noted_warning_.empty()) return;
    (void)governance.log().append_or_spool({.action = audit::Action::kFinding,
                                            .actor = audit::this_process(),
                                            .rule = "lantern.no-policy",
                                            .reason = noted_warning_});
  }

  Status decide(Governance& governance) {
    LANTERN_ASSIGN(const policy::Facts facts, governance.facts(model_, action_));
    const policy::Decision decision = governance.decide(facts);
    if (decision.allowed()) return {};
    audit::Event event{.action = audit::Action::kStop,
                       .decision = audit::Decision::kDeny,
                       .actor = audit::this_process(),
                       .model = Governance::model_ref(model_),
                       .rule = decision.rule,
                       .reason = decision.reason};
    (void)governance.log().append_or_spool(event);
    Status status = decision.status();
    return std::move(status).error().within(model_.name + ": withdrawn while it was running");
  }

  const Composition model_;
  const policy::Action action_;
  format::Standing standing_;
  int64_t policy_version_ = -1;
  std::string noted_warning_;
  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace

Result<std::shared_ptr<const format::Standing>> watched_standing(Composition model,
                                                                 policy::Action action) {
  auto watch = std::make_shared<Watch>(std::move(model), action);
  LANTERN_TRY(watch->start());
  return std::shared_ptr<const format::Standing>(watch, &watch->standing());
}

}  // namespace lantern::gate
