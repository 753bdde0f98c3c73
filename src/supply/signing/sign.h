// Signs models: a statement over every file, in a bundle that other tools of OpenSSF Model Signing
// verify.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/keys.h"
#include "base/result.h"
#include "supply/signing/bundle.h"
#include "supply/signing/certificate.h"
#include "supply/signing/manifest.h"
#include "supply/signing/model_files.h"

namespace lantern::supply {

struct SignOptions {
  Serialization method = Serialization::kFiles;
  uint64_t shard_bytes = kDefaultShardBytes;  // kShards
  std::vector<std::string> ignore = {};       // paths inside the model
  bool follow_symlinks = false;
  /// The leaf first, its key being the one that signs. Empty: the bundle names the key alone.
  std::vector<Certificate> chain = {};
  TimePoint at = std::chrono::system_clock::now();  // the leaf must be valid then
  RangeHashOptions hash = {};
};

struct SignedModel {
  std::filesystem::path signature = {};  // the file that was written
  SignedManifest manifest = {};
  SigningMethod method = SigningMethod::kKey;
  base::Digest key{};        // base::PublicKey::id()
  std::string subject = {};  // the leaf's
};

/// Signs the folder or file and writes the bundle to `signature`, which is left out of the model.
/// kInvalidArgument: an empty model, a file that cannot be signed, a certificate of another key or
/// not for code signing or not valid now, and a `signature` that exists and is no bundle (it is
/// never overwritten). kUnsupported: a key that is not ECDSA over P-256, P-384 or P-521.
Result<SignedModel> sign_model(const std::filesystem::path& model,
                               const std::filesystem::path& signature, const base::PrivateKey& key,
                               const SignOptions& options);

/// The same for files that were listed already, as a store does.
Result<SignedModel> sign_files(const ModelFiles& model, const std::filesystem::path& signature,
                               const base::PrivateKey& key, const SignOptions& options);

}  // namespace lantern::supply
