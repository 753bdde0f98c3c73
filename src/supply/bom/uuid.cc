#include <openssl/evp.h>

#include <array>
#include <cstddef>

#include "base/check.h"
#include "supply/bom/bom.h"

namespace lantern::supply {
namespace {

/// Lantern's own name space: uuid5(the RFC's name space of URLs, "urn:lantern").
constexpr std::array<uint8_t, 16> kNameSpace = {0x7c, 0xbe, 0x8b, 0xac, 0x64, 0xe7, 0x50, 0x21,
                                                0xbd, 0x93, 0x25, 0xda, 0x5e, 0xd2, 0x75, 0x39};

}  // namespace

std::string uuid5(std::string_view name) {
  std::string input(kNameSpace.begin(), kNameSpace.end());
  input += name;
  // RFC 9562 has SHA-1 here: it makes a name, it guards nothing.
  std::array<uint8_t, EVP_MAX_MD_SIZE> hash{};
  unsigned int n = 0;
  LANTERN_CHECK(EVP_Digest(input.data(), input.size(), hash.data(), &n, EVP_sha1(), nullptr) == 1 &&
                n == 20);
  hash[6] = static_cast<uint8_t>((hash[6] & 0x0f) | 0x50);  // version 5
  hash[8] = static_cast<uint8_t>((hash[8] & 0x3f) | 0x80);  // the variant of the RFC
  std::string text;
  for (size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", hash[i]);
  }
  return text;
}

}  // namespace lantern::supply
