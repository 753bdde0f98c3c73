// What the policy has done about models in foreign processes: [sensor] (docs/policy.md).
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace lantern::policy {

/// Weakest first.
enum class SensorResponse {
  kObserve,  // it is told as everything is
  kNotify,   // told as grave, in an event of its own
  kStop,     // the process is asked to end, then made to
};
std::string_view sensor_response_name(SensorResponse response);  // "observe", ...

struct SensorResponses {
  bool enforce = false;  // else what would be done is counted and told
  SensorResponse revoked = SensorResponse::kObserve, unknown = SensorResponse::kObserve,
                 known = SensorResponse::kObserve;
  std::vector<std::string> except_users = {}, except_groups = {};
  std::vector<std::string> except_programs = {};  // absolute paths
  int dry_run_hours = 24;                         // of watching before anything is enforced
  int grace_s = 10;                               // between asking and making

  /// Of what it would do to whom: equal for a dry run and its enforcement.
  [[nodiscard]] base::Digest digest() const;
};

/// A foreign process as responses see it.
struct ForeignModel {
  std::string verdict = {};  // the worst of its models': "revoked", "unknown", "known", "approved"
  bool has_weights = false;  // files of weights were seen in it, not merely inferred
  bool is_alert = false;     // by two independent classes of evidence
  bool is_own = false;       // Lantern itself, which has its own gate
  std::string user = {};
  std::set<std::string> groups = {};
  std::string program = {};
};

/// What is to be done. Never stops what is no alert or has no weights that were seen: that is
/// notified instead.
SensorResponse respond(const SensorResponses& policy, const ForeignModel& model);

}  // namespace lantern::policy
