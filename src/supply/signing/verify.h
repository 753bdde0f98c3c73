// Verifies model signatures: first who signed (a key or a chain of certificates that the caller
// trusts), then, and only then, what the signed statement says of the files.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/keys.h"
#include "base/result.h"
#include "supply/signing/bundle.h"
#include "supply/signing/certificate.h"
#include "supply/signing/manifest.h"
#include "supply/signing/model_files.h"

namespace lantern::supply {

struct TrustedSigners {
  std::vector<base::PublicKey> keys = {};
  std::vector<Certificate> roots = {};

  [[nodiscard]] bool empty() const { return keys.empty() && roots.empty(); }
};

struct Signer {
  SigningMethod method = SigningMethod::kKey;
  base::Digest key{};             // base::PublicKey::id() of the key, or of the leaf's
  std::string subject = {};       // kCertificate: RFC 2253
  base::Digest root{};            // kCertificate: the root's fingerprint
  std::string root_subject = {};  // kCertificate

  /// What a policy names: "key:<hex>" or "certificate:<root's hex>:<subject>".
  [[nodiscard]] std::string identity() const;
};

enum class SignatureFault {
  kNone,
  kKeyless,
  kWrongKey,  // made by a key or a method that is not among those trusted
  kBadSignature,
  kUntrustedChain,
  kExpired,
  kNotYetValid,
  kNotForCodeSigning,
  kFilesDiffer,
};
/// "none", "keyless", "wrong-key", "bad-signature", ... as JSON outputs spell it.
std::string_view signature_fault_name(SignatureFault fault);

struct Difference {
  enum class Kind { kMissing, kExtra, kChanged, kIrregular };
  Kind kind = Kind::kMissing;
  std::string name = {};
  std::string why = {};  // "is missing", "was not signed", "differs", "is a symbolic link"
};
/// "missing", "extra", "changed", "irregular".
std::string_view difference_name(Difference::Kind kind);

struct Verification {
  SignatureFault fault = SignatureFault::kBadSignature;
  std::string reason = {};  // one line; empty where verified
  SigningMethod method = SigningMethod::kKey;
  std::optional<Signer> signer = {};         // where the signature itself is good and trusted
  SignedManifest manifest = {};              // likewise; nothing of it is trusted before
  std::vector<Difference> differences = {};  // kFilesDiffer

  [[nodiscard]] bool verified() const { return fault == SignatureFault::kNone; }
};

/// The signature alone, no file looked at. What does not verify is a Verification with its fault;
/// an Error is for a bundle or statement that cannot be read (parse_bundle(), parse_statement())
/// and for a trust that is empty (kInvalidArgument; a keyless bundle is told first).
Result<Verification> verify_signature(const SignatureBundle& bundle, const TrustedSigners& trusted,
                                      TimePoint at, std::string_view what);

struct VerifyModelOptions {
  TrustedSigners trusted = {};
  TimePoint at = std::chrono::system_clock::now();  // when certificates are judged
  std::vector<std::string> ignore = {};             // beside those that the statement names
  RangeHashOptions hash = {};
};

/// A folder or file as it lies. `signature` is the bundle's file, which is no part of the model.
Result<Verification> verify_model(const std::filesystem::path& model,
                                  const std::filesystem::path& signature,
                                  const VerifyModelOptions& options);

/// The same for files that were listed already, as a store does.
Result<Verification> verify_files(const ModelFiles& model, const std::filesystem::path& signature,
                                  const VerifyModelOptions& options);

/// A composition at admission. Unlike above, what was signed and is not part of the composition is
/// no difference, but `absent` names it; each file of the composition must be listed and equal.
struct SignedComposition {
  Verification verification = {};
  std::vector<std::string> admitted = {};  // names of the composition, all of them signed
  std::vector<std::string> absent = {};    // signed, and not part of the composition
};

/// `bundle_text` is the bundle's JSON, `what` its name in messages. Digests that `composition`
/// carries are believed, so that only shards, and files without one, are read.
Result<SignedComposition> verify_composition(std::span<const ModelFile> composition,
                                             std::string_view bundle_text, std::string_view what,
                                             const VerifyModelOptions& options);

/// What a bundle says of a composition, whoever signed it: for one that nobody can verify yet.
/// `verified()` means only that each file is listed and equal; `signer` is never set. Errors as
/// above.
Result<SignedComposition> compare_unverified(std::span<const ModelFile> composition,
                                             std::string_view bundle_text, std::string_view what,
                                             const RangeHashOptions& hash);

/// A bundle's file. kNotFound, kIo, and parse_bundle()'s errors.
Result<SignatureBundle> read_bundle(const std::filesystem::path& path);

}  // namespace lantern::supply
