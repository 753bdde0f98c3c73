// What a client of the service may do to the store: have a model pulled, have one removed. Both are
// for the service's own account and root alone (rule "lantern.owner"): what a model is, and whether
// it is there, concerns everybody who is served.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "base/result.h"
#include "gate/caller.h"
#include "gate/pull.h"

namespace lantern::gate {

/// kDenied for any other account, where the account is not known, and for a key of another user or
/// for some models; recorded as a refusal of `action`. `what`: the model, for the record.
Status allow_owner(const Caller& caller, audit::Action action, std::string_view what);

/// Removes a name, and with its last one the model, recorded. Errors: allow_owner()'s,
/// remove_stored()'s.
Status remove_model(std::string_view name, const Caller& caller);

/// Pulls under way, each on a thread of its own.
class ModelPulls {
 public:
  ModelPulls() = default;
  /// Stops them all and waits.
  ~ModelPulls();
  ModelPulls(const ModelPulls&) = delete;
  ModelPulls& operator=(const ModelPulls&) = delete;

  struct Follower {
    /// Lines for a person, now and then; from the pull's thread.
    std::function<void(std::string_view line)> on_line = {};
    /// Once, last. A model that is not approved is kDenied, with the rule: it is in the store, in
    /// quarantine.
    std::function<void(Result<PulledModel>)> on_done = {};
  };
  /// Begins to pull `name`: of the catalog, "hf:ORG/REPO...", "hf.co/ORG/REPO[:FILE]" or
  /// "pypi:...". Files and addresses are nothing that a client may have this machine read. `gone`
  /// ends it. Errors, without on_done: allow_owner()'s, kInvalidArgument, kExhausted where enough
  /// are under way. on_done sees pull_model()'s.
  Status start(std::string_view name, const Caller& caller, const std::stop_token& gone,
               Follower follower);

 private:
  struct Pull {
    std::stop_source stop;
    std::unique_ptr<std::stop_callback<std::function<void()>>> gone;
    bool done = false;  // under the mutex
    std::jthread thread;
  };
  std::mutex mutex_;
  std::list<Pull> pulls_;  // under the mutex
};

}  // namespace lantern::gate
