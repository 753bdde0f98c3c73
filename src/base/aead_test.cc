// AES-256-GCM against the test vectors of McGrew and Viega, "The Galois/Counter Mode of Operation",
// 2005, appendix B (cases 13, 14 and 16).
#include "base/aead.h"

#include <gtest/gtest.h>

namespace lantern::base {
namespace {

std::string bytes(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  return out;
}

struct Vector {
  std::string_view key, nonce, context, content, sealed;
};

constexpr std::string_view kZeros =
    "0000000000000000000000000000000000000000000000000000000000000000";
constexpr Vector kVectors[] = {
    {kZeros, "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {kZeros, "000000000000000000000000", "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b"
     "5"
     "25b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828"
     "838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"},
};

TEST(Aead, EqualsThePublishedVectorsBothWays) {
  for (const Vector& v : kVectors) {
    const std::string key = bytes(v.key), nonce = bytes(v.nonce), context = bytes(v.context);
    const AeadInput input{.key = key, .nonce = nonce, .context = context};
    EXPECT_EQ(aead_seal(input, bytes(v.content)), bytes(v.sealed));
    auto opened = aead_open(input, bytes(v.sealed));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    EXPECT_EQ(opened->view(), bytes(v.content));
  }
}

TEST(Aead, AnyChangedBitIsNoticed) {
  const std::string key(32, 'k'), nonce = random_nonce(), context = "id 7";
  const AeadInput input{.key = key, .nonce = nonce, .context = context};
  const std::string sealed = aead_seal(input, "content");
  ASSERT_TRUE(aead_open(input, sealed).ok());
  for (size_t i = 0; i < sealed.size() * 8; ++i) {
    std::string changed = sealed;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << i % 8));
    EXPECT_EQ(aead_open(input, changed).error().code, ErrorCode::kCorrupt) << i;
  }
  const std::string other_key(32, 'K'), other_nonce = random_nonce(), other_context = "id 8";
  for (const AeadInput& other : {AeadInput{.key = other_key, .nonce = nonce, .context = context},
                                 AeadInput{.key = key, .nonce = other_nonce, .context = context},
                                 AeadInput{.key = key, .nonce = nonce, .context = other_context}})
    EXPECT_EQ(aead_open(other, sealed).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(aead_open(input, "short").error().code, ErrorCode::kCorrupt);
  EXPECT_NE(random_nonce(), random_nonce());
}

}  // namespace
}  // namespace lantern::base
