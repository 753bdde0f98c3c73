// DSSE v1 envelopes: signatures over a payload and its type. What the organisation decides
// (policy, approvals, revocations) and what models are signed with travels in these.
// Specification: secure-systems-lab/dsse, protocol.md and envelope.md, v1.0.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/keys.h"
#include "base/result.h"

namespace lantern::base {

struct DsseSignature {
  std::string keyid = {};  // a hint, never trusted; may be empty
  std::vector<std::byte> signature = {};
};

struct DsseEnvelope {
  std::string payload_type = {};
  std::string payload = {};  // decoded
  std::vector<DsseSignature> signatures = {};
};

/// The bytes that are signed: "DSSEv1 <len> <type> <len> <payload>".
std::string dsse_pae(std::string_view payload_type, std::string_view payload);

/// kCorrupt, naming `what` and the field. At least one signature and at most 16; payload at most
/// 64 MiB. Members that the specification does not name are ignored.
Result<DsseEnvelope> dsse_from_json(const Json& json, std::string_view what);
Result<DsseEnvelope> parse_dsse(std::string_view text, std::string_view what);
OrderedJson dsse_to_json(const DsseEnvelope& envelope);

/// One signature, whose keyid is the key's id in hexadecimal.
Result<DsseEnvelope> dsse_sign(std::string_view payload_type, std::string_view payload,
                               const PrivateKey& key);
/// Adds another key's signature to `envelope`.
Status dsse_add_signature(DsseEnvelope& envelope, const PrivateKey& key);

/// The keys of `trusted` with a signature that verifies, in that order, each once. Empty: not
/// verified.
std::vector<PublicKey> dsse_signers(const DsseEnvelope& envelope,
                                    std::span<const PublicKey> trusted);

}  // namespace lantern::base
