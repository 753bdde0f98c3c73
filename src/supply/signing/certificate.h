// X.509 certificates that sign models. A chain is judged against roots that somebody gave, never
// against the system's: whoever may have a web site may not have models. The signer is named by
// root and subject together, since any root can issue any subject.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/keys.h"
#include "base/result.h"

struct x509_st;  // OpenSSL's X509

namespace lantern::supply {

using TimePoint = std::chrono::system_clock::time_point;

/// Immutable; copies share the certificate.
class Certificate {
 public:
  /// kCorrupt for what is no certificate, or has bytes after it.
  static Result<Certificate> from_der(std::span<const std::byte> der, std::string_view what);
  /// Every "BEGIN CERTIFICATE" block, in order. kCorrupt where there is none or one is broken,
  /// kTooLarge past 64 of them.
  static Result<std::vector<Certificate>> from_pem(std::string_view pem, std::string_view what);

  [[nodiscard]] std::vector<std::byte> to_der() const;
  /// SHA-256 of to_der().
  [[nodiscard]] base::Digest fingerprint() const;
  /// RFC 2253, "CN=signer,O=Example"; empty where it has none.
  [[nodiscard]] std::string subject() const;
  /// kUnsupported for kinds that base::PublicKey does not know, such as RSA.
  [[nodiscard]] Result<base::PublicKey> public_key() const;
  /// Whether the extended key usage names code signing, and the key usage, where there is one,
  /// digital signatures.
  [[nodiscard]] bool may_sign_code() const;
  /// "2026-01-31T12:00:00Z"
  [[nodiscard]] std::string not_before() const;
  [[nodiscard]] std::string not_after() const;

  [[nodiscard]] x509_st* openssl() const { return certificate_.get(); }

 private:
  explicit Certificate(std::shared_ptr<x509_st> certificate)
      : certificate_(std::move(certificate)) {}
  std::shared_ptr<x509_st> certificate_;
};

enum class ChainFault {
  kNone,
  kUntrusted,          // leads to none of the roots, or a signature in it is wrong
  kExpired,            // one of them
  kNotYetValid,        // one of them
  kNotForCodeSigning,  // the leaf, or an intermediate that is limited to other uses
};

struct ChainJudgement {
  ChainFault fault = ChainFault::kUntrusted;
  std::string reason = {};        // one line; empty where trusted
  std::string subject = {};       // the leaf's
  base::Digest root{};            // fingerprint of the root it leads to; where trusted
  std::string root_subject = {};  // where trusted

  [[nodiscard]] bool trusted() const { return fault == ChainFault::kNone; }
};

/// Judges `chain` (the leaf first; order of the others is free) at the time `at`. Roots are
/// self-signed. Keys below 112 bits of strength (RSA below 2048) and SHA-1 are refused.
ChainJudgement judge_chain(std::span<const Certificate> chain, std::span<const Certificate> roots,
                           TimePoint at);

}  // namespace lantern::supply
