// Approvals: signed statements that a model may be used, by whom, for what and until when. An
// in-toto statement (v1) in a DSSE envelope:
//
//   {"_type": "https://in-toto.io/Statement/v1",
//    "subject": [{"name": "smollm2", "digest": {"sha256": "<composition id>"}}],
//    "predicateType": "urn:lantern:approval:v1",
//    "predicate": {"approver": "alice", "reason": "...", "issued": "...", "expires": "...",
//                  "actions": ["load"], "users": ["bob"], "groups": ["ml"],
//                  "clock_corrections": 1}}
//
// `expires` may be missing (no end); `actions`, `users` and `groups` may be missing (all);
// `clock_corrections` says how often the clock had been corrected when it was given (0).
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/keys.h"
#include "base/result.h"
#include "base/time.h"
#include "policy/policy.h"

namespace lantern::policy {

inline constexpr std::string_view kStatementPayloadType = "application/vnd.in-toto+json";
inline constexpr std::string_view kApprovalPredicateType = "urn:lantern:approval:v1";
inline constexpr size_t kApprovalBytesMax = 256u << 10;  // of the envelope

struct Approval {
  base::Digest model_id = {};
  std::string model_name = {};  // for people; not trusted
  std::string approver = {};    // a person: the user who was logged in, or the key's owner
  std::string reason = {};
  base::UtcTime issued = {};
  std::optional<base::UtcTime> expires = {};
  std::set<Action> actions = {};      // empty: every action that uses the model
  std::set<std::string> users = {};   // both empty: everyone; else a listed user,
  std::set<std::string> groups = {};  // or a member of a listed group
  int64_t clock_corrections = 0;
  std::string key_id = {};  // of the key that signed, in hexadecimal; set by verify

  bool operator==(const Approval&) const = default;
};

/// The envelope. kInvalidArgument for an approval that verify_approval() would not read.
Result<std::string> sign_approval(const Approval& approval, const base::PrivateKey& key);

/// Who may say what: the service's own key vouches for any user that was logged in (the peer
/// credential of its socket); another key speaks for its owner alone.
struct ApprovalTrust {
  std::vector<base::PublicKey> service_keys = {};
  std::vector<NamedKey> approver_keys = {};  // those of the policy with KeyUse::kApprovals
};
ApprovalTrust approval_trust(const Policy& policy, std::vector<base::PublicKey> service_keys);

/// kDenied where no trusted key signed it, or a key speaks for somebody else; kCorrupt.
Result<Approval> verify_approval(std::string_view envelope, std::string_view what,
                                 const ApprovalTrust& trust);

struct ApprovalQuestion {
  base::Digest model_id = {};
  std::optional<Action> action = {};     // unknown: only approvals of every action count
  std::optional<std::string> user = {};  // unknown: as for the action
  std::optional<std::set<std::string>> groups = {};
  base::UtcTime now = {};
  /// How often the clock was corrected, and how far ahead it had been: an approval from before
  /// must hold at that time too, so that one that had ended stays ended.
  int64_t clock_corrections = 0;
  base::UtcTime clock_ahead_until = {};
  std::optional<std::string> importer = {};  // unknown: nobody's approval counts where the policy
                                             // forbids the importer's
};
/// The distinct people whose approvals answer the question under `requirements`.
std::set<std::string> count_approvers(std::span<const Approval> approvals,
                                      const ApprovalQuestion& question,
                                      const ApprovalRequirements& requirements);

}  // namespace lantern::policy
