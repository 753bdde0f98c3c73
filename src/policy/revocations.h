// The revocation list: digests of compositions or files that must not run, signed by a key that
// the policy names for it, versioned upwards, with an end. Payload of its DSSE envelope:
//
//   {"version": 4, "issued": "2026-11-22T00:00:00Z", "expires": "2026-12-22T00:00:00Z",
//    "entries": [{"sha256": "<64 hex>", "reason": "text", "when": "2026-11-21T10:00:00Z"}]}
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/keys.h"
#include "base/result.h"
#include "base/time.h"
#include "policy/decide.h"
#include "policy/version_floor.h"

namespace lantern::policy {

inline constexpr std::string_view kRevocationsPayloadType =
    "application/vnd.lantern.revocations.v1+json";
inline constexpr size_t kRevocationBytesMax = 64u << 20;  // of the envelope
inline constexpr size_t kRevocationEntriesMax = 200'000;

struct Revocation {
  base::Digest digest = {};
  std::string reason = {};
  base::UtcTime when = {};
};

class RevocationList {
 public:
  /// kInvalidArgument for a version below 1, an end before the beginning, a digest that stands
  /// twice or a reason that is empty, longer than 500 bytes or not one line of text.
  static Result<RevocationList> create(int64_t version, base::UtcTime issued, base::UtcTime expires,
                                       std::vector<Revocation> entries);
  /// The payload. Strict: unknown or duplicate members are errors.
  static Result<RevocationList> parse(std::string_view json, std::string_view what);
  [[nodiscard]] std::string to_json() const;

  [[nodiscard]] int64_t version() const { return version_; }
  [[nodiscard]] base::UtcTime issued() const { return issued_; }
  [[nodiscard]] base::UtcTime expires() const { return expires_; }
  [[nodiscard]] std::span<const Revocation> entries() const { return entries_; }  // by digest
  /// Null where the digest is not revoked. O(log n).
  [[nodiscard]] const Revocation* find(const base::Digest& digest) const;
  /// The first of the composition's id and its files that is revoked.
  [[nodiscard]] const Revocation* find_any(const base::Digest& id,
                                           std::span<const base::Digest> files) const;
  [[nodiscard]] RevocationListFacts facts() const;

 private:
  RevocationList() = default;
  int64_t version_ = 0;
  base::UtcTime issued_ = {}, expires_ = {};
  std::vector<Revocation> entries_;
};

/// The envelope of `list`.
Result<std::string> sign_revocations(const RevocationList& list, const base::PrivateKey& key);

/// Signature by one of `trusted`, schema, and the version against `floor`, which is raised. kDenied
/// where no trusted key signed it or it is older. Whether it is fresh is check_fresh()'s matter: an
/// expired list still revokes.
Result<RevocationList> verify_revocations(std::string_view envelope, std::string_view what,
                                          std::span<const base::PublicKey> trusted,
                                          VersionFloor& floor);

/// kDenied where a list is required and this one is missing (null), expired, too old, issued in
/// the future or below the least version.
Status check_fresh(const RevocationListFacts* list, const RevocationRequirements& requirements,
                   base::UtcTime now);

}  // namespace lantern::policy
