#include "gate/authorization.h"

#include "base/printable.h"
#include "gate/scan.h"
#include "policy/clock.h"

namespace lantern::gate {
namespace {

using supply::scan::Report;
using supply::scan::Verdict;

/// Whether `decision` is a denial that one more approval by this person would turn.
bool approval_would_do(Governance& governance, const policy::Decision& decision,
                       policy::Facts facts) {
  if (decision.allowed() || facts.revoked.value_or(true)) return false;
  facts.n_approvers = facts.n_approvers.value_or(0) + 1;
  facts.state = policy::ModelState::kApproved;
  return governance.decide(facts).allowed();
}

policy::Decision denied_by_scan(const Report& report) {
  const bool malicious = report.verdict() == Verdict::kMalicious;
  std::string first;
  for (const auto& finding : report.findings)
    if (finding.verdict == report.verdict()) {
      first = finding.message;
      break;
    }
  return {.effect = policy::Effect::kDeny,
          .rule = malicious ? "lantern.scan-malicious" : "lantern.scan-inconclusive",
          .reason = fmt::format("the scan says {}: {}",
                                supply::scan::verdict_name(report.verdict()), first),
          .how_to_ask = malicious
                            ? "see `lantern scan-model`"
                            : "see `lantern scan-model`; whoever answers for it nevertheless says "
                              "`lantern approve MODEL --reason WHY --accept-inconclusive`",
          .is_final = malicious};
}

/// A key speaks for its owner, whoever is logged in.
std::string approver_of(const Governance& governance, const ApprovalTerms& terms,
                        const policy::ApprovalTrust& trust) {
  if (terms.key)
    for (const policy::NamedKey& named : trust.approver_keys)
      if (named.key.id() == terms.key->public_key().id()) return named.user;
  return governance.person();
}

/// Not where the policy wants a second person and `approver` brought the model here.
Result<bool> may_count(Governance& governance, const Composition& model,
                       const std::string& approver) {
  const Result<PolicyPtr>& policy = governance.policy();
  if (!policy.ok()) return policy.error();
  if ((*policy)->approvals.importer_may_approve) return true;
  LANTERN_ASSIGN(const auto import, governance.state().import_of(model.id));
  return !import || import->by != approver;
}

policy::Decision denied_to_importer(std::string_view approver) {
  return {.effect = policy::Effect::kDeny,
          .rule = "lantern.approvers",
          .reason = fmt::format("{} brought this model here, and the policy wants the approval of "
                                "somebody else",
                                approver),
          .how_to_ask = "ask another approver"};
}

/// `why` names its rule; in the log before it is given.
Error refuse_approval(Governance& governance, const Composition& model, std::string_view rule,
                      Error why) {
  const Status recorded = governance.record(
      audit::Action::kApprove, {.rule = std::string(rule), .reason = why.message}, model);
  return recorded.ok() ? why : recorded.error();
}

constexpr size_t kSourceBytesMax = 4096;  // a path

/// Who first brings a model to the gate that lies outside the store is its importer, as whoever
/// pulls is of one inside.
Status note_importer(Governance& governance, const Composition& model) {
  if (model.in_place.empty()) return {};
  LANTERN_ASSIGN(const auto before, governance.state().import_of(model.id));
  if (before) return {};
  const std::string source = base::printable(model.source, kSourceBytesMax);
  audit::Event event{.action = audit::Action::kImport,
                     .actor = audit::this_process(),
                     .model = Governance::model_ref(model),
                     .reason = source};
  if (auto recorded = governance.log().append(event); !recorded.ok())
    return std::move(recorded).error();
  return governance.state().record_import({.id = model.id,
                                           .files = model.files,
                                           .by = governance.person(),
                                           .source = source,
                                           .in_place = true,
                                           .at = base::utc_clock()});
}

}  // namespace

Result<Report> scanned(Governance& governance, const Composition& model) {
  LANTERN_ASSIGN(const auto before, governance.state().scan_of(model.id));
  // What could not be read may be readable now: the machine may have been short of something.
  if (before && before->verdict != supply::scan::verdict_name(Verdict::kInconclusive))
    if (auto report = supply::scan::report_from_json(before->report); report.ok()) return report;
  LANTERN_ASSIGN(Report report, scan_composition(model));
  const std::string verdict(supply::scan::verdict_name(report.verdict()));
  LANTERN_TRY(
      governance.state().record_scan({.id = model.id,
                                      .verdict = verdict,
                                      .report = supply::scan::report_to_json(report).dump(
                                          -1, ' ', false, base::Json::error_handler_t::replace),
                                      .at = base::utc_clock()}));
  audit::Event event{.action = audit::Action::kScan,
                     .actor = audit::this_process(),
                     .model = Governance::model_ref(model),
                     .reason = verdict};
  event.facts.push_back(
      {.name = "findings", .value = static_cast<int64_t>(report.findings.size())});
  if (auto recorded = governance.log().append(event); !recorded.ok())
    return std::move(recorded).error();
  return report;
}

bool scan_is_conclusive(const Report& report) {
  return report.verdict() == Verdict::kClean || report.verdict() == Verdict::kWarn;
}

Result<policy::Approval> approve(Governance& governance, const Composition& model,
                                 const ApprovalTerms& terms) {
  LANTERN_TRY(note_importer(governance, model));
  const auto now = governance.now();
  if (!now.ok()) return refuse_approval(governance, model, policy::kClockRule, now.error());
  LANTERN_ASSIGN(const Report report, scanned(governance, model));
  LANTERN_ASSIGN(policy::Facts facts, governance.facts(model, policy::Action::kApprove));
  facts.approval_in_script = terms.in_script;
  policy::Decision decision = governance.decide(facts);
  const bool unread = !scan_is_conclusive(report) && !terms.accepts_inconclusive;
  if (decision.allowed() && (report.verdict() == Verdict::kMalicious || unread))
    decision = denied_by_scan(report);
  policy::ApprovalTrust trust;
  std::string approver;
  if (decision.allowed()) {
    LANTERN_ASSIGN(trust, governance.approval_trust());
    approver = approver_of(governance, terms, trust);
    LANTERN_ASSIGN(const bool counts, may_count(governance, model, approver));
    if (!counts) decision = denied_to_importer(approver);
  }
  const auto record = [&] {
    return governance.record(
        audit::Action::kApprove, decision, model, terms.reason,
        {{.name = "scan", .value = std::string(supply::scan::verdict_name(report.verdict()))}});
  };
  if (!decision.allowed()) {
    LANTERN_TRY(record());
    return decision.status().error();
  }

  LANTERN_ASSIGN(const auto corrections, governance.state().clock_corrections());
  policy::Approval approval{.model_id = model.id,
                            .model_name = model.name,
                            .approver = approver,
                            .reason = terms.reason,
                            .issued = *now,
                            .expires = terms.expires,
                            .users = terms.users,
                            .groups = terms.groups,
                            .clock_corrections = corrections.count};
  std::optional<base::PrivateKey> key = terms.key;
  if (!key) {
    LANTERN_ASSIGN(key, governance.keys().signing_key(audit::KeyPurpose::kLog));
  }
  LANTERN_ASSIGN(const std::string statement, policy::sign_approval(approval, *key));
  constexpr std::string_view kKeyRule = "lantern.approval-key";
  auto verified =
      policy::denied_by(policy::verify_approval(statement, "approval", trust), kKeyRule);
  if (!verified.ok()) {
    Error why = std::move(verified).error();
    if (why.code != ErrorCode::kDenied) return why;
    return refuse_approval(governance, model, kKeyRule, std::move(why));
  }
  approval = *std::move(verified);
  LANTERN_TRY(record());
  std::string scope;
  for (const std::string& user : terms.users)
    scope += (scope.empty() ? "" : ",") + ("user:" + user);
  for (const std::string& group : terms.groups)
    scope += (scope.empty() ? "" : ",") + ("group:" + group);
  LANTERN_TRY(governance.state().approve({.id = model.id,
                                          .approver = approval.approver,
                                          .reason = approval.reason,
                                          .scope = std::move(scope),
                                          .at = *now,
                                          .expires = approval.expires,
                                          .statement = statement}));
  return approval;
}

Result<policy::Decision> seek(Governance& governance, const Composition& model,
                              policy::Action action, const Consent& consent) {
  LANTERN_TRY(note_importer(governance, model));
  LANTERN_ASSIGN(policy::Facts facts, governance.facts(model, action));
  policy::Decision decision = governance.decide(facts);
  if (decision.allowed() && decision.rule == policy::kBreakGlassRule) {
    LANTERN_ASSIGN(const Report report, scanned(governance, model));
    if (report.verdict() == Verdict::kMalicious) return denied_by_scan(report);
    return decision;
  }
  if (!approval_would_do(governance, decision, facts) || (consent.reason.empty() && !consent.ask))
    return decision;
  LANTERN_ASSIGN(const Report report, scanned(governance, model));
  if (report.verdict() == Verdict::kMalicious || (!scan_is_conclusive(report) && !consent.ask))
    return denied_by_scan(report);
  std::optional<std::string> reason = consent.reason;
  if (reason->empty()) {
    LANTERN_ASSIGN(reason, consent.ask({.model = model, .report = report}));
  }
  if (!reason) return decision;
  LANTERN_ASSIGN(const policy::Approval approval,
                 approve(governance, model,
                         {.reason = *reason,
                          .in_script = !consent.reason.empty(),
                          // Who is asked at the terminal reads the scan's word first.
                          .accepts_inconclusive = consent.reason.empty()}));
  LANTERN_ASSIGN(facts, governance.facts(model, action));
  return governance.decide(facts);
}

audit::Action audit_action_of(policy::Action use) {
  return use == policy::Action::kConvert ? audit::Action::kConvert : audit::Action::kLoad;
}

Result<policy::Decision> authorize(Governance& governance, const Composition& model,
                                   policy::Action action, const Consent& consent) {
  LANTERN_ASSIGN(const policy::Decision decision, seek(governance, model, action, consent));
  LANTERN_TRY(governance.record(audit_action_of(action), decision, model));
  LANTERN_TRY(decision.status());
  return decision;
}

}  // namespace lantern::gate
