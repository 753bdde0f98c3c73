// The audit log as a second keeper of what the state must not forget: local revocations,
// corrections of the clock, the highest versions of policies and of revocation lists that were
// ever in force, and that advisories were imported. They are recorded
// as fields of entries, and a state that is older than the log (an old copy was put back, it was
// deleted, a process died between the two) gets them back before anything is decided.
//
// The state remembers how far into the log it has read and the log's root there. A log that does
// not reach so far, or does so by other entries, was cut, replaced or replayed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audit/event.h"
#include "base/result.h"
#include "gate/audit.h"
#include "policy/version_floor.h"
#include "supply/state.h"

namespace lantern::gate {

/// Under which the state keeps its floors.
inline constexpr const char* kPolicyFloor = "policy";
inline constexpr const char* kRevocationsFloor = "revocations";
/// How many imports of advisories there were, and the digest of the last one's input.
inline constexpr const char* kAdvisoriesFloor = "advisories";

/// The source of a revocation that was decided on this machine.
inline constexpr const char* kLocalRevocation = "local";

/// The fields of a kPolicyChange, kRevocationsImport or kAdvisoriesImport entry.
std::vector<audit::Fact> version_facts(const policy::VersionSeen& seen);

/// The fields of a kClockCorrected entry.
std::vector<audit::Fact> clock_facts(const supply::State::ClockCorrections& corrections);

/// The log, held against what the state remembers of it: on a managed machine kDenied where they
/// differ (lantern.audit-log), elsewhere that is recorded in the log. Then brings the state up to
/// the log. Idempotent; reads only what the state has not seen.
Result<AuditLog> open_log_for(supply::State& state, bool managed);

/// Records anew, at the log's end, all that the state must not forget: before retention drops the
/// entries that say so.
Status restate(supply::State& state, const AuditLog& log);

/// A floor of versions in the state. With a log, a higher version enters it before the state.
std::unique_ptr<policy::VersionFloor> version_floor(supply::State& state, std::string what,
                                                    std::optional<AuditLog> log = {});

}  // namespace lantern::gate
