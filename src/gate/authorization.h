// From facts to a yes or a no about a model: asks the policy, asks the person where one approval
// is all that is missing, and records what came of it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "gate/governance.h"
#include "supply/scan/report.h"

namespace lantern::gate {

/// What a person needs to know to approve a model.
struct ApprovalQuestion {
  Composition model = {};
  supply::scan::Report report = {};
};

/// How an approval may be given on the way. With neither, a model that lacks one is refused.
struct Consent {
  /// --approve: the reason, given beforehand; the policy says whether that will do.
  std::string reason = {};
  /// Asks at the terminal: the reason, or nothing for a no.
  std::function<Result<std::optional<std::string>>(const ApprovalQuestion&)> ask = {};
};

/// The policy's word on `action`. Where only an approval is missing the model is scanned first
/// (once; the result is kept), and `consent` may give it: never for one that the scan calls
/// malicious, nor silently for one that it could not read to its end. Errors: what cannot be read
/// or recorded, and an approval that the policy does not let this person give.
Result<policy::Decision> seek(Governance& governance, const Composition& model,
                              policy::Action action, const Consent& consent);

/// As what the log has a use of a model's weights.
audit::Action audit_action_of(policy::Action use);

/// seek(), recorded: an allowance. Errors: kDenied, naming the rule and how to ask; what cannot be
/// read or recorded.
Result<policy::Decision> authorize(Governance& governance, const Composition& model,
                                   policy::Action action, const Consent& consent);

/// The scan of a composition: the recorded one, or a new one that is recorded.
Result<supply::scan::Report> scanned(Governance& governance, const Composition& model);

/// How long an approval lasts, and for whom.
struct ApprovalTerms {
  std::string reason = {};
  std::optional<base::UtcTime> expires = {};
  std::set<std::string> users = {}, groups = {};
  /// Signs in its owner's name; absent: this machine's own key, for the person logged in.
  std::optional<base::PrivateKey> key = {};
  bool in_script = false;  // nobody was asked at a terminal
  /// Whoever approves was told that the scan could not read all of the model, and approves it all
  /// the same. Without it that is a no, as at a load.
  bool accepts_inconclusive = false;
};
/// Whether the scan read the model to its end: what it did not read is not approved silently.
bool scan_is_conclusive(const supply::scan::Report& report);

/// Signs and records an approval, if the policy lets this person approve and the scan (made where
/// there was none) lets anybody: the one rule for every way to approve. Errors: kDenied (also for
/// what is revoked), kInvalidArgument terms.
Result<policy::Approval> approve(Governance& governance, const Composition& model,
                                 const ApprovalTerms& terms);

}  // namespace lantern::gate
