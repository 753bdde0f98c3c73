#include "gate/import_signature.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/printable.h"
#include "gate/governance.h"

namespace lantern::gate {
namespace {

using supply::SignatureFault;
using supply::SignedComposition;
using Standing = ImportSignature::Standing;

/// Not a fault of the signature: nobody here knows who made it.
bool is_unknown(SignatureFault fault) {
  return fault == SignatureFault::kWrongKey || fault == SignatureFault::kUntrustedChain ||
         fault == SignatureFault::kKeyless;
}

class Judge {
 public:
  Judge(Governance& governance, const ImportSignatureOptions& options)
      : governance_(governance), options_(options) {}

  Result<ImportSignature> judge(const supply::FoundSignature& found,
                                std::span<const supply::ModelFile> files);
  /// The refusal, in the log.
  Error refuse(std::string_view name, std::string_view why);

 private:
  Result<SignedComposition> verify(const supply::FoundSignature& found,
                                   std::span<const supply::ModelFile> files,
                                   supply::TrustedSigners trusted) {
    return supply::verify_composition(
        files, found.text, found.name,
        {.trusted = std::move(trusted), .at = now_, .hash = options_.hash});
  }

  Governance& governance_;
  const ImportSignatureOptions& options_;
  supply::TimePoint now_ = std::chrono::system_clock::now();
};

Error Judge::refuse(std::string_view name, std::string_view why) {
  Error error = make_error(
      ErrorCode::kDenied,
      "denied by rule lantern.bad-signature: {}: {}; nothing was taken in: ask the publisher, or "
      "get the model without this signature",
      base::printable(name), base::printable(why, 600));
  auto recorded = governance_.log().append({.action = audit::Action::kPull,
                                            .decision = audit::Decision::kDeny,
                                            .actor = audit::this_process(),
                                            .rule = "lantern.bad-signature",
                                            .reason = fmt::format("{}: {}", options_.source, why)});
  return recorded.ok() ? error : std::move(recorded).error();
}

Result<ImportSignature> Judge::judge(const supply::FoundSignature& found,
                                     std::span<const supply::ModelFile> files) {
  ImportSignature signature{.name = found.name, .bundle = found.text};
  const auto said = supply::compare_unverified(files, found.text, found.name, options_.hash);
  if (!said.ok() && said.error().code == ErrorCode::kCancelled) return said.error();
  if (!said.ok()) return refuse(found.name, said.error().message);
  const auto& differences = said->verification.differences;
  if (std::any_of(differences.begin(), differences.end(), [](const supply::Difference& difference) {
        return difference.kind == supply::Difference::Kind::kChanged;
      }))
    return refuse(found.name, said->verification.reason);

  if (!options_.required.empty()) {
    LANTERN_ASSIGN(const SignedComposition required, verify(found, files, options_.required));
    if (!required.verification.verified()) return refuse(found.name, required.verification.reason);
    signature.signer = required.verification.signer->identity();
  }
  LANTERN_ASSIGN(supply::TrustedSigners trusted, governance_.trusted_signers());
  if (signature.signer.empty() && !trusted.empty()) {
    LANTERN_ASSIGN(const SignedComposition judged, verify(found, files, std::move(trusted)));
    const supply::Verification& verification = judged.verification;
    if (verification.verified())
      signature.signer = verification.signer->identity();
    else if (!is_unknown(verification.fault) && verification.fault != SignatureFault::kFilesDiffer)
      return refuse(found.name, verification.reason);
  }
  if (!said->verification.verified()) {
    signature.standing = Standing::kOtherFiles;
    signature.note = fmt::format("{}: a signature of other files: {}; not kept", found.name,
                                 said->verification.reason);
  } else if (signature.signer.empty()) {
    signature.standing = Standing::kUnknownSigner;
    signature.note =
        fmt::format("{}: signed by an unknown key: kept with the model, not trusted", found.name);
  } else {
    signature.standing = Standing::kTrusted;
    signature.note = fmt::format("{}: signed by {}", found.name, signature.signer);
  }
  return signature;
}

}  // namespace

std::string_view standing_name(Standing standing) {
  switch (standing) {
    case Standing::kNone:
      return "none";
    case Standing::kTrusted:
      return "trusted";
    case Standing::kUnknownSigner:
      return "unknown-signer";
    case Standing::kOtherFiles:
      return "other-files";
  }
  return "none";
}

Result<ImportSignature> judge_import_signature(const supply::FoundSignature* found,
                                               std::span<const supply::ModelFile> files,
                                               const ImportSignatureOptions& options) {
  if (found == nullptr && options.required.empty()) return ImportSignature{};
  LANTERN_ASSIGN(Governance governance, Governance::open());
  Judge judge(governance, options);
  if (found == nullptr)
    return judge.refuse(options.source, "no signature came with it, and one was asked for");
  return judge.judge(*found, files);
}

}  // namespace lantern::gate
