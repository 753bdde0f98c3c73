// The keys that this machine keeps for itself (the table of specs: log checkpoints, model
// signatures, keyed digests), in one folder, 0700, private halves 0600:
//
//   <purpose>/<id>.json   what a key is: purpose, kind, id, times; its public half. Kept for good.
//   <purpose>/<id>.key    its private half: PKCS #8 PEM, or 64 hexadecimal digits for HMAC
//
// A purpose's current key is the newest that is not retired. Rotation retires it: the old public
// half stays, so what it signed still verifies. The old private half of a signing key is destroyed;
// that of an HMAC key stays, for without it its old digests can be compared with nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/event.h"
#include "base/hash.h"
#include "base/keys.h"
#include "base/result.h"
#include "base/secret.h"

namespace lantern::audit {

inline constexpr size_t kRingKeysMax = 10'000;

enum class KeyPurpose {
  kLog,      // Ed25519: log checkpoints and receipts
  kSigning,  // ECDSA: this machine's signatures over models
  kDigest,   // HMAC-SHA-256: tier-B receipts and content digests
};

struct PurposeInfo {
  KeyPurpose purpose;
  std::string_view name;        // "log", "signing", "digest"
  std::string_view use;         // one line
  std::string_view loss;        // what it means to lose the private half
  std::string_view disclosure;  // what it means if others get it
};
std::span<const PurposeInfo> key_purposes();
const PurposeInfo& purpose_info(KeyPurpose purpose);
Result<KeyPurpose> purpose_from_name(std::string_view name);

struct KeyInfo {
  KeyPurpose purpose = KeyPurpose::kLog;
  std::string kind = {};  // "ed25519", "p256", "p384", "p521", "hmac-sha256"
  std::string id = {};    // 64 hexadecimal digits
  std::string created_at = {};
  std::string retired_at = {};                     // empty: current
  std::optional<base::PublicKey> public_key = {};  // none for HMAC
  bool has_private = false;                        // its private half is here
};

/// A key outside its ring: what a backup holds.
struct KeyCopy {
  KeyInfo info = {};
  base::Secret private_half = {};  // the text of its .key file; empty: it is not there
};
/// The content of a key's .json file, and back: kCorrupt unless its parts agree with each other.
std::string key_info_to_json(const KeyInfo& key);
Result<KeyInfo> key_info_from_json(std::string_view json, std::string_view what);
/// kCorrupt unless `secret` is the private half of `key`.
Status check_private_half(const KeyInfo& key, std::string_view secret, std::string_view what);

/// What a ring did with the keys of a backup.
struct Restored {
  size_t n_added = 0;      // were not known here
  size_t n_completed = 0;  // were known and had lost their private half
  size_t n_present = 0;
  std::vector<KeyPurpose> replaced = {};  // their current key is the backup's now
};

/// 32 secret bytes for HMAC-SHA-256. Never printed, wiped when destroyed.
class SecretKey {
 public:
  SecretKey(std::span<const std::byte, 32> bytes, std::string id);
  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;
  ~SecretKey();
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] base::Digest hmac(std::string_view message) const;
  /// hmac() as a record holds it; `of` names the content.
  [[nodiscard]] KeyedDigest digest(std::string_view of, std::string_view content) const;

 private:
  std::array<std::byte, 32> bytes_;
  std::string id_;
};

/// Safe for several processes: changes are made under a lock on the folder. Cheap to copy; holds
/// no key in memory.
class KeyRing {
 public:
  /// The ring of this user: keys/ in the state folder. Makes nothing.
  static Result<KeyRing> of_user();
  explicit KeyRing(std::filesystem::path folder) : folder_(std::move(folder)) {}

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  /// Every key, purposes in their order, the oldest first.
  [[nodiscard]] Result<std::vector<KeyInfo>> list() const;
  /// kNotFound where there is none.
  [[nodiscard]] Result<KeyInfo> current(KeyPurpose purpose) const;

  /// The private half of the current key; made (Ed25519, P-256) where there is none yet.
  [[nodiscard]] Result<base::PrivateKey> signing_key(KeyPurpose purpose) const;
  /// The current HMAC key; made where there is none yet.
  [[nodiscard]] Result<SecretKey> digest_key() const;
  /// An HMAC key by its id, retired ones too.
  [[nodiscard]] Result<SecretKey> digest_key(std::string_view id) const;
  /// All public halves of a purpose, the newest first.
  [[nodiscard]] Result<std::vector<base::PublicKey>> public_keys(KeyPurpose purpose) const;

  /// A new key. kInvalidArgument where the purpose has one already (rotate() replaces it) or the
  /// kind does not suit it. An empty kind is the purpose's own.
  Result<KeyInfo> create(KeyPurpose purpose, std::string_view kind = {}) const;
  /// A new key of the same kind takes over from the current one, which is retired.
  Result<KeyInfo> rotate(KeyPurpose purpose) const;
  /// Every key, private halves included. kNotFound where there is none.
  [[nodiscard]] Result<std::vector<KeyCopy>> copies() const;
  /// Takes in the keys of a backup; nothing that is here is overwritten, and a private half that
  /// was destroyed when its key was retired stays so. Where a purpose has another current key here
  /// than in the backup it is kInvalidArgument, and nothing is done, unless `replace`: then the one
  /// here is retired as rotate() does it.
  Result<Restored> restore(std::span<const KeyCopy> copies, bool replace) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace lantern::audit
