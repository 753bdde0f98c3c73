// Decisions on what others ask over a socket: the policy's word on a model with the caller's facts
// instead of this process's own person's.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "gate/caller.h"
#include "gate/governance.h"

namespace lantern::gate {

/// Who asked, for a record.
audit::Actor actor_of(const Caller& caller);
/// How the log calls the use of a model.
audit::Action audit_action(policy::Action action);

/// Safe for any number of threads.
class CallerDecisions {
 public:
  explicit CallerDecisions(Governance governance)
      : governance_(std::move(governance)), log_(governance_.log()) {}

  /// What the policy says of `action` on `model` by `caller`; a refusal is recorded before it is
  /// given. An allowance stands for at most a second, and not past a change of the state. Errors:
  /// what cannot be read or recorded.
  Result<policy::Decision> decide(const Composition& model, const Caller& caller,
                                  policy::Action action);
  /// The same where nothing is asked for yet (a list of what there is): no record.
  Result<bool> would_allow(const Composition& model, const Caller& caller, policy::Action action);

  /// Whether a budget holds for `caller`, the policy's or his key's.
  [[nodiscard]] bool has_budget(const Caller& caller);

  [[nodiscard]] const AuditLog& log() const { return log_; }

 private:
  struct Verdict {
    std::string key = {};
    policy::Decision decision = {};
    int64_t data_version = -1;
    std::chrono::steady_clock::time_point at = {};
  };
  Result<policy::Facts> facts_of(const Composition& model, const Caller& caller,
                                 policy::Action action);

  std::mutex mutex_;
  Governance governance_;          // under the mutex
  std::vector<Verdict> verdicts_;  // likewise
  const AuditLog log_;
};

}  // namespace lantern::gate
