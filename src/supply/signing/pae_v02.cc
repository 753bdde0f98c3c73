#include "supply/signing/pae_v02.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>

namespace lantern::supply {
namespace {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// Python's repr() of bytes: single quotes unless only they occur inside.
std::string python_bytes(std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const bool has_single = bytes.find('\'') != bytes.npos;
  const bool has_double = bytes.find('"') != bytes.npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string text = "b";
  text.reserve(bytes.size() + bytes.size() / 8 + 3);
  text += quote;
  for (const char c : bytes) {
    const auto code = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
      text += '\\';
      text += c;
    } else if (c == '\n') {
      text += "\\n";
    } else if (c == '\r') {
      text += "\\r";
    } else if (c == '\t') {
      text += "\\t";
    } else if (code < 0x20 || code >= 0x7f) {
      text += "\\x";
      text += kHex[code >> 4];
      text += kHex[code & 15];
    } else {
      text += c;
    }
  }
  return text += quote;
}

}  // namespace

std::string pae_v02(std::string_view payload_type, std::string_view payload) {
  return fmt::format("DSSEV1 {} {} {} {}", payload_type.size(), payload_type, payload.size(),
                     python_bytes(payload));
}

bool verifies_with_sha256(const base::PublicKey& key, std::string_view message,
                          std::span<const std::byte> signature) {
  if (key.kind() == base::KeyKind::kEd25519) return false;
  const auto der = key.to_der();
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const std::unique_ptr<EVP_PKEY, FreeKey> own(
      d2i_PUBKEY(nullptr, &at, static_cast<long>(der.size())));
  const std::unique_ptr<EVP_MD_CTX, FreeKey> context(EVP_MD_CTX_new());
  const bool verified =
      own != nullptr && context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, own.get()) == 1 &&
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                       signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                       message.size()) == 1;
  ERR_clear_error();
  return verified;
}

}  // namespace lantern::supply
