#include "base/keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/base64.h"
#include "base/dsse.h"

namespace lantern::base {
namespace {

std::vector<std::byte> from_hex(std::string_view hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}
std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class KeyFile : public testing::Test {
 protected:
  KeyFile()
      : folder_(std::filesystem::temp_directory_path() / fmt::format("lantern-keys-{}", getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~KeyFile() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

// RFC 8032, section 7.1, TEST 2.
TEST(Keys, Ed25519OfTheRfc) {
  const auto raw = from_hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  auto signature = from_hex(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
  const auto message = from_hex("72");
  std::array<std::byte, 32> key_bytes;
  std::copy(raw.begin(), raw.end(), key_bytes.begin());
  const PublicKey key = PublicKey::from_ed25519(key_bytes).value();
  EXPECT_TRUE(key.verifies(message, signature));
  EXPECT_EQ(key.ed25519_bytes().value(), key_bytes);
  for (size_t i = 0; i < signature.size(); ++i) {
    signature[i] ^= std::byte{4};
    EXPECT_FALSE(key.verifies(message, signature)) << i;
    signature[i] ^= std::byte{4};
  }
  EXPECT_FALSE(key.verifies(bytes_of("s"), signature));
  EXPECT_FALSE(key.verifies(message, std::span(signature).first(63)));
  EXPECT_FALSE(key.verifies(message, {}));
}

// RFC 4231, test case 2.
TEST(Keys, HmacOfTheRfc) {
  EXPECT_EQ(to_hex(hmac_sha256(bytes_of("Jefe"), bytes_of("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST_F(KeyFile, EveryKindSignsAndSurvivesItsFile) {
  for (const KeyKind kind : {KeyKind::kEd25519, KeyKind::kP256, KeyKind::kP384, KeyKind::kP521}) {
    SCOPED_TRACE(key_kind_name(kind));
    EXPECT_EQ(key_kind_from_name(key_kind_name(kind)).value(), kind);
    const PrivateKey key = PrivateKey::generate(kind).value();
    const auto signature = key.sign(bytes_of("abc")).value();
    for (const std::string_view passphrase : {"", "a phrase"}) {
      const auto path = folder_ / fmt::format("{}{}", key_kind_name(kind), passphrase.size());
      ASSERT_TRUE(key.save(path, passphrase).ok());
      EXPECT_EQ(key.save(path).error().code, ErrorCode::kInvalidArgument) << "overwritten";
      if (!passphrase.empty()) {
        EXPECT_EQ(PrivateKey::load(path).error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(PrivateKey::load(path, "wrong").error().code, ErrorCode::kInvalidArgument);
      }
      const PrivateKey again = PrivateKey::load(path, passphrase).value();
      EXPECT_EQ(again.public_key().id(), key.public_key().id());
      const auto pem = key.public_key().to_pem();
      const PublicKey read = PublicKey::from_pem(pem, "pem").value();
      EXPECT_EQ(read.kind(), kind);
      EXPECT_EQ(read.to_der(), key.public_key().to_der());
      EXPECT_TRUE(read.verifies(bytes_of("abc"), signature));
      EXPECT_TRUE(read.verifies(bytes_of("abc"), again.sign(bytes_of("abc")).value()));
      EXPECT_FALSE(read.verifies(bytes_of("abd"), signature));
    }
  }
}

TEST_F(KeyFile, AKeyThatOthersMayReadIsRefused) {
  const auto path = folder_ / "key.pem";
  ASSERT_TRUE(PrivateKey::generate(KeyKind::kP256).value().save(path).ok());
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  EXPECT_EQ(PrivateKey::load(path).error().code, ErrorCode::kInvalidArgument);
}

TEST(Keys, WhatIsNoKeyIsSaidSo) {
  EXPECT_EQ(PublicKey::from_pem("", "f").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(PublicKey::from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "f")
                .error()
                .code,
            ErrorCode::kCorrupt);
  EXPECT_EQ(PrivateKey::from_pem("nothing", "f").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(PublicKey::from_pem(std::string(1 << 20, 'x'), "f").error().code, ErrorCode::kTooLarge);
}

TEST(Base64, OneEncodingAlone) {
  for (const std::string_view text : {"", "f", "fo", "foo", "foob"})
    EXPECT_EQ(from_base64(to_base64(text)).value().size(), text.size());
  EXPECT_EQ(to_base64("foob"), "Zm9vYg==");  // RFC 4648, section 10
  for (const std::string_view bad :
       {"Zg", "Zg=", "Zh==", "Zg==\n", " Zg==", "Z===", "====", "Z-==", "Zg==Zg=="})
    EXPECT_FALSE(from_base64(bad).ok()) << bad;
}

// The example of the specification (protocol.md).
TEST(Dsse, PreAuthenticationEncoding) {
  EXPECT_EQ(dsse_pae("http://example.com/HelloWorld", "hello world"),
            "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

TEST(Dsse, SignersAreThoseWhoSigned) {
  const PrivateKey a = PrivateKey::generate(KeyKind::kEd25519).value();
  const PrivateKey b = PrivateKey::generate(KeyKind::kP384).value();
  const PublicKey other = PrivateKey::generate(KeyKind::kP256).value().public_key();
  DsseEnvelope made = dsse_sign("application/x", "payload", a).value();
  ASSERT_TRUE(dsse_add_signature(made, b).ok());
  DsseEnvelope read = parse_dsse(dsse_to_json(made).dump(), "envelope").value();
  EXPECT_EQ(read.payload, "payload");
  const std::vector<PublicKey> trusted = {other, b.public_key(), a.public_key(), b.public_key()};
  const auto signers = dsse_signers(read, trusted);
  ASSERT_EQ(signers.size(), 2u);
  EXPECT_EQ(signers[0].id(), b.public_key().id());
  EXPECT_EQ(signers[1].id(), a.public_key().id());
  read.payload += ' ';
  EXPECT_TRUE(dsse_signers(read, trusted).empty());
  read.payload.pop_back();
  read.payload_type = "application/y";
  EXPECT_TRUE(dsse_signers(read, trusted).empty());
}

TEST(Dsse, NamedCorruptEnvelopes) {
  struct Case {
    std::string_view name, text;
  };
  const Case cases[] = {
      {"no JSON", "{"},
      {"no object", "[]"},
      {"no type", R"({"payload":"","signatures":[{"sig":""}]})"},
      {"payload not base64", R"({"payload":"?","payloadType":"t","signatures":[{"sig":""}]})"},
      {"no signatures", R"({"payload":"","payloadType":"t"})"},
      {"empty signatures", R"({"payload":"","payloadType":"t","signatures":[]})"},
      {"a signature that is no object", R"({"payload":"","payloadType":"t","signatures":["a"]})"},
      {"a signature without sig", R"({"payload":"","payloadType":"t","signatures":[{}]})"},
  };
  for (const Case& c : cases)
    EXPECT_EQ(parse_dsse(c.text, "f").error().code, ErrorCode::kCorrupt) << c.name;
}

}  // namespace
}  // namespace lantern::base
