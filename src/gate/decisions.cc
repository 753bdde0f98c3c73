#include "gate/decisions.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "audit/spool.h"
#include "base/file.h"
#include "base/paths.h"
#include "gate/log_facts.h"
#include "policy/revocations.h"
#include "supply/http.h"
#include "supply/reference.h"
#include "supply/url.h"

namespace lantern::gate {
namespace {

constexpr uint64_t kSignatureBytesMax = 64u << 20;

/// With the record that says whose it is, or that nobody here knows.
Status keep_import_signature(Governance& governance, const Composition& model,
                             const ImportSignature& signature) {
  if (!signature.is_kept()) return {};
  LANTERN_TRY(governance.state().record_signature(
      {.id = model.id, .bundle = signature.bundle, .at = base::utc_clock()}));
  const bool trusted = signature.standing == ImportSignature::Standing::kTrusted;
  audit::Event event{.action = audit::Action::kVerify,
                     .decision = trusted ? audit::Decision::kAllow : audit::Decision::kDeny,
                     .actor = audit::this_process(),
                     .model = Governance::model_ref(model),
                     .reason = signature.note};
  event.model->signer = signature.signer;
  LANTERN_ASSIGN(const uint64_t index, governance.log().append(event));
  (void)index;
  return {};
}

/// What must never be stopped by a log that cannot be written.
void record_or_spool(Governance& governance, audit::Action action, std::string_view reason,
                     std::optional<audit::ModelRef> model, std::vector<audit::Fact> facts = {}) {
  (void)governance.log().append_or_spool({.action = action,
                                          .actor = audit::this_process(),
                                          .model = std::move(model),
                                          .reason = std::string(reason),
                                          .facts = std::move(facts)});
}

}  // namespace

Result<TakenIn> take_in(const supply::StoredModel& stored, const ImportSignature& signature,
                        const Consent& consent) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(Composition model, composition_of(stored));
  LANTERN_ASSIGN(model.tier, expected_tier(stored));
  LANTERN_TRY(governance.state().record_import({.id = model.id,
                                                .files = model.files,
                                                .by = governance.person(),
                                                .source = model.source,
                                                .at = base::utc_clock()}));
  audit::Event event{.action = audit::Action::kPull,
                     .actor = audit::this_process(),
                     .model = Governance::model_ref(model),
                     .reason = model.source};
  if (auto recorded = governance.log().append(event); !recorded.ok())
    return std::move(recorded).error();
  LANTERN_TRY(keep_import_signature(governance, model, signature));
  TakenIn taken;
  LANTERN_ASSIGN(taken.report, scanned(governance, model));
  LANTERN_ASSIGN(const policy::Decision decision,
                 seek(governance, model, policy::Action::kLoad, consent));
  const bool lifted = decision.rule == policy::kBreakGlassRule;
  taken.approved = decision.allowed() && !lifted;
  if (taken.approved) return taken;
  if (!consent.reason.empty() && !lifted)
    LANTERN_TRY(governance.record(audit::Action::kApprove, decision, model, {},
                                  {{.name = "asked", .value = consent.reason}}));
  taken.why_not = lifted ? decision.reason : decision.status().error().message;
  return taken;
}

Result<policy::Approval> approve_model(const ApproveRequest& request) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(const Resolved resolved, resolve_for(governance, audit::Action::kApprove,
                                                      request.reference, request.resolve));
  LANTERN_ASSIGN(const supply::scan::Report report, scanned(governance, resolved.model));
  ApprovalTerms terms = request.terms;
  if (report.verdict() != supply::scan::Verdict::kMalicious && !scan_is_conclusive(report) &&
      !terms.accepts_inconclusive && request.confirm) {
    LANTERN_ASSIGN(terms.accepts_inconclusive, request.confirm(report));
  }
  return approve(governance, resolved.model, terms);
}

namespace {

Result<Composition> composition_to_revoke(std::string_view what, const ResolveOptions& options) {
  if (what.starts_with("sha256:") && what.size() == 7 + 64) {
    Composition model{.name = std::string(what)};
    LANTERN_ASSIGN(model.id, base::digest_from_hex(what.substr(7)));
    model.files = {model.id};
    return model;
  }
  LANTERN_ASSIGN(const Located located, locate(what));
  // Nothing of a stored model need be read: its id is known.
  if (located.stored) return composition_of(*located.stored);
  LANTERN_ASSIGN(Resolved resolved, resolve(what, options));
  return std::move(resolved.model);
}

/// In the state first, for a revocation waits for no record. `note` keeps each one's event and says
/// why it could not; then the state remembers that the log lacks it.
Result<Revoked> put_in_force(supply::State& state, const Composition& model,
                             const supply::RevocationRecord& record,
                             const std::function<Status(const audit::Event&)>& note) {
  // A composition's id covers its files' names: of a single file the bytes are revoked, too, so
  // that no copy under another name goes on.
  std::vector<base::Digest> digests = {model.id};
  if (model.files.size() == 1 && model.files.front() != model.id)
    digests.push_back(model.files.front());
  Revoked revoked{.record = record};
  for (const base::Digest& digest : digests) {
    supply::RevocationRecord one = record;
    one.digest = digest;
    LANTERN_TRY(state.revoke(one, supply::State::Logged::kNotYet));
    const Status noted =
        note({.action = audit::Action::kRevoke,
              .actor = audit::this_process(),
              .model = audit::ModelRef{.id = base::to_hex(digest), .name = model.name},
              .reason = record.reason});
    if (noted.ok())
      (void)state.mark_logged(one);
    else
      revoked.unrecorded = noted.error().message;
  }
  return revoked;
}

/// Where log or keys cannot be opened: the records wait in the spool.
Result<Revoked> revoke_without_log(const Composition& model, supply::RevocationRecord record) {
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  LANTERN_ASSIGN(const AuditPlaces places, audit_places());
  LANTERN_ASSIGN(supply::State state, supply::State::open(folders.data));
  record.by = audit::this_process().user;
  return put_in_force(state, model, record, [&](const audit::Event& event) {
    return audit::spool_event(places.spool, event);
  });
}

}  // namespace

Result<Revoked> revoke_model(std::string_view what, std::string_view reason,
                             const ResolveOptions& options) {
  LANTERN_TRY(base::own_folders());  // for whom this machine's state is
  LANTERN_ASSIGN(const Composition model, composition_to_revoke(what, options));
  supply::RevocationRecord record{.digest = model.id,
                                  .by = "",
                                  .reason = std::string(reason),
                                  .source = kLocalRevocation,
                                  .at = base::utc_clock()};
  auto governance = Governance::open();
  if (!governance.ok()) return revoke_without_log(model, std::move(record));
  LANTERN_ASSIGN(const policy::Facts facts, governance->facts(model, policy::Action::kRevoke));
  if (const policy::Decision decision = governance->decide(facts); !decision.allowed()) {
    LANTERN_TRY(governance->record(audit::Action::kRevoke, decision, model, reason));
    return decision.status().error();
  }
  record.by = governance->person();
  return put_in_force(governance->state(), model, record, [&](const audit::Event& event) -> Status {
    const audit::Recorded recorded = governance->log().append_or_spool(event);
    if (recorded.where != audit::Recorded::Where::kNowhere) return {};
    return make_error(ErrorCode::kIo, "{}", recorded.fault);
  });
}

namespace {

Result<std::string> read_list(std::string_view from, supply::NetworkMode network,
                              const std::stop_token& stop) {
  if (!from.starts_with("https://") && !from.starts_with("http://"))
    return base::read_text_file(std::string(from), policy::kRevocationBytesMax);
  LANTERN_ASSIGN(const supply::Url url, supply::parse_url(from));
  LANTERN_ASSIGN(const auto permit, supply::NetworkPermit::request(network, from));
  supply::HttpClient client(permit, {}, stop, {});
  LANTERN_ASSIGN(supply::HttpReply reply, client.get({.url = url}, policy::kRevocationBytesMax));
  return std::move(reply.body);
}

/// The list, if it is one to take in now: signed, no older than `floor`, and valid. An expired one
/// would take the place of entries that are in force, and could not itself be replaced by its like.
Result<policy::RevocationList> acceptable_list(const Governance& governance,
                                               const policy::Policy& policy,
                                               const std::string& envelope, std::string_view what,
                                               policy::VersionFloor& floor) {
  LANTERN_ASSIGN(policy::RevocationList list,
                 policy::verify_revocations(envelope, what,
                                            policy.keys_for(policy::KeyUse::kRevocations), floor));
  LANTERN_ASSIGN(const base::UtcTime now, governance.now());
  const policy::RevocationListFacts facts = list.facts();
  if (const Status valid = policy::check_fresh(
          &facts, {.required = true, .version_min = 0, .age_days_max = {}}, now);
      !valid.ok())
    return make_error(ErrorCode::kDenied, "{}: version {}: {}; nothing was changed", what,
                      list.version(), valid.error().message);
  return list;
}

}  // namespace

Result<ImportedRevocations> import_revocations(std::string_view from, supply::NetworkMode network,
                                               const std::stop_token& stop) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(const std::string envelope, read_list(from, network, stop));
  // Messages enter the log, and an address may hold a password.
  const auto reference = supply::parse_reference(from);
  const std::string what = reference.ok() ? supply::recordable(*reference) : "revocation list";
  LANTERN_ASSIGN(const auto before, governance.state().highest(kRevocationsFloor));
  LANTERN_ASSIGN(const PolicyPtr policy, governance.policy_for(audit::Action::kRevocationsImport));
  // Raised here, for the check alone; in the state together with what the list revokes.
  policy::VersionFloorInMemory floor;
  if (before) LANTERN_TRY(floor.raise({.version = before->version, .digest = before->digest}));
  auto accepted = policy::denied_by(acceptable_list(governance, *policy, envelope, what, floor),
                                    "lantern.revocation-list");
  if (!accepted.ok()) {
    auto recorded = governance.log().append({.action = audit::Action::kRevocationsImport,
                                             .decision = audit::Decision::kDeny,
                                             .actor = audit::this_process(),
                                             .rule = "lantern.revocation-list",
                                             .reason = accepted.error().message});
    if (!recorded.ok()) return std::move(recorded).error();
    return std::move(accepted).error();
  }
  const policy::RevocationList& list = *accepted;
  LANTERN_ASSIGN(const auto seen, floor.highest());
  std::vector<supply::RevocationRecord> records;
  for (const policy::Revocation& entry : list.entries())
    records.push_back({.digest = entry.digest,
                       .by = "revocation list",
                       .reason = entry.reason,
                       .source = "list",
                       .at = entry.when});
  // The list lies beside the old one until one transaction makes it the one in force; a process
  // that dies after that leaves it under its first name, where it is found.
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  const auto incoming = folders.data / kIncomingRevocationsFile;
  LANTERN_TRY(base::write_file_atomically(incoming, envelope));
  LANTERN_TRY(governance.state().replace_revocations(
      "list", records,
      supply::State::Floor{.what = std::string(kRevocationsFloor),
                           .version = {.version = seen->version, .digest = seen->digest}}));
  if (::rename(incoming.c_str(), (folders.data / kRevocationsFile).c_str()) != 0)
    return base::errno_error(errno, incoming.string());
  LANTERN_TRY(base::sync_folder(folders.data));
  record_or_spool(governance, audit::Action::kRevocationsImport,
                  fmt::format("version {}, {} entries", list.version(), records.size()), {},
                  version_facts(*seen));
  return ImportedRevocations{
      .version = list.version(), .n_entries = records.size(), .expires = list.expires()};
}

Result<policy::BreakGlass> break_glass(const BreakGlassRequest& request) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(const PolicyPtr policy, governance.policy_for(audit::Action::kBreakGlass));
  LANTERN_ASSIGN(const base::UtcTime now, governance.now());
  policy::BreakGlass statement{.person = governance.person(),
                               .reason = request.reason,
                               .issued = now,
                               .expires = now + request.lasts};
  std::optional<audit::ModelRef> model;
  if (request.reference) {
    LANTERN_ASSIGN(const Resolved resolved,
                   resolve_for(governance, audit::Action::kBreakGlass, *request.reference, {}));
    statement.models = {resolved.model.id};
    model = Governance::model_ref(resolved.model);
  }
  LANTERN_ASSIGN(const base::PrivateKey key,
                 governance.keys().signing_key(audit::KeyPurpose::kLog));
  LANTERN_ASSIGN(const std::string envelope, policy::sign_break_glass(statement, key));
  LANTERN_ASSIGN(const std::vector<base::PublicKey> own,
                 governance.keys().public_keys(audit::KeyPurpose::kLog));
  auto verified =
      policy::denied_by(policy::verify_break_glass(envelope, "break-glass", *policy, own, now),
                        policy::kBreakGlassRule);
  audit::Event event{.action = audit::Action::kBreakGlass,
                     .decision = verified.ok() ? audit::Decision::kAllow : audit::Decision::kDeny,
                     .actor = audit::this_process(),
                     .model = std::move(model),
                     .rule = std::string(policy::kBreakGlassRule),
                     .reason = request.reason};
  event.facts.push_back({.name = "expires", .value = base::format_utc(statement.expires)});
  if (auto recorded = governance.log().append(event); !recorded.ok())
    return std::move(recorded).error();
  if (!verified.ok()) return verified;
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  LANTERN_TRY(base::make_private_folder(folders.state));
  LANTERN_TRY(base::write_file_atomically(folders.state / kBreakGlassFile, envelope));
  return verified;
}

Result<supply::SignedComposition> keep_signature(std::string_view reference,
                                                 const std::filesystem::path& signature,
                                                 const supply::VerifyModelOptions& options) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(const Resolved resolved, resolve_for(governance, audit::Action::kVerify, reference,
                                                      {.stop = options.hash.stop}));
  std::vector<supply::ModelFile> files;
  files.reserve(resolved.model.paths.size());
  for (const ComposedFile& file : resolved.model.paths)
    files.push_back(
        {.name = file.name, .path = file.path, .size = file.size, .digest = file.digest});
  LANTERN_ASSIGN(const std::string bundle, base::read_text_file(signature, kSignatureBytesMax));
  LANTERN_ASSIGN(supply::SignedComposition found,
                 supply::verify_composition(files, bundle, signature.string(), options));
  audit::Event event{
      .action = audit::Action::kVerify,
      .decision = found.verification.verified() ? audit::Decision::kAllow : audit::Decision::kDeny,
      .actor = audit::this_process(),
      .model = Governance::model_ref(resolved.model),
      .reason = found.verification.reason};
  if (found.verification.signer) event.model->signer = found.verification.signer->identity();
  if (auto recorded = governance.log().append(event); !recorded.ok())
    return std::move(recorded).error();
  if (found.verification.verified())
    LANTERN_TRY(governance.state().record_signature(
        {.id = resolved.model.id, .bundle = bundle, .at = base::utc_clock()}));
  return found;
}

Result<std::vector<policy::ModelState>> states_of(std::span<const supply::StoredModel> models) {
  LANTERN_ASSIGN(Governance governance, Governance::open_to_look());
  std::vector<policy::ModelState> states;
  for (const supply::StoredModel& stored : models) {
    LANTERN_ASSIGN(const Composition model, composition_of(stored));
    LANTERN_ASSIGN(const policy::Facts facts, governance.facts(model, policy::Action::kLoad));
    auto state = facts.state.value_or(policy::ModelState::kQuarantined);
    // What the policy lets run without an approval of its own, as it does the catalog's models.
    const policy::Decision decision = governance.decide(facts);
    if (state != policy::ModelState::kRevoked && decision.allowed() &&
        decision.rule != policy::kBreakGlassRule)
      state = policy::ModelState::kApproved;
    states.push_back(state);
  }
  return states;
}

}  // namespace lantern::gate
