// What this machine goes by when it decides about models: the profile, the policy in force, the
// recorded state, the keys and the audit log, opened together.
//
//   personal   the policy that is compiled in; state, keys and log are the user's own
//   managed    /etc/lantern holds a trust root and a signed policy; state, keys and log belong to
//              the service's account, and only that account may ask
//
// Whatever is missing or broken denies. One thread at a time.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "audit/key_ring.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/result.h"
#include "base/time.h"
#include "gate/audit.h"
#include "gate/log_facts.h"
#include "gate/revocation_list.h"
#include "policy/approvals.h"
#include "policy/break_glass.h"
#include "policy/decide.h"
#include "policy/signed_policy.h"
#include "supply/catalog.h"
#include "supply/signing/verify.h"
#include "supply/state.h"

namespace lantern::gate {

/// A file of a composition.
struct ComposedFile {
  std::string name = {};  // inside the model
  std::filesystem::path path = {};
  uint64_t size = 0;
  base::Digest digest{};
};

/// A model as decisions see it.
struct Composition {
  std::string name = {};  // the alias, or the file's name
  base::Digest id{};
  std::vector<base::Digest> files = {};
  std::vector<ComposedFile> paths = {};  // exactly what the engine may read; empty: not at hand
  bool in_catalog = false;
  std::filesystem::path in_place = {};  // absolute; empty: a copy that the store made
  std::string source = {}, revision = {};
  // The files' own claims; empty: none.
  std::string licence = {}, architecture = {}, publisher = {};
  policy::Fact<policy::Tier> tier = {};  // absent: nothing was verified yet
};

/// The catalog's entry for a composition of one file that it knows by digest.
Result<std::optional<supply::CatalogEntry>> catalog_entry(std::span<const base::Digest> files);

/// The break-glass statement in force, in the state folder.
inline constexpr std::string_view kBreakGlassFile = "break-glass.dsse";

using PolicyPtr = std::shared_ptr<const policy::Policy>;

class Governance {
 public:
  /// kDenied on a managed machine for any account but the service's, and where the policy or the
  /// state cannot be trusted; kIo, kCorrupt of state, keys and log.
  static Result<Governance> open();
  /// To describe models, not to load any: where state, keys or log cannot be written (a disk that
  /// is full or read-only, another account's folder) they are read as they are. Then there is no
  /// log, record() is an error, and now() is the wall clock. Errors: open()'s.
  static Result<Governance> open_to_look();

  [[nodiscard]] bool managed() const { return managed_; }
  /// The policy in force, read again where its files changed. kDenied: there is none. Whoever holds
  /// it keeps it as it is: facts() takes one, and decide() and count_approvals() go by the same, so
  /// that a decision is made by one policy even where a newer one comes meanwhile.
  const Result<PolicyPtr>& policy();
  /// The same for who cannot act without one: the denial by lantern.no-policy is in the log first.
  Result<PolicyPtr> policy_for(audit::Action action);
  /// Of the policy's reading: why newer files are not in force. Empty: they are.
  [[nodiscard]] const std::string& policy_warning() const { return policy_warning_; }
  supply::State& state() { return *state_; }
  /// Whether it was opened by open(), or could have been.
  [[nodiscard]] bool has_log() const { return log_.has_value(); }
  /// Of one that has it.
  [[nodiscard]] const AuditLog& log() const {
    LANTERN_CHECK(log_.has_value());
    return *log_;
  }
  [[nodiscard]] const audit::KeyRing& keys() const { return keys_; }
  /// The later of the wall clock and the newest record. kDenied where the clock was set back.
  [[nodiscard]] Result<base::UtcTime> now() const;
  /// The person who is logged in, also behind sudo.
  [[nodiscard]] const std::string& person() const { return person_; }

  /// Everything that is known about `action` on `model` by this person. Errors: those of reading
  /// the state, advisories and the revocation list.
  Result<policy::Facts> facts(const Composition& model, policy::Action action);
  /// Sets facts.n_approvers by the facts' user, groups, action and time; leaves it unknown without
  /// a policy or a time.
  Status count_approvals(const Composition& model, policy::Facts& facts);
  /// The policy's word on `facts`, a break-glass statement in force included.
  policy::Decision decide(const policy::Facts& facts);
  /// The keys whose approvals count: this ring's, and those of the policy.
  Result<policy::ApprovalTrust> approval_trust();
  /// Whose signatures of models count: the policy's keys, and the roots of the trust root. May be
  /// empty.
  Result<supply::TrustedSigners> trusted_signers();

  /// The record of a decision on `model`; durable once it returns.
  Status record(audit::Action action, const policy::Decision& decision, const Composition& model,
                std::string_view reason = {}, std::vector<audit::Fact> more = {});
  /// What a record says of the model.
  static audit::ModelRef model_ref(const Composition& model, std::string_view state = {});

 private:
  Governance(bool managed, supply::State state, std::optional<AuditLog> log, audit::KeyRing keys);
  /// now(), its fault without a rule's name: one of the reasons of another refusal.
  [[nodiscard]] Result<base::UtcTime> trusted_now() const;
  Result<PolicyPtr> read_policy();
  /// As policy() gave it last; read now where that was never asked.
  const Result<PolicyPtr>& snapshot();
  Status set_revocation(const Composition& model, policy::Facts& facts);
  Result<std::set<std::string>> signers_of(const base::Digest& id);

  bool managed_;
  std::unique_ptr<supply::State> state_;
  std::optional<AuditLog> log_;
  audit::KeyRing keys_;
  std::unique_ptr<policy::VersionFloor> floor_;
  std::unique_ptr<policy::PolicyWatcher> watcher_;  // managed only; borrows floor_
  std::unique_ptr<RevocationListInForce> revocations_;
  std::string policy_warning_;
  std::optional<Result<PolicyPtr>> policy_;  // as policy() gave it last
  std::string person_;
};

}  // namespace lantern::gate
