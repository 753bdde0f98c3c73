// Retention of the audit log, as far as the policy lets it go.
#include "gate/audit.h"
#include "gate/governance.h"
#include "gate/log_facts.h"

namespace lantern::gate {
namespace {

constexpr std::string_view kRetentionRule = "lantern.audit-retention";

/// Why the policy does not let entries older than `keep` go; empty: it does.
std::string denial(const policy::Policy& policy, std::chrono::seconds keep) {
  if (!policy.audit.keep_days_min)
    return "the policy lets no entry of the audit log go ([audit] keep_days_min)";
  const int days = *policy.audit.keep_days_min;
  if (keep >= std::chrono::hours(24) * days) return {};
  return fmt::format("the policy keeps entries of the audit log for {} days", days);
}

}  // namespace

Result<audit::DropPlan> prune_audit_log(const PruneRequest& request) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(const PolicyPtr policy, governance.policy_for(audit::Action::kLogPrune));
  LANTERN_ASSIGN(const base::UtcTime now, governance.now());
  if (const std::string why = denial(*policy, request.keep); !why.empty()) {
    const auto recorded = governance.log().append({.action = audit::Action::kLogPrune,
                                                   .decision = audit::Decision::kDeny,
                                                   .actor = audit::this_process(),
                                                   .rule = std::string(kRetentionRule),
                                                   .reason = why});
    if (!recorded.ok()) return recorded.error();
    return make_error(ErrorCode::kDenied, "denied by rule {}: {}; {}", kRetentionRule, why,
                      policy->ask.empty() ? "ask whoever keeps the policy" : policy->ask);
  }
  LANTERN_ASSIGN(const AuditPlaces places, audit_places());
  LANTERN_ASSIGN(audit::LogView view, audit::LogView::open(places.log));
  const base::UtcTime cutoff = now - request.keep;
  LANTERN_ASSIGN(audit::DropPlan plan,
                 audit::plan_drop(view, int64_t{1000} * cutoff.time_since_epoch().count()));
  if (request.dry_run) return plan;
  if (!plan.empty()) LANTERN_TRY(restate(governance.state(), governance.log()));
  LANTERN_ASSIGN(plan.first_kept,
                 audit::drop_before(governance.log().log(), places.log,
                                    {.first_kept = plan.first_kept,
                                     .actor = audit::this_process(),
                                     .reason = "entries before " + base::format_utc(cutoff)}));
  return plan;
}

}  // namespace lantern::gate
