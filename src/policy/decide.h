// Decisions: a pure function from a policy and facts to allow or deny.
//
// Three values: a condition holds, does not hold, or is unknown because its fact is. A deny rule
// applies where it holds or is unknown, an allow rule where it holds. Any deny that applies wins;
// without an allow that applies the answer is deny. Rules have no order. So losing a fact, or
// adding a deny rule, never turns a deny into an allow.
//
// Sets (groups, signers, labels) are known whole or not at all. For a deny rule one label among
// the listed is enough; for an allow rule there must be labels and all must be listed. A single
// file's digest names, for a deny rule, every composition that contains it; for an allow rule,
// only the composition that is this one file. `unless` reads the other way round.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "policy/policy.h"

namespace lantern::policy {

/// Absent: not known.
template <typename T>
using Fact = std::optional<T>;

struct RevocationListFacts {
  int64_t version = 0;
  base::UtcTime issued = {};
  base::UtcTime expires = {};
  bool operator==(const RevocationListFacts&) const = default;
};

struct Facts {
  // The later of the wall clock and the newest log record (policy/clock.h); absent where the
  // clock cannot be trusted.
  Fact<base::UtcTime> now = {};
  std::string clock_fault = {};  // why `now` is absent; refusals say it

  // Subject. Empty where it is known that there is none.
  Fact<std::string> user = {};
  Fact<std::set<std::string>> groups = {};
  Fact<std::set<std::string>> keys = {};
  Fact<std::string> program = {};

  Fact<Action> action = {};
  Fact<bool> approval_in_script = {};  // for kApprove: nobody was asked at a terminal

  // Model. Licence, architecture and publisher are the file's own claims: a file that claims
  // nothing leaves them absent.
  Fact<base::Digest> model_id = {};
  Fact<std::set<base::Digest>> files = {};
  Fact<std::string> licence = {};
  Fact<std::string> architecture = {};
  Fact<std::string> publisher = {};
  Fact<std::set<std::string>> signers = {};  // verified now or at admission; see signer_of()
  Fact<ModelState> state = {};
  Fact<bool> in_catalog = {};
  Fact<bool> revoked = {};                      // by a list, itself or what it was made from
  Fact<std::set<std::string>> advisories = {};  // open ones, by id
  /// Of the worst open one; kNone where there is none. Who gathers facts counts an advisory whose
  /// severity nobody says as kCritical.
  Fact<Severity> advisory_severity = {};
  Fact<int> n_approvers = {};  // distinct, as count_approvers() counts them
  Fact<Tier> tier = {};
  Fact<std::string> in_place_path = {};  // absolute, links resolved; empty: the store's own copy
  Fact<RevocationListFacts> revocation_list = {};

  Fact<std::set<std::string>> labels = {};  // of the data that goes in

  // Budget used so far by this subject.
  Fact<int64_t> tokens_today = {};
  Fact<int64_t> requests_this_minute = {};
};

struct Decision {
  Effect effect = Effect::kDeny;
  std::string rule = {};        // its id; those of built-in ones begin with "lantern."
  std::string reason = {};      // one line
  std::string how_to_ask = {};  // one line, empty where it is allowed
  DataActions data_actions = {};
  Priority priority = Priority::kNormal;
  std::string prefix_group = {};  // whose members share cached prefixes; empty: the user alone
  bool is_final = false;          // break-glass does not lift it

  [[nodiscard]] bool allowed() const { return effect == Effect::kAllow; }
  /// kDenied: "denied by rule X: reason; how to ask". Done where it is allowed.
  [[nodiscard]] Status status() const;
  bool operator==(const Decision&) const = default;
};

enum class Truth { kNo, kUnknown, kYes };
std::string_view truth_name(Truth truth);  // "no", "unknown", "yes"

struct RuleTrace {
  std::string rule = {};
  Effect effect = Effect::kDeny;
  bool built_in = false;  // a requirement, or what holds under any policy
  Truth match = Truth::kNo;
  bool applies = false;
  std::string why = {};  // the condition that failed or is unknown, or that all hold
};

struct Explanation {
  Decision decision = {};
  std::vector<RuleTrace> rules = {};  // built-in ones first, then as the policy has them
};

Decision decide(const Policy& policy, const Facts& facts);
Explanation explain(const Policy& policy, const Facts& facts);

/// For a policy that may be missing or broken: its error is a denial by "lantern.no-policy".
Decision decide(const Result<Policy>& policy, const Facts& facts);
/// That denial.
Decision deny_without_policy(const Error& why);

/// A kDenied that names no rule yet, as Decision::status() words it; any other error as it is.
Error denied_by(Error error, std::string_view rule);
/// The same of a result.
template <typename T>
Result<T> denied_by(Result<T> result, std::string_view rule) {
  if (result.ok()) return result;
  return denied_by(std::move(result).error(), rule);
}

}  // namespace lantern::policy
