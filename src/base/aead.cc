#include "base/aead.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <memory>

#include "base/check.h"

namespace lantern::base {
namespace {

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

const unsigned char* raw(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* raw(char* text) { return reinterpret_cast<unsigned char*>(text); }

constexpr size_t kPieceBytes = size_t{1} << 30;  // OpenSSL counts in int

/// Runs `update` over `in` into `out`, which has room for it.
template <typename Update>
void in_pieces(const Cipher& cipher, std::string_view in, char* out, Update update) {
  for (size_t at = 0; at < in.size(); at += kPieceBytes) {
    const std::string_view piece = in.substr(at, kPieceBytes);
    int n = 0;
    LANTERN_CHECK(
        update(cipher.get(), raw(out + at), &n, raw(piece), static_cast<int>(piece.size())) == 1);
  }
}

Cipher new_cipher(const AeadInput& input) {
  LANTERN_CHECK(input.key.size() == kAeadKeyBytes && input.nonce.size() == kAeadNonceBytes);
  Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  LANTERN_CHECK(cipher != nullptr);
  return cipher;
}

}  // namespace

std::string aead_seal(const AeadInput& input, std::string_view content) {
  const Cipher cipher = new_cipher(input);
  std::string sealed(content.size() + kAeadTagBytes, '\0');
  int n = 0;
  LANTERN_CHECK(EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(input.key),
                                   raw(input.nonce)) == 1);
  LANTERN_CHECK(EVP_EncryptUpdate(cipher.get(), nullptr, &n, raw(input.context),
                                  static_cast<int>(input.context.size())) == 1);
  in_pieces(cipher, content, sealed.data(), EVP_EncryptUpdate);
  LANTERN_CHECK(EVP_EncryptFinal_ex(cipher.get(), raw(sealed.data()), &n) == 1);
  LANTERN_CHECK(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kAeadTagBytes,
                                    sealed.data() + content.size()) == 1);
  return sealed;
}

Result<Secret> aead_open(const AeadInput& input, std::string_view sealed) {
  if (sealed.size() < kAeadTagBytes)
    return make_error(ErrorCode::kCorrupt, "{} encrypted bytes are too few", sealed.size());
  const Cipher cipher = new_cipher(input);
  const std::string_view text = sealed.substr(0, sealed.size() - kAeadTagBytes);
  std::string tag(sealed.substr(text.size()));
  Secret content(text.size());
  int n = 0;
  LANTERN_CHECK(EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(input.key),
                                   raw(input.nonce)) == 1);
  LANTERN_CHECK(EVP_DecryptUpdate(cipher.get(), nullptr, &n, raw(input.context),
                                  static_cast<int>(input.context.size())) == 1);
  in_pieces(cipher, text, content.bytes().data(), EVP_DecryptUpdate);
  LANTERN_CHECK(
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kAeadTagBytes, tag.data()) == 1);
  unsigned char rest[kAeadTagBytes];
  if (EVP_DecryptFinal_ex(cipher.get(), rest, &n) != 1) {
    ERR_clear_error();
    return make_error(ErrorCode::kCorrupt,
                      "encrypted bytes were changed, or belong to another key or place");
  }
  return content;
}

std::string random_nonce() {
  std::string nonce(kAeadNonceBytes, '\0');
  LANTERN_CHECK(RAND_bytes(raw(nonce.data()), static_cast<int>(nonce.size())) == 1);
  return nonce;
}

}  // namespace lantern::base
