// Signing keys: Ed25519 (RFC 8032) and ECDSA over P-256, P-384 and P-521 with the hash that
// follows the curve (SHA-256, SHA-384, SHA-512), signatures in DER. Through OpenSSL.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace lantern::base {

enum class KeyKind { kEd25519, kP256, kP384, kP521 };

/// "ed25519", "p256", "p384", "p521".
std::string_view key_kind_name(KeyKind kind);
Result<KeyKind> key_kind_from_name(std::string_view name);

/// Immutable; copies share the key.
class PublicKey {
 public:
  /// "-----BEGIN PUBLIC KEY-----" (SubjectPublicKeyInfo). `what` names the source in messages.
  /// kCorrupt for what is no PEM, kUnsupported for other kinds of key.
  static Result<PublicKey> from_pem(std::string_view pem, std::string_view what);
  static Result<PublicKey> from_ed25519(std::span<const std::byte, 32> raw);
  /// Takes a reference of its own to `key`, as a certificate hands it out.
  static Result<PublicKey> from_openssl(evp_pkey_st* key, std::string_view what);

  [[nodiscard]] KeyKind kind() const { return kind_; }
  /// SubjectPublicKeyInfo as PEM, and as DER.
  [[nodiscard]] std::string to_pem() const;
  [[nodiscard]] std::vector<std::byte> to_der() const;
  /// The key's name in records: SHA-256 of to_der().
  [[nodiscard]] Digest id() const;
  /// The 32 bytes of an Ed25519 key; kUnsupported for the other kinds.
  [[nodiscard]] Result<std::array<std::byte, 32>> ed25519_bytes() const;

  /// False for a wrong signature as for a malformed one.
  [[nodiscard]] bool verifies(std::span<const std::byte> message,
                              std::span<const std::byte> signature) const;

 private:
  friend class PrivateKey;
  PublicKey(std::shared_ptr<evp_pkey_st> key, KeyKind kind) : key_(std::move(key)), kind_(kind) {}
  std::shared_ptr<evp_pkey_st> key_;
  KeyKind kind_;
};

/// Immutable; copies share the key. Its bytes are never printed or logged.
class PrivateKey {
 public:
  static Result<PrivateKey> generate(KeyKind kind);
  /// PKCS #8 or the traditional form; encrypted ones need `passphrase`. kCorrupt, kUnsupported,
  /// kInvalidArgument where the passphrase is missing or wrong.
  static Result<PrivateKey> from_pem(std::string_view pem, std::string_view what,
                                     std::string_view passphrase = {});
  /// from_pem() of a file. kInvalidArgument where others than its owner may read it.
  static Result<PrivateKey> load(const std::filesystem::path& path,
                                 std::string_view passphrase = {});
  /// Writes PKCS #8 PEM, mode 0600, encrypted (AES-256-CBC) where a passphrase is given.
  /// kInvalidArgument where `path` exists: a key is never overwritten.
  Status save(const std::filesystem::path& path, std::string_view passphrase = {}) const;

  [[nodiscard]] PublicKey public_key() const;
  [[nodiscard]] Result<std::vector<std::byte>> sign(std::span<const std::byte> message) const;

 private:
  PrivateKey(std::shared_ptr<evp_pkey_st> key, KeyKind kind) : key_(std::move(key)), kind_(kind) {}
  std::shared_ptr<evp_pkey_st> key_;
  KeyKind kind_;
};

}  // namespace lantern::base
