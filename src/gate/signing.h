// What commands and admission see of model signatures. (cli/ and server/ include gate/ alone; the
// types come along.)
#pragma once

#include <filesystem>
#include <span>
#include <string_view>

#include "base/keys.h"
#include "base/result.h"
#include "supply/signing/sign.h"
#include "supply/signing/verify.h"

namespace lantern::gate {

/// `reference`: a name in the store, a file, or a folder. Needs no approval: nothing of the model
/// is loaded. Recorded; what cannot be recorded is not signed. Errors: supply::sign_model()'s,
/// AuditLog::of_user()'s, and those of finding it.
Result<supply::SignedModel> sign_model(std::string_view reference,
                                       const std::filesystem::path& signature,
                                       const base::PrivateKey& key,
                                       const supply::SignOptions& options);

/// Where `sign` writes unless told otherwise: DIR/model.sig, FILE.sig, or NAME.sig here.
Result<std::filesystem::path> default_signature_path(std::string_view reference);

/// `reference` as above. Errors: supply::verify_model()'s, and those of finding it.
Result<supply::Verification> verify_model(std::string_view reference,
                                          const std::filesystem::path& signature,
                                          const supply::VerifyModelOptions& options);

/// For admission: which of `trusted`, if any, signed this composition. verification.signer names
/// it only where every file of `composition` is listed and equal. An Error (a bundle that cannot be
/// read) means no signer, never one.
inline Result<supply::SignedComposition> signer_of(std::span<const supply::ModelFile> composition,
                                                   std::string_view bundle_text,
                                                   std::string_view what,
                                                   const supply::VerifyModelOptions& options) {
  return supply::verify_composition(composition, bundle_text, what, options);
}

}  // namespace lantern::gate
