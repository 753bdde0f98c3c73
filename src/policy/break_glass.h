// Break-glass: a named person lifts denials for a few hours, with a reason. A DSSE envelope over
//
//   {"person": "alice", "reason": "...", "issued": "...", "expires": "...",
//    "models": ["<composition id>"], "actions": ["load"]}
//
// `models` and `actions` may be missing (all). What is revoked stays revoked, and rules that the
// policy calls final stay.
#pragma once

#include <chrono>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/keys.h"
#include "base/result.h"
#include "base/time.h"
#include "policy/decide.h"

namespace lantern::policy {

inline constexpr std::string_view kBreakGlassPayloadType =
    "application/vnd.lantern.break-glass.v1+json";
inline constexpr size_t kBreakGlassBytesMax = 64u << 10;
/// Of a decision that a statement turned.
inline constexpr std::string_view kBreakGlassRule = "lantern.break-glass";
/// No policy can allow more.
inline constexpr std::chrono::hours kBreakGlassHoursMax{12};

struct BreakGlass {
  std::string person = {};
  std::string reason = {};
  base::UtcTime issued = {};
  base::UtcTime expires = {};
  std::set<base::Digest> models = {};  // empty: any
  std::set<Action> actions = {};       // empty: any
  bool operator==(const BreakGlass&) const = default;
};

/// kInvalidArgument for a statement that verify_break_glass() would not read.
Result<std::string> sign_break_glass(const BreakGlass& statement, const base::PrivateKey& key);

/// Signed by `service_keys` (for any person that was logged in) or by a key that the policy has
/// for it and that belongs to the person; the person is one whom the policy names, now is within
/// its time, and it lasts no longer than the policy's hours. kDenied, kCorrupt.
Result<BreakGlass> verify_break_glass(std::string_view envelope, std::string_view what,
                                      const Policy& policy,
                                      std::span<const base::PublicKey> service_keys,
                                      base::UtcTime now);

/// An allowance by rule "lantern.break-glass" in place of a denial that is not final, where the
/// statement covers the facts' user, model, action and time; else the decision as it is. Data-loss
/// actions stay. Approvals are never lifted: they would outlast it.
Decision lift(Decision decision, const BreakGlass& statement, const Facts& facts);

}  // namespace lantern::policy
