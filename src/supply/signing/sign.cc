#include "supply/signing/sign.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/dsse.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/time.h"
#include "supply/signing/verify.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;
using base::printable;

Status check_key(const base::PrivateKey& key, const SignOptions& options) {
  const base::PublicKey own = key.public_key();
  if (own.kind() == base::KeyKind::kEd25519)
    return make_error(ErrorCode::kUnsupported,
                      "an Ed25519 key; models are signed with ECDSA over P-256, P-384 or P-521");
  if (options.chain.empty()) return {};
  const Certificate& leaf = options.chain[0];
  const std::string subject = printable(leaf.subject());
  LANTERN_ASSIGN(const base::PublicKey certified, leaf.public_key());
  if (certified.id() != own.id())
    return make_error(ErrorCode::kInvalidArgument,
                      "the key is not that of the first certificate, {}", subject);
  if (!leaf.may_sign_code())
    return make_error(ErrorCode::kInvalidArgument,
                      "the certificate {} is not for code signing (extended key usage)", subject);
  // These times sort as texts.
  const std::string now = base::format_utc(std::chrono::floor<std::chrono::seconds>(options.at));
  if (now < leaf.not_before() || now > leaf.not_after())
    return make_error(ErrorCode::kInvalidArgument,
                      "the certificate {} is valid from {} to {}, not now", subject,
                      leaf.not_before(), leaf.not_after());
  return {};
}

Status check_ignored(const std::vector<std::string>& ignored) {
  for (const std::string& path : ignored)
    if (!is_canonical_path(path) || path.find_first_of("*?[") != path.npos)
      return make_error(ErrorCode::kInvalidArgument,
                        "{}: to be left out, a path inside the model, without * ? [ and ..",
                        printable(path));
  return {};
}

// A mistyped name must not cost a model: only a bundle is replaced.
Status check_replaceable(const fs::path& signature) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(signature, error))) return {};
  if (read_bundle(signature).ok()) return {};
  return make_error(ErrorCode::kInvalidArgument,
                    "{}: exists and is no signature, so it is not replaced", signature.string());
}

Result<SignedManifest> make_manifest(const ModelFiles& model, std::vector<std::string> ignored,
                                     const SignOptions& options) {
  if (!model.irregular.empty())
    return make_error(ErrorCode::kInvalidArgument, "{} {}, which cannot be signed",
                      printable(model.irregular[0].name), model.irregular[0].why);
  SignedManifest manifest{.model_name = model.name,
                          .method = options.method,
                          .allow_symlinks = options.follow_symlinks,
                          .ignore_paths = std::move(ignored)};
  const bool sharded = options.method == Serialization::kShards;
  if (sharded) manifest.shard_bytes = options.shard_bytes;
  std::vector<FileRange> ranges;
  const auto add = [&](const ModelFile& file, uint64_t begin, uint64_t end) {
    ranges.push_back(
        {.path = file.path, .begin = begin, .end = end, .to_end_of_file = end == file.size});
    // The specification asks for a file's name; the reference tool writes "." for a model of one
    // file, and verifies nothing else.
    manifest.resources.push_back(
        {.path = model.is_single_file ? "." : file.name, .begin = begin, .end = end});
  };
  for (const ModelFile& file : model.files) {
    if (!sharded) {
      add(file, 0, file.size);
      continue;
    }
    for (uint64_t begin = 0; begin < file.size; begin += options.shard_bytes)
      add(file, begin, std::min(begin + options.shard_bytes, file.size));
  }
  if (ranges.empty())
    return make_error(ErrorCode::kInvalidArgument, "{}: an empty model; there is nothing to sign",
                      printable(model.name));
  LANTERN_ASSIGN(const auto digests, hash_ranges(ranges, options.hash));
  for (size_t i = 0; i < digests.size(); ++i) manifest.resources[i].digest = digests[i];
  sort_resources(manifest);
  return manifest;
}

Result<SignedModel> write_bundle(SignedManifest manifest, const fs::path& signature,
                                 const base::PrivateKey& key, const SignOptions& options) {
  SignatureBundle bundle;
  LANTERN_ASSIGN(bundle.envelope, base::dsse_sign(kInTotoPayloadType, to_statement(manifest), key));
  // The bundle names the key; the specification leaves this field empty.
  bundle.envelope.signatures[0].keyid.clear();
  const base::PublicKey own = key.public_key();
  SignedModel signed_model{.signature = signature, .key = own.id()};
  if (options.chain.empty()) {
    bundle.key_hint = key_hint(own);
  } else {
    bundle.method = signed_model.method = SigningMethod::kCertificate;
    signed_model.subject = options.chain[0].subject();
    for (const Certificate& certificate : options.chain)
      bundle.certificates.push_back(certificate.to_der());
  }
  LANTERN_TRY(base::write_file_atomically(signature, to_json(bundle)));
  signed_model.manifest = std::move(manifest);
  return signed_model;
}

Status check_options(const fs::path& signature, const base::PrivateKey& key,
                     const SignOptions& options) {
  if (options.method == Serialization::kShards && options.shard_bytes == 0)
    return make_error(ErrorCode::kInvalidArgument, "a shard has at least one byte");
  LANTERN_TRY(check_ignored(options.ignore));
  LANTERN_TRY(check_key(key, options));
  return check_replaceable(signature);
}

std::vector<std::string> recorded_ignored(const SignOptions& options) {
  std::set<std::string> ignored(options.ignore.begin(), options.ignore.end());
  for (const std::string_view path : default_ignored_paths()) ignored.emplace(path);
  return {ignored.begin(), ignored.end()};
}

}  // namespace

Result<SignedModel> sign_model(const fs::path& model, const fs::path& signature,
                               const base::PrivateKey& key, const SignOptions& options) {
  LANTERN_TRY(check_options(signature, key, options));
  SignOptions own = options;
  if (const auto inside = path_inside(model, signature)) own.ignore.push_back(*inside);
  std::vector<std::string> ignored = recorded_ignored(own);
  LANTERN_ASSIGN(
      const ModelFiles files,
      list_model_files(model, {.ignore = ignored, .follow_symlinks = options.follow_symlinks}));
  LANTERN_ASSIGN(SignedManifest manifest, make_manifest(files, std::move(ignored), options));
  return write_bundle(std::move(manifest), signature, key, options);
}

Result<SignedModel> sign_files(const ModelFiles& model, const fs::path& signature,
                               const base::PrivateKey& key, const SignOptions& options) {
  LANTERN_TRY(check_options(signature, key, options));
  std::vector<std::string> ignored = recorded_ignored(options);
  ModelFiles kept{
      .name = model.name, .is_single_file = model.is_single_file, .irregular = model.irregular};
  for (const ModelFile& file : model.files)
    if (!is_left_out(file.name, ignored)) kept.files.push_back(file);
  LANTERN_ASSIGN(SignedManifest manifest, make_manifest(kept, std::move(ignored), options));
  return write_bundle(std::move(manifest), signature, key, options);
}

}  // namespace lantern::supply
