// Sigstore bundles (v0.3, JSON) as model signatures use them: who signed, and a DSSE envelope over
// the statement. Bundles made before release 1.1 of the reference tool hold the key itself
// (`rawBytes`) in place of its hint.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/dsse.h"
#include "base/keys.h"
#include "base/result.h"

namespace lantern::supply {

enum class SigningMethod {
  kKey,
  kCertificate,
  kKeyless,  // a short-lived certificate and a public log; recognised, never trusted here
};

/// "key", "certificate" or "keyless".
std::string_view signing_method_name(SigningMethod method);

inline constexpr std::string_view kInTotoPayloadType = "application/vnd.in-toto+json";

struct SignatureBundle {
  SigningMethod method = SigningMethod::kKey;
  std::string key_hint = {};                              // kKey: key_hint() of the signer's key
  std::vector<std::vector<std::byte>> certificates = {};  // else: DER, the leaf first
  base::DsseEnvelope envelope = {};                       // exactly one signature
};

/// How a bundle names a key: SHA-256, in hexadecimal, of its SubjectPublicKeyInfo in PEM.
std::string key_hint(const base::PublicKey& key);

/// kCorrupt names `what` and the field, or the limit that it is past; kUnsupported for other media
/// types.
Result<SignatureBundle> parse_bundle(std::string_view text, std::string_view what);

/// One JSON document and a line break. Not for keyless bundles.
std::string to_json(const SignatureBundle& bundle);

}  // namespace lantern::supply
