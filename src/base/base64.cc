#include "base/base64.h"

#include <openssl/evp.h>

#include <limits>

namespace lantern::base {

std::string to_base64(std::span<const std::byte> bytes) {
  LANTERN_CHECK(bytes.size() <= std::numeric_limits<int>::max() / 2);
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL adds a final NUL
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(n));
  return text;
}

Result<std::vector<std::byte>> from_base64(std::string_view text) {
  const Error fault = make_error(ErrorCode::kCorrupt, "not base64");
  if (text.size() % 4 != 0 || text.size() > std::numeric_limits<int>::max() / 2) return fault;
  std::vector<std::byte> bytes(text.size() / 4 * 3);
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                reinterpret_cast<const unsigned char*>(text.data()),
                                static_cast<int>(text.size()));
  if (n < 0 || static_cast<size_t>(n) != bytes.size()) return fault;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  bytes.resize(bytes.size() - padding);
  // OpenSSL skips white space at both ends and takes stray low bits; one encoding alone is right.
  if (to_base64(bytes) != text) return fault;
  return bytes;
}

}  // namespace lantern::base
