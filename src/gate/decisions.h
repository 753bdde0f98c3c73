// What people decide about models: take in, approve, revoke, and lift a refusal for an hour.
// (cli/ and server/ include gate/ alone; the types come along.)
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gate/authorization.h"
#include "gate/import_signature.h"
#include "gate/resolve.h"
#include "supply/network.h"
#include "supply/signing/verify.h"
#include "supply/state.h"

namespace lantern::gate {

/// After a pull: records the import, scans the files, and asks for the approval where the policy
/// wants one and `consent` can give it. A model without it stays in quarantine: that is no error.
struct TakenIn {
  supply::scan::Report report = {};
  bool approved = false;
  std::string why_not = {};  // the policy's words
};
/// `signature`: what judge_import_signature() made of the one beside it; it is kept first, so that
/// its signer is a fact of the decision.
Result<TakenIn> take_in(const supply::StoredModel& stored, const ImportSignature& signature,
                        const Consent& consent);

struct ApproveRequest {
  std::string reference = {};
  ApprovalTerms terms = {};
  ResolveOptions resolve = {};
  /// Asks at the terminal whether to approve a model that the scan could not read to its end.
  std::function<Result<bool>(const supply::scan::Report&)> confirm = {};
};
/// Scans first where that was not done: what is malicious is not approved, what is inconclusive
/// only by who says that it is. Errors: resolve()'s, approve()'s.
Result<policy::Approval> approve_model(const ApproveRequest& request);

/// `what`: a model, or "sha256:" and the 64 digits of a composition or of a file. Of a model in one
/// file, the file's bytes are revoked with it, whatever they are called. It takes effect even where
/// the log cannot be written (the record then waits). kDenied, kInvalidArgument.
struct Revoked {
  supply::RevocationRecord record = {};
  std::string unrecorded = {};  // why its record waits in the state; empty: it does not
};
Result<Revoked> revoke_model(std::string_view what, std::string_view reason,
                             const ResolveOptions& options);

struct ImportedRevocations {
  int64_t version = 0;
  size_t n_entries = 0;
  base::UtcTime expires = {};
};
/// A signed revocation list from a file or an https address. kDenied where no key signed it that
/// the policy trusts for it, where it is older than the one here, expired or not yet valid. Whoever
/// brings a list is a messenger: its signature is the authority, so no rule is asked.
Result<ImportedRevocations> import_revocations(std::string_view from, supply::NetworkMode network,
                                               const std::stop_token& stop);

struct BreakGlassRequest {
  std::string reason = {};
  std::chrono::seconds lasts = std::chrono::hours(1);
  std::optional<std::string> reference = {};  // one model; absent: any
};
/// Lifts denials for a person whom the policy names. kDenied where it names others.
Result<policy::BreakGlass> break_glass(const BreakGlassRequest& request);

/// Verifies that a signature covers every file that the engine may read of `reference`, and keeps
/// it with the model: from then on the policy sees its signer, if it trusts him. Not kept where it
/// does not verify. Errors: resolve()'s and verify_composition()'s.
Result<supply::SignedComposition> keep_signature(std::string_view reference,
                                                 const std::filesystem::path& signature,
                                                 const supply::VerifyModelOptions& options);

/// The states of stored models as of now, by the policy in force.
Result<std::vector<policy::ModelState>> states_of(std::span<const supply::StoredModel> models);

}  // namespace lantern::gate
