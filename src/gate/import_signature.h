// The signature that came along with a model: judged before the store takes the model in, and kept
// with it as its import's evidence.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "supply/signing/verify.h"
#include "supply/source.h"

namespace lantern::gate {

struct ImportSignature {
  enum class Standing {
    kNone,           // none came along
    kTrusted,        // by a key or a certificate that the policy, or the person, trusts
    kUnknownSigner,  // by nobody known here: kept, never trusted
    kOtherFiles,     // it does not list every file of the model: not kept
  };
  Standing standing = Standing::kNone;
  std::string name = {};    // as it was found
  std::string bundle = {};  // JSON
  std::string signer = {};  // kTrusted: supply::Signer::identity()
  std::string note = {};    // a line for a person; empty for kNone

  [[nodiscard]] bool is_kept() const {
    return standing == Standing::kTrusted || standing == Standing::kUnknownSigner;
  }
};
/// "none", "trusted", "unknown-signer", "other-files".
std::string_view standing_name(ImportSignature::Standing standing);

struct ImportSignatureOptions {
  std::string_view source = {};          // of the model, for the record
  supply::TrustedSigners required = {};  // where not empty: one of them must have signed it
  supply::RangeHashOptions hash = {};
};

/// `found` may be null: no signature came along. Errors: kDenied (rule lantern.bad-signature),
/// recorded, for a signature that cannot be read, that contradicts the files, that does not fit
/// what was signed, or whose trusted certificate did not hold; and where `required` signed nothing.
Result<ImportSignature> judge_import_signature(const supply::FoundSignature* found,
                                               std::span<const supply::ModelFile> files,
                                               const ImportSignatureOptions& options);

}  // namespace lantern::gate
