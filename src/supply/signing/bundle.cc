#include "supply/signing/bundle.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/printable.h"

namespace lantern::supply {
namespace {

using base::Json;
using base::OrderedJson;

constexpr std::string_view kMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
// The payload is at most 64 MiB, and base64 makes it a third longer.
constexpr size_t kBundleBytesMax = 96u << 20;
constexpr size_t kCertificatesMax = 16;
constexpr size_t kCertificateBytesMax = 64u << 10;

Error wrong(std::string_view what, std::string_view field, std::string_view fault) {
  return make_error(ErrorCode::kCorrupt, "{}: the bundle's {} {}", what, field, fault);
}

const Json* find_object(const Json& json, const char* name) {
  const auto found = json.find(name);
  return found != json.end() && found->is_object() ? &*found : nullptr;
}

Result<std::vector<std::byte>> read_raw_bytes(const Json& json, std::string_view what,
                                              std::string_view field) {
  const auto raw = json.is_object() ? json.find("rawBytes") : json.end();
  if (!json.is_object() || raw == json.end() || !raw->is_string())
    return wrong(what, field, "has no rawBytes");
  auto bytes = base::from_base64(raw->get_ref<const std::string&>());
  if (!bytes.ok()) return wrong(what, field, "is not base64");
  if (bytes->empty() || bytes->size() > kCertificateBytesMax)
    return wrong(what, field, "has a size that no key or certificate has");
  return bytes;
}

Status read_key(const Json& key, std::string_view what, SignatureBundle& out) {
  out.method = SigningMethod::kKey;
  if (const auto hint = key.find("hint"); hint != key.end() && hint->is_string()) {
    out.key_hint = hint->get<std::string>();
    if (out.key_hint.empty()) return wrong(what, "publicKey", "has an empty hint");
    return {};
  }
  if (!key.contains("rawBytes")) return wrong(what, "publicKey", "has neither hint nor rawBytes");
  LANTERN_ASSIGN(const auto pem, read_raw_bytes(key, what, "publicKey"));
  LANTERN_ASSIGN(const auto parsed,
                 base::PublicKey::from_pem({reinterpret_cast<const char*>(pem.data()), pem.size()},
                                           fmt::format("{}: the bundle's publicKey", what)));
  out.key_hint = key_hint(parsed);
  return {};
}

Status read_chain(const Json& chain, std::string_view what, SignatureBundle& out) {
  out.method = SigningMethod::kCertificate;
  const auto certificates = chain.find("certificates");
  if (certificates == chain.end() || !certificates->is_array() || certificates->empty() ||
      certificates->size() > kCertificatesMax)
    return wrong(what, "x509CertificateChain", "holds no list of 1 to 16 certificates");
  for (const Json& certificate : *certificates) {
    LANTERN_ASSIGN(auto der, read_raw_bytes(certificate, what, "certificate"));
    out.certificates.push_back(std::move(der));
  }
  return {};
}

Status read_keyless(const Json& material, const Json& certificate, std::string_view what,
                    SignatureBundle& out) {
  out.method = SigningMethod::kKeyless;
  LANTERN_ASSIGN(auto der, read_raw_bytes(certificate, what, "certificate"));
  out.certificates.push_back(std::move(der));
  const auto log = material.find("tlogEntries");
  if (log == material.end() || !log->is_array() || log->empty())
    return wrong(what, "tlogEntries", "is missing or empty, which a keyless signature needs");
  return {};
}

Status read_material(const Json& bundle, std::string_view what, SignatureBundle& out) {
  const Json* material = find_object(bundle, "verificationMaterial");
  if (material == nullptr) return wrong(what, "verificationMaterial", "is missing or no object");
  const Json* key = find_object(*material, "publicKey");
  const Json* chain = find_object(*material, "x509CertificateChain");
  const Json* certificate = find_object(*material, "certificate");
  const int n_found = (key != nullptr) + (chain != nullptr) + (certificate != nullptr);
  if (n_found != 1)
    return wrong(what, "verificationMaterial",
                 "holds not exactly one of publicKey, x509CertificateChain and certificate");
  if (key != nullptr) return read_key(*key, what, out);
  if (chain != nullptr) return read_chain(*chain, what, out);
  return read_keyless(*material, *certificate, what, out);
}

}  // namespace

std::string_view signing_method_name(SigningMethod method) {
  switch (method) {
    case SigningMethod::kKey:
      return "key";
    case SigningMethod::kCertificate:
      return "certificate";
    case SigningMethod::kKeyless:
      return "keyless";
  }
  return "";
}

std::string key_hint(const base::PublicKey& key) {
  return base::to_hex(base::sha256(key.to_pem()));
}

Result<SignatureBundle> parse_bundle(std::string_view text, std::string_view what) {
  auto parsed = base::parse_json(text, what, {.bytes_max = kBundleBytesMax, .depth_max = 32});
  // Of a signature, what is past a limit is as wrong as what is no JSON.
  if (!parsed.ok() && parsed.error().code == ErrorCode::kTooLarge)
    return Error{ErrorCode::kCorrupt, std::move(parsed).error().message};
  if (!parsed.ok()) return std::move(parsed).error();
  const Json& json = *parsed;
  if (!json.is_object()) return make_error(ErrorCode::kCorrupt, "{}: no signature bundle", what);
  const auto media_type = json.find("mediaType");
  if (media_type == json.end() || !media_type->is_string())
    return wrong(what, "mediaType", "is missing or no string");
  if (*media_type != kMediaType)
    return make_error(ErrorCode::kUnsupported, "{}: of type {}; {} is supported", what,
                      base::printable(media_type->get_ref<const std::string&>()), kMediaType);
  SignatureBundle bundle;
  LANTERN_TRY(read_material(json, what, bundle));
  const Json* envelope = find_object(json, "dsseEnvelope");
  if (envelope == nullptr) return wrong(what, "dsseEnvelope", "is missing or no object");
  LANTERN_ASSIGN(bundle.envelope, base::dsse_from_json(*envelope, what));
  if (bundle.envelope.signatures.size() != 1)
    return wrong(what, "dsseEnvelope", "holds not exactly one signature");
  if (bundle.envelope.payload_type != kInTotoPayloadType)
    return make_error(ErrorCode::kUnsupported, "{}: a payload of type {}; {} is supported", what,
                      base::printable(bundle.envelope.payload_type), kInTotoPayloadType);
  return bundle;
}

std::string to_json(const SignatureBundle& bundle) {
  OrderedJson material;
  if (bundle.method == SigningMethod::kKey) {
    material["publicKey"] = {{"hint", bundle.key_hint}};
  } else {
    OrderedJson certificates = OrderedJson::array();
    for (const auto& der : bundle.certificates)
      certificates.push_back({{"rawBytes", base::to_base64(der)}});
    material["x509CertificateChain"] = {{"certificates", std::move(certificates)}};
  }
  const OrderedJson json = {{"mediaType", kMediaType},
                            {"verificationMaterial", std::move(material)},
                            {"dsseEnvelope", base::dsse_to_json(bundle.envelope)}};
  return json.dump() + "\n";
}

}  // namespace lantern::supply
