#include "supply/signing/verify.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/file.h"
#include "base/printable.h"
#include "supply/signing/pae_v02.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;
using base::printable;

constexpr uint64_t kBundleFileBytesMax = 96u << 20;
constexpr size_t kDifferencesShown = 5;

Verification refuse(Verification verification, SignatureFault fault, std::string reason) {
  verification.fault = fault;
  verification.reason = std::move(reason);
  return verification;
}

bool is_ecdsa(const base::PublicKey& key) { return key.kind() != base::KeyKind::kEd25519; }

enum class SignedBytes { kNone, kDsse, kRelease02 };

SignedBytes signed_bytes(const base::DsseEnvelope& envelope, const base::PublicKey& key) {
  const auto& signature = envelope.signatures[0].signature;
  const std::string pae = base::dsse_pae(envelope.payload_type, envelope.payload);
  if (key.verifies(std::as_bytes(std::span(pae)), signature)) return SignedBytes::kDsse;
  const std::string old = pae_v02(envelope.payload_type, envelope.payload);
  if (verifies_with_sha256(key, old, signature)) return SignedBytes::kRelease02;
  return SignedBytes::kNone;
}

// The signature by `key`, whom `signer` describes, and what it is over.
Result<Verification> verify_by(const SignatureBundle& bundle, const base::PublicKey& key,
                               Signer signer, Verification verification, std::string_view what) {
  const SignedBytes form = signed_bytes(bundle.envelope, key);
  const auto bad = [&] {
    return refuse(verification, SignatureFault::kBadSignature,
                  "the signature does not fit what is signed: one of them was changed");
  };
  if (form == SignedBytes::kNone) return bad();
  LANTERN_ASSIGN(SignedManifest manifest, parse_statement(bundle.envelope.payload, what));
  if (form == SignedBytes::kRelease02 && !manifest.historical) return bad();
  verification.fault = SignatureFault::kNone;
  verification.signer = std::move(signer);
  verification.manifest = std::move(manifest);
  return verification;
}

Result<Verification> verify_key(const SignatureBundle& bundle, const TrustedSigners& trusted,
                                Verification verification, std::string_view what) {
  for (const base::PublicKey& key : trusted.keys)
    if (is_ecdsa(key) && key_hint(key) == bundle.key_hint)
      return verify_by(bundle, key, {.method = SigningMethod::kKey, .key = key.id()},
                       std::move(verification), what);
  return refuse(
      std::move(verification), SignatureFault::kWrongKey,
      trusted.keys.empty()
          ? "signed with a key and no certificate, so no trust root can vouch for it"
          : fmt::format("signed by another key (its hint is {})", printable(bundle.key_hint, 80)));
}

SignatureFault fault_of(ChainFault fault) {
  switch (fault) {
    case ChainFault::kNone:
      return SignatureFault::kNone;
    case ChainFault::kUntrusted:
      return SignatureFault::kUntrustedChain;
    case ChainFault::kExpired:
      return SignatureFault::kExpired;
    case ChainFault::kNotYetValid:
      return SignatureFault::kNotYetValid;
    case ChainFault::kNotForCodeSigning:
      return SignatureFault::kNotForCodeSigning;
  }
  return SignatureFault::kUntrustedChain;
}

Result<Verification> verify_chain(const SignatureBundle& bundle, const TrustedSigners& trusted,
                                  TimePoint at, Verification verification, std::string_view what) {
  std::vector<Certificate> chain;
  for (const auto& der : bundle.certificates) {
    LANTERN_ASSIGN(auto certificate, Certificate::from_der(der, what));
    chain.push_back(std::move(certificate));
  }
  auto leaf_key = chain[0].public_key();
  if (!leaf_key.ok()) return std::move(leaf_key).error().within(what);
  if (!is_ecdsa(*leaf_key))
    return make_error(ErrorCode::kUnsupported,
                      "{}: the certificate's key is Ed25519; models are signed with ECDSA", what);
  const base::Digest id = leaf_key->id();
  // Whoever trusts the leaf's key itself needs no root.
  for (const base::PublicKey& key : trusted.keys)
    if (key.id() == id)
      return verify_by(bundle, key, {.method = SigningMethod::kKey, .key = id},
                       std::move(verification), what);
  if (trusted.roots.empty())
    return refuse(std::move(verification), SignatureFault::kWrongKey,
                  fmt::format("signed with the certificate {}, whose key is another",
                              printable(chain[0].subject())));
  ChainJudgement judgement = judge_chain(chain, trusted.roots, at);
  if (!judgement.trusted())
    return refuse(std::move(verification), fault_of(judgement.fault), std::move(judgement.reason));
  return verify_by(bundle, *leaf_key,
                   {.method = SigningMethod::kCertificate,
                    .key = id,
                    .subject = std::move(judgement.subject),
                    .root = judgement.root,
                    .root_subject = std::move(judgement.root_subject)},
                   std::move(verification), what);
}

// What a statement says of one file.
struct Expected {
  std::vector<const SignedResource*> parts = {};  // by begin; one for files
};
using ExpectedFiles = std::map<std::string_view, Expected>;

ExpectedFiles expected_files(const SignedManifest& manifest, const ModelFiles& model) {
  ExpectedFiles expected;
  for (const SignedResource& resource : manifest.resources) {
    std::string_view path = resource.path;
    if (path == "." && model.is_single_file) path = model.name;
    expected[path].parts.push_back(&resource);
  }
  for (auto& [path, file] : expected)
    std::sort(file.parts.begin(), file.parts.end(),
              [](const auto* a, const auto* b) { return a->begin < b->begin; });
  return expected;
}

// A whole model: what was signed is there, and what a signature leaves out may be there too. A
// composition: part of what was signed, and nothing else, whatever its name.
enum class Extent { kWholeModel, kComposition };

// Compares files with a statement: first names and sizes, then what needs hashing, all at once.
class Comparison {
 public:
  Comparison(const SignedManifest& manifest, const ModelFiles& model, Extent extent)
      : manifest_(manifest),
        model_(model),
        extent_(extent),
        expected_(expected_files(manifest, model)) {}

  Result<std::vector<Difference>> run(std::span<const std::string> ignore,
                                      const RangeHashOptions& hash) {
    if (extent_ == Extent::kWholeModel) find_missing();
    find_irregular(ignore);
    for (const ModelFile& file : model_.files) plan(file, ignore);
    LANTERN_ASSIGN(const auto digests, hash_ranges(ranges_, hash));
    for (size_t i = 0; i < digests.size(); ++i)
      if (digests[i] != *wanted_[i].digest) differ(Difference::Kind::kChanged, wanted_[i].name);
    std::sort(differences_.begin(), differences_.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    // A file of several shards may differ in several.
    differences_.erase(std::unique(differences_.begin(), differences_.end(),
                                   [](const auto& a, const auto& b) {
                                     return a.name == b.name && a.kind == b.kind;
                                   }),
                       differences_.end());
    return std::move(differences_);
  }

  [[nodiscard]] std::vector<std::string> missing() const {
    std::vector<std::string> names;
    for (const auto& [path, file] : expected_)
      if (!has_file(path)) names.emplace_back(path);
    return names;
  }

 private:
  struct Wanted {
    std::string_view name;
    const base::Digest* digest;
  };

  void differ(Difference::Kind kind, std::string_view name, std::string_view why = {}) {
    std::string text(why);
    if (kind == Difference::Kind::kMissing) text = "is missing";
    if (kind == Difference::Kind::kExtra) text = "was not signed";
    if (kind == Difference::Kind::kChanged) text = "differs from what was signed";
    differences_.push_back({.kind = kind, .name = std::string(name), .why = std::move(text)});
  }

  template <typename Entry>
  static bool has_name(const std::vector<Entry>& sorted, std::string_view name) {
    const auto at = std::lower_bound(sorted.begin(), sorted.end(), name,
                                     [](const Entry& a, std::string_view b) { return a.name < b; });
    return at != sorted.end() && at->name == name;
  }
  [[nodiscard]] bool has_file(std::string_view name) const { return has_name(model_.files, name); }

  void find_missing() {
    for (const auto& [path, file] : expected_)
      if (!has_file(path) && !has_name(model_.irregular, path))
        differ(Difference::Kind::kMissing, path);
  }

  void find_irregular(std::span<const std::string> ignore) {
    for (const IrregularFile& file : model_.irregular)
      if (expected_.contains(file.name) || !is_left_out(file.name, ignore))
        differ(Difference::Kind::kIrregular, file.name, file.why);
  }

  void plan(const ModelFile& file, std::span<const std::string> ignore) {
    const auto found = expected_.find(file.name);
    if (found == expected_.end()) {
      // Statements over shards do not mention empty files.
      const bool unmentioned = manifest_.method == Serialization::kShards && file.size == 0;
      const bool allowed = unmentioned || is_left_out(file.name, ignore);
      if (extent_ == Extent::kComposition || !allowed) differ(Difference::Kind::kExtra, file.name);
      return;
    }
    const auto& parts = found->second.parts;
    if (manifest_.method == Serialization::kFiles) {
      if (!file.digest) {
        ranges_.push_back(
            {.path = file.path, .begin = 0, .end = file.size, .to_end_of_file = true});
        wanted_.push_back({.name = file.name, .digest = &parts[0]->digest});
      } else if (*file.digest != parts[0]->digest) {
        differ(Difference::Kind::kChanged, file.name);
      }
      return;
    }
    if (parts.back()->end != file.size) return differ(Difference::Kind::kChanged, file.name);
    for (const SignedResource* part : parts) {
      ranges_.push_back({.path = file.path,
                         .begin = part->begin,
                         .end = part->end,
                         .to_end_of_file = part == parts.back()});
      wanted_.push_back({.name = file.name, .digest = &part->digest});
    }
  }

  const SignedManifest& manifest_;
  const ModelFiles& model_;
  Extent extent_;
  ExpectedFiles expected_;
  std::vector<FileRange> ranges_;
  std::vector<Wanted> wanted_;
  std::vector<Difference> differences_;
};

void conclude(Verification& verification, std::vector<Difference> differences) {
  if (differences.empty()) return;
  verification.fault = SignatureFault::kFilesDiffer;
  verification.reason.clear();
  for (size_t i = 0; i < std::min(differences.size(), kDifferencesShown); ++i)
    verification.reason += fmt::format("{}{} {}", i == 0 ? "" : "; ",
                                       printable(differences[i].name), differences[i].why);
  if (differences.size() > kDifferencesShown)
    verification.reason += fmt::format("; and {} more", differences.size() - kDifferencesShown);
  verification.differences = std::move(differences);
}

std::vector<std::string> all_ignored(const SignedManifest& manifest,
                                     const VerifyModelOptions& options) {
  std::vector<std::string> ignored = manifest.ignore_paths;
  ignored.insert(ignored.end(), options.ignore.begin(), options.ignore.end());
  return ignored;
}

Result<Verification> compare(Verification verification, const ModelFiles& model,
                             std::span<const std::string> ignore, const RangeHashOptions& hash) {
  Comparison comparison(verification.manifest, model, Extent::kWholeModel);
  LANTERN_ASSIGN(auto differences, comparison.run(ignore, hash));
  conclude(verification, std::move(differences));
  return verification;
}

/// Fills `found` by its statement: what of the composition it lists and what it leaves out.
Status compare_composition(std::span<const ModelFile> composition, std::string_view what,
                           const RangeHashOptions& hash, SignedComposition& found) {
  ModelFiles model{.is_single_file = composition.size() == 1,
                   .files = {composition.begin(), composition.end()}};
  if (model.files.empty())
    return make_error(ErrorCode::kInvalidArgument, "{}: a model without files", what);
  std::sort(model.files.begin(), model.files.end(),
            [](const ModelFile& a, const ModelFile& b) { return a.name < b.name; });
  model.name = model.files[0].name;
  Comparison comparison(found.verification.manifest, model, Extent::kComposition);
  found.absent = comparison.missing();
  LANTERN_ASSIGN(auto differences, comparison.run({}, hash));
  conclude(found.verification, std::move(differences));
  if (!found.verification.verified()) return {};
  for (const ModelFile& file : model.files) found.admitted.push_back(file.name);
  return {};
}

}  // namespace

std::string Signer::identity() const {
  if (method == SigningMethod::kKey) return "key:" + base::to_hex(key);
  return fmt::format("certificate:{}:{}", base::to_hex(root), subject);
}

std::string_view signature_fault_name(SignatureFault fault) {
  switch (fault) {
    case SignatureFault::kNone:
      return "none";
    case SignatureFault::kKeyless:
      return "keyless";
    case SignatureFault::kWrongKey:
      return "wrong-key";
    case SignatureFault::kBadSignature:
      return "bad-signature";
    case SignatureFault::kUntrustedChain:
      return "untrusted-chain";
    case SignatureFault::kExpired:
      return "expired";
    case SignatureFault::kNotYetValid:
      return "not-yet-valid";
    case SignatureFault::kNotForCodeSigning:
      return "not-for-code-signing";
    case SignatureFault::kFilesDiffer:
      return "files-differ";
  }
  return "";
}

std::string_view difference_name(Difference::Kind kind) {
  switch (kind) {
    case Difference::Kind::kMissing:
      return "missing";
    case Difference::Kind::kExtra:
      return "extra";
    case Difference::Kind::kChanged:
      return "changed";
    case Difference::Kind::kIrregular:
      return "irregular";
  }
  return "";
}

Result<Verification> verify_signature(const SignatureBundle& bundle, const TrustedSigners& trusted,
                                      TimePoint at, std::string_view what) {
  Verification verification{.method = bundle.method};
  if (bundle.method == SigningMethod::kKeyless)
    return refuse(std::move(verification), SignatureFault::kKeyless,
                  "a keyless signature (Sigstore): recognised, not trusted; ask for one by a key "
                  "or a certificate");
  if (trusted.empty())
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: no key and no trust root was given to verify it with", what);
  if (bundle.method == SigningMethod::kKey)
    return verify_key(bundle, trusted, std::move(verification), what);
  return verify_chain(bundle, trusted, at, std::move(verification), what);
}

Result<SignatureBundle> read_bundle(const fs::path& path) {
  LANTERN_ASSIGN(const std::string text, base::read_text_file(path, kBundleFileBytesMax));
  return parse_bundle(text, path.string());
}

Result<Verification> verify_model(const fs::path& model, const fs::path& signature,
                                  const VerifyModelOptions& options) {
  LANTERN_ASSIGN(const SignatureBundle bundle, read_bundle(signature));
  LANTERN_ASSIGN(Verification verification,
                 verify_signature(bundle, options.trusted, options.at, signature.string()));
  if (!verification.verified()) return verification;
  std::vector<std::string> ignored = all_ignored(verification.manifest, options);
  if (const auto inside = path_inside(model, signature)) ignored.push_back(*inside);
  LANTERN_ASSIGN(
      const ModelFiles files,
      list_model_files(model, {.ignore = ignored,
                               .keep = verification.manifest.paths(),
                               .follow_symlinks = verification.manifest.allow_symlinks}));
  return compare(std::move(verification), files, ignored, options.hash);
}

Result<Verification> verify_files(const ModelFiles& model, const fs::path& signature,
                                  const VerifyModelOptions& options) {
  LANTERN_ASSIGN(const SignatureBundle bundle, read_bundle(signature));
  LANTERN_ASSIGN(Verification verification,
                 verify_signature(bundle, options.trusted, options.at, signature.string()));
  if (!verification.verified()) return verification;
  const auto ignored = all_ignored(verification.manifest, options);
  return compare(std::move(verification), model, ignored, options.hash);
}

Result<SignedComposition> verify_composition(std::span<const ModelFile> composition,
                                             std::string_view bundle_text, std::string_view what,
                                             const VerifyModelOptions& options) {
  LANTERN_ASSIGN(const SignatureBundle bundle, parse_bundle(bundle_text, what));
  SignedComposition found;
  LANTERN_ASSIGN(found.verification, verify_signature(bundle, options.trusted, options.at, what));
  if (!found.verification.verified()) return found;
  LANTERN_TRY(compare_composition(composition, what, options.hash, found));
  if (!found.verification.verified()) found.verification.signer.reset();
  return found;
}

Result<SignedComposition> compare_unverified(std::span<const ModelFile> composition,
                                             std::string_view bundle_text, std::string_view what,
                                             const RangeHashOptions& hash) {
  LANTERN_ASSIGN(const SignatureBundle bundle, parse_bundle(bundle_text, what));
  SignedComposition found;
  found.verification.method = bundle.method;
  found.verification.fault = SignatureFault::kNone;
  LANTERN_ASSIGN(found.verification.manifest, parse_statement(bundle.envelope.payload, what));
  LANTERN_TRY(compare_composition(composition, what, hash, found));
  return found;
}

}  // namespace lantern::supply
