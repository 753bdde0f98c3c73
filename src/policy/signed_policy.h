// The managed profile's policy: a DSSE envelope over the TOML text, signed by a key of the trust
// root, in a folder that root owns (/etc/lantern; callers pass it):
//
//   trust/*.pem         public keys (Ed25519, ECDSA) whose signature makes a policy valid
//   trust/*.crt         root certificates for signatures of models
//   policy.dsse         the envelope; one file, so that text and signature change together
//
// Folder, ancestors and files must belong to the owner (root) or root and be writable by nobody
// else; links are refused.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dsse.h"
#include "base/keys.h"
#include "base/result.h"
#include "policy/policy.h"
#include "policy/version_floor.h"

namespace lantern::policy {

inline constexpr std::string_view kPolicyPayloadType = "application/vnd.lantern.policy.v1+toml";
inline constexpr std::string_view kPolicyFileName = "policy.dsse";

struct SignedPolicy {
  Policy policy = {};
  std::string text = {};                      // the TOML that was signed
  std::vector<base::PublicKey> signers = {};  // of the trust root
  base::Digest digest = {};                   // SHA-256 of `text`
};

struct TrustRoots {
  std::vector<base::PublicKey> keys = {};
  std::vector<std::string> certificates = {};  // PEM, not judged here
};

/// kDenied where others than `owner` could change a key; kNotFound without any key; kCorrupt.
Result<TrustRoots> load_trust_roots(const std::filesystem::path& folder, uid_t owner);

struct VerifyPolicy {
  std::string_view what = "policy";  // names the envelope in messages
  base::UtcTime now = {};
};
/// Signature, schema, validity in time, pinned aliases. kDenied where no trusted key signed it,
/// where it has expired, is issued in the future (by more than kClockBehindMax) or has no end.
Result<SignedPolicy> verify_policy(std::string_view envelope,
                                   std::span<const base::PublicKey> trusted,
                                   const VerifyPolicy& options);

/// The id behind an alias, now.
using AliasResolver = std::function<Result<base::Digest>(std::string_view alias)>;
/// The envelope of `toml`, as policy.dsse holds it. Aliases without a pin are resolved and
/// appended as [pins]; an alias that cannot be is an error, as is a policy that does not parse or
/// has no end.
Result<std::string> sign_policy(std::string_view toml, std::string_view what,
                                const base::PrivateKey& key, const AliasResolver& resolve);

struct PolicySource {
  std::filesystem::path folder = {};
  uid_t owner = 0;
};
/// All of the above, and the version against `floor`, which is raised.
Result<SignedPolicy> load_policy(const PolicySource& source, base::UtcTime now,
                                 VersionFloor& floor);

/// The policy in force, read again when its files change. A broken new one leaves the loaded one
/// in force until that expires; before any was loaded, current() is an error and all is denied.
/// Thread-safe. `floor` outlives it.
class PolicyWatcher {
 public:
  PolicyWatcher(PolicySource source, VersionFloor& floor);

  struct Current {
    Result<std::shared_ptr<const SignedPolicy>> policy;
    std::string warning = {};  // one line: why the newest files are not in force; empty: they are
    bool changed = false;      // since the last call
  };
  /// `now`: trusted_time(); its error denies.
  Current current(const Result<base::UtcTime>& now);

 private:
  PolicySource source_;
  VersionFloor& floor_;
  std::mutex mutex_;
  std::string stamp_;  // of the files that were read last; guarded by mutex_, as the rest
  std::shared_ptr<const SignedPolicy> loaded_;
  std::optional<Error> fault_;  // of the last reading
};

}  // namespace lantern::policy
