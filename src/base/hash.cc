#include "base/hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace lantern::base {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  LANTERN_CHECK(state_->context != nullptr);
  LANTERN_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  LANTERN_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  Digest digest;
  LANTERN_CHECK(EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(digest.data()),
                                   nullptr) == 1);
  return digest;
}

void Sha256::restart() {
  LANTERN_CHECK(EVP_DigestInit_ex2(state_->context, nullptr, nullptr) == 1);
}

Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Digest hmac_sha256(std::span<const std::byte> key, std::span<const std::byte> message) {
  Digest digest;
  unsigned size = 0;
  LANTERN_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                     reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                     reinterpret_cast<unsigned char*>(digest.data()), &size) != nullptr);
  return digest;
}

std::string to_hex(const Digest& digest) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * digest.size());
  for (std::byte b : digest) {
    hex += kDigits[static_cast<size_t>(b) >> 4];
    hex += kDigits[static_cast<size_t>(b) & 15];
  }
  return hex;
}

Result<Digest> digest_from_hex(std::string_view hex) {
  auto nibble = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  Digest digest;
  bool valid = hex.size() == 2 * digest.size();
  for (size_t i = 0; valid && i < digest.size(); ++i) {
    int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
    valid = high >= 0 && low >= 0;
    if (valid) digest[i] = static_cast<std::byte>(high * 16 + low);
  }
  if (!valid)
    return make_error(ErrorCode::kInvalidArgument, "not a SHA-256 digest (64 hexadecimal digits)");
  return digest;
}

}  // namespace lantern::base
