#include "policy/approvals.h"

#include <algorithm>

#include "base/dsse.h"
#include "policy/clock.h"
#include "policy/json_fields.h"
#include "policy/words.h"

namespace lantern::policy {
namespace {

constexpr std::string_view kStatementType = "https://in-toto.io/Statement/v1";
constexpr size_t kNamesMax = 1000;
constexpr int64_t kClockCorrectionsMax = 1'000'000'000;

std::string statement_of(const Approval& approval) {
  base::OrderedJson predicate = {{"approver", approval.approver},
                                 {"reason", approval.reason},
                                 {"issued", base::format_utc(approval.issued)}};
  if (approval.expires) predicate["expires"] = base::format_utc(*approval.expires);
  for (const Action action : approval.actions) predicate["actions"].push_back(action_name(action));
  if (!approval.users.empty()) predicate["users"] = approval.users;
  if (!approval.groups.empty()) predicate["groups"] = approval.groups;
  if (approval.clock_corrections != 0) predicate["clock_corrections"] = approval.clock_corrections;
  const base::OrderedJson subject = {{"name", approval.model_name},
                                     {"digest", {{"sha256", base::to_hex(approval.model_id)}}}};
  const base::OrderedJson statement = {{"_type", kStatementType},
                                       {"subject", base::OrderedJson::array({subject})},
                                       {"predicateType", kApprovalPredicateType},
                                       {"predicate", std::move(predicate)}};
  return statement.dump();
}

void read_subject(const base::Json& list, std::string_view what, Approval& approval,
                  std::optional<Error>& fault) {
  if (list.size() != 1) {
    if (!fault)
      fault = make_error(ErrorCode::kCorrupt, "{}: \"subject\": exactly one is needed", what);
    return;
  }
  JsonFields subject(list[0], fmt::format("{}: subject", what), fault);
  approval.model_name = subject.line("name", kNameBytesMax);
  JsonFields digest(subject.member("digest"), fmt::format("{}: subject: digest", what), fault);
  approval.model_id = digest.digest("sha256");
  digest.finish();
  subject.finish();
}

void read_predicate(const base::Json& value, std::string_view what, Approval& approval,
                    std::optional<Error>& fault) {
  JsonFields predicate(value, fmt::format("{}: predicate", what), fault);
  approval.approver = predicate.line("approver", kNameBytesMax);
  approval.reason = predicate.line("reason", kLineBytesMax);
  approval.issued = predicate.time("issued");
  approval.expires = predicate.optional_time("expires");
  if (approval.expires && *approval.expires <= approval.issued)
    predicate.wrong("expires", "is not after \"issued\"");
  for (const std::string& name : predicate.optional_lines("actions", kActionCount)) {
    auto action = action_from_name(name);
    if (action.ok())
      approval.actions.insert(*action);
    else
      predicate.wrong("actions", action.error().message);
  }
  approval.users = predicate.optional_lines("users", kNamesMax);
  approval.groups = predicate.optional_lines("groups", kNamesMax);
  if (predicate.has("clock_corrections"))
    approval.clock_corrections = predicate.integer("clock_corrections", 1, kClockCorrectionsMax);
  predicate.finish();
}

Result<Approval> parse_statement(std::string_view json, std::string_view what) {
  LANTERN_ASSIGN(const base::Json document, parse_payload(json, what, kApprovalBytesMax));
  std::optional<Error> fault;
  JsonFields fields(document, std::string(what), fault);
  if (fields.line("_type", kNameBytesMax) != kStatementType)
    fields.wrong("_type", "no in-toto statement v1");
  if (fields.line("predicateType", kNameBytesMax) != kApprovalPredicateType)
    fields.wrong("predicateType", "no approval");
  Approval approval;
  read_subject(fields.array("subject", 1), what, approval, fault);
  read_predicate(fields.member("predicate"), what, approval, fault);
  fields.finish();
  if (fault) return *fault;
  return approval;
}

/// Whether the key with `id` may speak for `person`.
bool speaks_for(const ApprovalTrust& trust, const base::PublicKey& key, const std::string& person) {
  const base::Digest id = key.id();
  for (const base::PublicKey& service : trust.service_keys)
    if (service.id() == id) return true;
  return std::any_of(
      trust.approver_keys.begin(), trust.approver_keys.end(),
      [&](const NamedKey& named) { return named.key.id() == id && named.user == person; });
}

bool holds_at(base::UtcTime time, const Approval& approval,
              const ApprovalRequirements& requirements) {
  if (approval.issued - time > kClockBehindMax) return false;
  if (approval.expires && time >= *approval.expires) return false;
  return !requirements.days_max ||
         time - approval.issued < std::chrono::days(*requirements.days_max);
}

bool answers(const Approval& approval, const ApprovalQuestion& question,
             const ApprovalRequirements& requirements) {
  if (approval.model_id != question.model_id) return false;
  if (!holds_at(question.now, approval, requirements)) return false;
  if (approval.clock_corrections > question.clock_corrections) return false;
  if (approval.clock_corrections < question.clock_corrections &&
      !holds_at(question.clock_ahead_until, approval, requirements))
    return false;
  if (!approval.actions.empty() &&
      !(question.action && approval.actions.contains(*question.action)))
    return false;
  if (approval.users.empty() && approval.groups.empty()) return true;
  if (question.user && approval.users.contains(*question.user)) return true;
  return question.groups &&
         std::any_of(question.groups->begin(), question.groups->end(),
                     [&](const std::string& group) { return approval.groups.contains(group); });
}

}  // namespace

Result<std::string> sign_approval(const Approval& approval, const base::PrivateKey& key) {
  const std::string statement = statement_of(approval);
  auto read = parse_statement(statement, "approval");
  if (!read.ok()) return Error{ErrorCode::kInvalidArgument, read.error().message};
  LANTERN_ASSIGN(const base::DsseEnvelope envelope,
                 base::dsse_sign(kStatementPayloadType, statement, key));
  return base::dsse_to_json(envelope).dump() + "\n";
}

ApprovalTrust approval_trust(const Policy& policy, std::vector<base::PublicKey> service_keys) {
  ApprovalTrust trust{.service_keys = std::move(service_keys)};
  for (const NamedKey& key : policy.keys)
    if (key.uses.contains(KeyUse::kApprovals)) trust.approver_keys.push_back(key);
  return trust;
}

Result<Approval> verify_approval(std::string_view envelope_text, std::string_view what,
                                 const ApprovalTrust& trust) {
  if (envelope_text.size() > kApprovalBytesMax)
    return make_error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are read", what,
                      envelope_text.size(), kApprovalBytesMax);
  LANTERN_ASSIGN(const base::DsseEnvelope envelope, base::parse_dsse(envelope_text, what));
  if (envelope.payload_type != kStatementPayloadType)
    return make_error(ErrorCode::kCorrupt, "{}: the payload is no in-toto statement", what);
  std::vector<base::PublicKey> trusted = trust.service_keys;
  for (const NamedKey& key : trust.approver_keys) trusted.push_back(key.key);
  const std::vector<base::PublicKey> signers = base::dsse_signers(envelope, trusted);
  if (signers.empty())
    return make_error(ErrorCode::kDenied, "{}: no key that may approve signed it", what);
  LANTERN_ASSIGN(Approval approval, parse_statement(envelope.payload, what));
  for (const base::PublicKey& key : signers) {
    if (!speaks_for(trust, key, approval.approver)) continue;
    approval.key_id = base::to_hex(key.id());
    return approval;
  }
  return make_error(ErrorCode::kDenied, "{}: the key that signed it is not {}'s", what,
                    approval.approver);
}

std::set<std::string> count_approvers(std::span<const Approval> approvals,
                                      const ApprovalQuestion& question,
                                      const ApprovalRequirements& requirements) {
  std::set<std::string> people;
  if (!requirements.importer_may_approve && !question.importer) return people;
  for (const Approval& approval : approvals) {
    const bool is_importer = question.importer && approval.approver == *question.importer;
    if (is_importer && !requirements.importer_may_approve) continue;
    if (answers(approval, question, requirements)) people.insert(approval.approver);
  }
  return people;
}

}  // namespace lantern::policy
