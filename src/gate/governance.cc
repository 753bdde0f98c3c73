#include "gate/governance.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/paths.h"
#include "gate/advisories.h"
#include "gate/caller.h"
#include "policy/clock.h"
#include "policy/revocations.h"
#include "supply/signing/verify.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

/// The account that logged in, which sudo and su do not change; this process's where no login is
/// recorded.
std::string logged_in_person() {
  if (const auto text = base::read_text_file("/proc/self/loginuid", 64); text.ok()) {
    const auto uid = std::strtoul(text->c_str(), nullptr, 10);
    if (uid != 0 && uid < UINT32_MAX) return base::account_name(static_cast<uid_t>(uid));
  }
  return base::account_name(::geteuid());
}

policy::Fact<std::string> calling_program() {
  std::error_code code;
  const fs::path program = fs::read_symlink(fmt::format("/proc/{}/exe", ::getppid()), code);
  if (code) return {};
  return program.string();
}

/// What nobody rated counts as the worst.
policy::Severity severity_of(const supply::AdvisoryMatch& match) {
  switch (match.severity) {
    case supply::Severity::kNone:
      return policy::Severity::kNone;
    case supply::Severity::kLow:
      return policy::Severity::kLow;
    case supply::Severity::kMedium:
      return policy::Severity::kMedium;
    case supply::Severity::kHigh:
      return policy::Severity::kHigh;
    case supply::Severity::kCritical:
    case supply::Severity::kUnknown:
      break;
  }
  return policy::Severity::kCritical;
}

/// As ModelRef::signer has them; more than fit a record are left out.
std::string joined(const std::set<std::string>& signers) {
  constexpr size_t kBytesMax = 8000;
  std::string lines;
  for (const std::string& signer : signers)
    if (lines.size() + signer.size() < kBytesMax) lines += (lines.empty() ? "" : "\n") + signer;
  return lines;
}

template <typename T>
policy::Fact<T> claim(const T& text) {
  return text.empty() ? policy::Fact<T>() : policy::Fact<T>(text);
}

}  // namespace

Result<std::optional<supply::CatalogEntry>> catalog_entry(std::span<const base::Digest> files) {
  if (files.size() != 1) return std::optional<supply::CatalogEntry>();
  LANTERN_ASSIGN(std::vector<supply::CatalogEntry> entries, supply::read_catalog());
  for (supply::CatalogEntry& entry : entries)
    if (entry.digest == files.front()) return std::optional<supply::CatalogEntry>(std::move(entry));
  return std::optional<supply::CatalogEntry>();
}

Governance::Governance(bool managed, supply::State state, std::optional<AuditLog> log,
                       audit::KeyRing keys)
    : managed_(managed),
      state_(std::make_unique<supply::State>(std::move(state))),
      log_(std::move(log)),
      keys_(std::move(keys)),
      floor_(version_floor(*state_, kPolicyFloor, log_)),
      revocations_(
          std::make_unique<RevocationListInForce>(version_floor(*state_, kRevocationsFloor, log_))),
      person_(logged_in_person()) {
  if (managed_)
    watcher_ = std::make_unique<policy::PolicyWatcher>(
        policy::PolicySource{.folder = base::managed_folder(), .owner = 0}, *floor_);
}

Result<Governance> Governance::open() {
  const bool managed = base::machine_is_managed();
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  LANTERN_ASSIGN(supply::State state, supply::State::open(folders.data));
  LANTERN_ASSIGN(AuditLog log, open_log_for(state, managed));
  LANTERN_ASSIGN(audit::KeyRing keys, audit::KeyRing::of_user());
  return Governance(managed, std::move(state), std::move(log), std::move(keys));
}

Result<Governance> Governance::open_to_look() {
  auto whole = open();
  if (whole.ok()) return whole;
  const ErrorCode why = whole.error().code;
  if (why != ErrorCode::kIo && why != ErrorCode::kExhausted) return whole;
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  auto state = supply::State::open_read_only(folders.data);
  auto keys = audit::KeyRing::of_user();
  if (!state.ok() || !keys.ok()) return whole;
  return Governance(base::machine_is_managed(), std::move(*state), std::nullopt, std::move(*keys));
}

Result<base::UtcTime> Governance::now() const {
  return policy::denied_by(trusted_now(), policy::kClockRule);
}

Result<base::UtcTime> Governance::trusted_now() const {
  std::optional<base::UtcTime> newest;
  if (const int64_t ms = log_ ? log_->newest_time_ms() : 0; ms > 0)
    newest = base::UtcTime(std::chrono::seconds(ms / 1000));
  return policy::trusted_time(base::utc_clock(), newest);
}

Result<PolicyPtr> Governance::read_policy() {
  // The one that is compiled in outlives everybody.
  if (!managed_) return PolicyPtr(std::shared_ptr<void>(), &policy::personal_policy());
  auto current = watcher_->current(trusted_now());
  policy_warning_ = std::move(current.warning);
  if (!current.policy.ok()) return std::move(current.policy).error();
  const policy::Policy& policy = (*current.policy)->policy;
  return PolicyPtr(std::move(*current.policy), &policy);
}

const Result<PolicyPtr>& Governance::policy() {
  policy_.emplace(read_policy());
  return *policy_;
}

Result<PolicyPtr> Governance::policy_for(audit::Action action) {
  if (policy().ok()) return *policy_;
  const policy::Decision denied = policy::deny_without_policy(policy_->error());
  auto recorded = log().append({.action = action,
                                .decision = audit::Decision::kDeny,
                                .actor = audit::this_process(),
                                .rule = denied.rule,
                                .reason = denied.reason});
  if (!recorded.ok()) return std::move(recorded).error();
  return denied.status().error();
}

const Result<PolicyPtr>& Governance::snapshot() { return policy_ ? *policy_ : policy(); }

Result<policy::ApprovalTrust> Governance::approval_trust() {
  LANTERN_ASSIGN(const PolicyPtr policy, snapshot());
  LANTERN_ASSIGN(std::vector<base::PublicKey> own, keys_.public_keys(audit::KeyPurpose::kLog));
  return policy::approval_trust(*policy, std::move(own));
}

/// By the state's records or by the signed list, either of which is enough. Where the list that was
/// in force cannot be read, whether the model is revoked is not known.
Status Governance::set_revocation(const Composition& model, policy::Facts& facts) {
  LANTERN_ASSIGN(const auto recorded, state_->revocation_of(model.id, model.files));
  if (recorded) facts.revoked = true;
  const Result<PolicyPtr>& policy = snapshot();
  if (!policy.ok()) return {};  // decide() denies
  const auto list = revocations_->current(**policy);
  if (!list.ok()) return {};
  if (!facts.revoked) facts.revoked = false;
  if (!*list) return {};
  facts.revocation_list = (*list)->facts();
  if (*facts.revoked) return {};
  LANTERN_ASSIGN(const std::vector<base::Digest> lineage,
                 state_->lineage_of(model.id, model.files));
  facts.revoked = (*list)->find_any(model.id, lineage) != nullptr;
  return {};
}

Result<supply::TrustedSigners> Governance::trusted_signers() {
  LANTERN_ASSIGN(const PolicyPtr policy, snapshot());
  supply::TrustedSigners trusted{.keys = policy->keys_for(policy::KeyUse::kModels)};
  if (!managed_) return trusted;
  LANTERN_ASSIGN(const policy::TrustRoots roots,
                 policy::load_trust_roots(base::managed_folder(), 0));
  for (const std::string& pem : roots.certificates) {
    LANTERN_ASSIGN(const auto certificates, supply::Certificate::from_pem(pem, "trust root"));
    trusted.roots.insert(trusted.roots.end(), certificates.begin(), certificates.end());
  }
  return trusted;
}

/// Those whose keys or roots are trusted for it.
Result<std::set<std::string>> Governance::signers_of(const base::Digest& id) {
  std::set<std::string> signers;
  LANTERN_ASSIGN(const auto signatures, state_->signatures_of(id));
  const Result<PolicyPtr>& policy = snapshot();
  if (signatures.empty() || !policy.ok()) return signers;
  LANTERN_ASSIGN(const supply::TrustedSigners trusted, trusted_signers());
  if (trusted.empty()) return signers;
  for (const supply::SignatureRecord& signature : signatures) {
    LANTERN_ASSIGN(const supply::SignatureBundle bundle,
                   supply::parse_bundle(signature.bundle, "signature"));
    // Judged when it was kept, unless the policy asks for it at each load.
    const auto at = (*policy)->signatures.recheck_certificates ? std::chrono::system_clock::now()
                                                               : supply::TimePoint(signature.at);
    LANTERN_ASSIGN(const supply::Verification verification,
                   supply::verify_signature(bundle, trusted, at, "signature"));
    if (verification.verified() && verification.signer)
      signers.insert(verification.signer->identity());
  }
  return signers;
}

Status Governance::count_approvals(const Composition& model, policy::Facts& facts) {
  const Result<PolicyPtr>& policy = snapshot();
  if (!policy.ok() || !facts.now) return {};  // decide() denies
  LANTERN_ASSIGN(const policy::ApprovalTrust trust, approval_trust());
  LANTERN_ASSIGN(const auto records, state_->approvals_of(model.id));
  std::vector<policy::Approval> approvals;
  for (const supply::ApprovalRecord& record : records) {
    // One that no longer verifies (its key was taken out of the policy) counts for nothing.
    auto approval = policy::verify_approval(record.statement, "approval", trust);
    if (approval.ok() && approval->model_id == model.id) approvals.push_back(std::move(*approval));
  }
  LANTERN_ASSIGN(const auto import, state_->import_of(model.id));
  LANTERN_ASSIGN(const auto corrections, state_->clock_corrections());
  const auto approvers =
      policy::count_approvers(approvals,
                              {.model_id = model.id,
                               .action = facts.action,
                               .user = facts.user,
                               .groups = facts.groups,
                               .now = *facts.now,
                               .clock_corrections = corrections.count,
                               .clock_ahead_until = corrections.ahead_until,
                               .importer = import ? std::optional(import->by) : std::nullopt},
                              (*policy)->approvals);
  facts.n_approvers = static_cast<int>(approvers.size());
  return {};
}

Result<policy::Facts> Governance::facts(const Composition& model, policy::Action action) {
  (void)policy();
  policy::Facts facts;
  if (auto time = trusted_now(); time.ok())
    facts.now = *time;
  else
    facts.clock_fault = time.error().message;
  facts.user = person_;
  facts.groups = groups_of(person_);
  facts.keys.emplace();
  facts.program = calling_program();
  facts.action = action;

  facts.model_id = model.id;
  facts.files.emplace(model.files.begin(), model.files.end());
  facts.licence = claim(model.licence);
  facts.architecture = claim(model.architecture);
  facts.publisher = claim(model.publisher);
  facts.in_catalog = model.in_catalog;
  facts.tier = model.tier;
  facts.in_place_path = model.in_place.string();
  LANTERN_ASSIGN(facts.signers, signers_of(model.id));
  facts.labels.emplace();

  LANTERN_TRY(set_revocation(model, facts));
  LANTERN_TRY(count_approvals(model, facts));
  LANTERN_ASSIGN(const auto scan, state_->scan_of(model.id));
  facts.state = facts.revoked.value_or(false)       ? policy::ModelState::kRevoked
                : facts.n_approvers.value_or(0) > 0 ? policy::ModelState::kApproved
                : scan                              ? policy::ModelState::kScanned
                                                    : policy::ModelState::kQuarantined;
  LANTERN_ASSIGN(const bool gone, advisories_are_gone(*state_));
  if (gone) return facts;  // whatever they said
  LANTERN_ASSIGN(const auto matches,
                 match_advisories(model.id, model.files, model.source, model.revision));
  facts.advisories.emplace();
  facts.advisory_severity = policy::Severity::kNone;
  for (const supply::AdvisoryMatch& match : matches) {
    // One that may affect it counts as one that does: a doubt is no clearance.
    if (match.standing == supply::Standing::kNotAffected) continue;
    facts.advisories->insert(match.id);
    facts.advisory_severity = std::max(*facts.advisory_severity, severity_of(match));
  }
  return facts;
}

policy::Decision Governance::decide(const policy::Facts& facts) {
  const Result<PolicyPtr>& in_force = snapshot();
  if (!in_force.ok()) return policy::decide(Result<policy::Policy>(in_force.error()), facts);
  const policy::Policy& policy = **in_force;
  policy::Decision decision = policy::decide(policy, facts);
  if (decision.allowed() || !facts.now) return decision;
  const auto folders = base::own_folders();
  if (!folders.ok()) return decision;
  const fs::path path = folders->state / kBreakGlassFile;
  const auto envelope = base::read_text_file(path, policy::kBreakGlassBytesMax);
  if (!envelope.ok()) return decision;
  const auto own = keys_.public_keys(audit::KeyPurpose::kLog);
  if (!own.ok()) return decision;
  const auto statement =
      policy::verify_break_glass(*envelope, path.string(), policy, *own, *facts.now);
  if (!statement.ok()) return decision;
  return policy::lift(std::move(decision), *statement, facts);
}

audit::ModelRef Governance::model_ref(const Composition& model, std::string_view state) {
  return {.id = base::to_hex(model.id), .name = model.name, .state = std::string(state)};
}

Status Governance::record(audit::Action action, const policy::Decision& decision,
                          const Composition& model, std::string_view reason,
                          std::vector<audit::Fact> more) {
  audit::Event event{
      .action = action,
      .decision = decision.allowed() ? audit::Decision::kAllow : audit::Decision::kDeny,
      .actor = audit::this_process(),
      .model = model_ref(model),
      .rule = decision.rule,
      .reason = reason.empty() ? decision.reason : std::string(reason),
      .facts = std::move(more)};
  if (const auto signers = signers_of(model.id); signers.ok())
    event.model->signer = joined(*signers);
  if (model.tier)
    event.facts.push_back({.name = "tier", .value = std::string(policy::tier_name(*model.tier))});
  if (!log_) return make_error(ErrorCode::kIo, "the audit log is not open for writing");
  LANTERN_ASSIGN(const uint64_t index, log_->append(event));
  (void)index;
  return {};
}

}  // namespace lantern::gate
