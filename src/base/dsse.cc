#include "base/dsse.h"

#include <algorithm>

#include "base/base64.h"

namespace lantern::base {
namespace {

constexpr size_t kSignaturesMax = 16;
constexpr size_t kPayloadBytesMax = 64u << 20;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

Result<std::string_view> text_member(const Json& json, const char* name, std::string_view what) {
  const auto member = json.find(name);
  if (member == json.end() || !member->is_string())
    return make_error(ErrorCode::kCorrupt, "{}: \"{}\" is missing or no string", what, name);
  return std::string_view(member->get_ref<const std::string&>());
}

Result<std::vector<std::byte>> base64_member(const Json& json, const char* name,
                                             std::string_view what) {
  LANTERN_ASSIGN(const std::string_view text, text_member(json, name, what));
  auto bytes = from_base64(text);
  if (!bytes.ok()) return make_error(ErrorCode::kCorrupt, "{}: \"{}\" is not base64", what, name);
  return bytes;
}

}  // namespace

std::string dsse_pae(std::string_view payload_type, std::string_view payload) {
  return fmt::format("DSSEv1 {} {} {} {}", payload_type.size(), payload_type, payload.size(),
                     payload);
}

Result<DsseEnvelope> dsse_from_json(const Json& json, std::string_view what) {
  if (!json.is_object())
    return make_error(ErrorCode::kCorrupt, "{}: a DSSE envelope is a JSON object", what);
  DsseEnvelope envelope;
  LANTERN_ASSIGN(const std::string_view type, text_member(json, "payloadType", what));
  envelope.payload_type = type;
  LANTERN_ASSIGN(const std::vector<std::byte> payload, base64_member(json, "payload", what));
  if (payload.size() > kPayloadBytesMax)
    return make_error(ErrorCode::kTooLarge, "{}: the payload has {} bytes, at most {} are read",
                      what, payload.size(), kPayloadBytesMax);
  envelope.payload.assign(reinterpret_cast<const char*>(payload.data()), payload.size());
  const auto signatures = json.find("signatures");
  if (signatures == json.end() || !signatures->is_array() || signatures->empty() ||
      signatures->size() > kSignaturesMax)
    return make_error(ErrorCode::kCorrupt, "{}: \"signatures\" holds 1 to {} signatures", what,
                      kSignaturesMax);
  for (const Json& entry : *signatures) {
    if (!entry.is_object())
      return make_error(ErrorCode::kCorrupt, "{}: a signature is a JSON object", what);
    DsseSignature signature;
    LANTERN_ASSIGN(signature.signature, base64_member(entry, "sig", what));
    if (const auto keyid = entry.find("keyid"); keyid != entry.end() && keyid->is_string())
      signature.keyid = keyid->get<std::string>();
    envelope.signatures.push_back(std::move(signature));
  }
  return envelope;
}

Result<DsseEnvelope> parse_dsse(std::string_view text, std::string_view what) {
  LANTERN_ASSIGN(const Json json, parse_json(text, what, {.bytes_max = 2 * kPayloadBytesMax}));
  return dsse_from_json(json, what);
}

OrderedJson dsse_to_json(const DsseEnvelope& envelope) {
  OrderedJson signatures = OrderedJson::array();
  for (const DsseSignature& signature : envelope.signatures)
    signatures.push_back({{"sig", to_base64(signature.signature)}, {"keyid", signature.keyid}});
  return {{"payload", to_base64(envelope.payload)},
          {"payloadType", envelope.payload_type},
          {"signatures", std::move(signatures)}};
}

Result<DsseEnvelope> dsse_sign(std::string_view payload_type, std::string_view payload,
                               const PrivateKey& key) {
  DsseEnvelope envelope{.payload_type = std::string(payload_type), .payload = std::string(payload)};
  LANTERN_TRY(dsse_add_signature(envelope, key));
  return envelope;
}

Status dsse_add_signature(DsseEnvelope& envelope, const PrivateKey& key) {
  LANTERN_ASSIGN(std::vector<std::byte> signature,
                 key.sign(bytes_of(dsse_pae(envelope.payload_type, envelope.payload))));
  envelope.signatures.push_back(
      {.keyid = to_hex(key.public_key().id()), .signature = std::move(signature)});
  return {};
}

std::vector<PublicKey> dsse_signers(const DsseEnvelope& envelope,
                                    std::span<const PublicKey> trusted) {
  const std::string signed_bytes = dsse_pae(envelope.payload_type, envelope.payload);
  std::vector<PublicKey> signers;
  std::vector<Digest> seen;
  for (const PublicKey& key : trusted) {
    const Digest id = key.id();
    if (std::find(seen.begin(), seen.end(), id) != seen.end()) continue;
    for (const DsseSignature& signature : envelope.signatures) {
      if (!key.verifies(bytes_of(signed_bytes), signature.signature)) continue;
      signers.push_back(key);
      seen.push_back(id);
      break;
    }
  }
  return signers;
}

}  // namespace lantern::base
