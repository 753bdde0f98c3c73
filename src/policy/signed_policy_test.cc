#include "policy/signed_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/base64.h"
#include "base/file.h"
#include "base/paths.h"
#include "policy/clock.h"
#include "policy/testing.h"

namespace lantern::policy {
namespace {

namespace fs = std::filesystem;
using testing::at;
using ::testing::HasSubstr;
using testing::kHead;

const base::UtcTime kNow = at("2026-11-22T12:00:00Z");

Result<base::Digest> no_alias(std::string_view alias) {
  return make_error(ErrorCode::kNotFound, "{} is not in the store", alias);
}

std::string policy_text(int version, std::string_view rest = "") {
  return fmt::format(
      "format = 1\nversion = {}\nissued = 2026-11-01T00:00:00Z\nexpires = "
      "2027-01-01T00:00:00Z\n{}",
      version, rest);
}

class SignedPolicyTest : public testing::FolderTest {
 protected:
  SignedPolicyTest() { trust("root.pem", key_.public_key()); }

  void trust(const std::string& name, const base::PublicKey& key) {
    write(folder_ / "trust" / name, key.to_pem());
  }
  void put(const std::string& toml) { put_signed(toml, key_); }
  void put_signed(const std::string& toml, const base::PrivateKey& key) {
    write(folder_ / kPolicyFileName, sign_policy(toml, "p", key, no_alias).value());
  }
  Result<SignedPolicy> load(base::UtcTime now = kNow) { return load_policy(source(), now, floor_); }
  [[nodiscard]] PolicySource source() const { return {.folder = folder_, .owner = ::geteuid()}; }

  base::PrivateKey key_ = testing::new_key();
  VersionFloorInMemory floor_;
};

TEST_F(SignedPolicyTest, EveryKindOfKeyServes) {
  for (const base::KeyKind kind : {base::KeyKind::kEd25519, base::KeyKind::kP256,
                                   base::KeyKind::kP384, base::KeyKind::kP521}) {
    const base::PrivateKey key = base::PrivateKey::generate(kind).value();
    trust("other.pem", key.public_key());
    put_signed(policy_text(1), key);
    const auto loaded = load();
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    EXPECT_EQ(loaded->text, policy_text(1));
    EXPECT_EQ(loaded->digest, base::sha256(policy_text(1)));
    ASSERT_EQ(loaded->signers.size(), 1u);
    EXPECT_EQ(loaded->signers[0].id(), key.public_key().id());
  }
}

TEST_F(SignedPolicyTest, WhatNoTrustedKeySignedIsDenied) {
  put_signed(policy_text(1), testing::new_key());
  EXPECT_EQ(load().error().code, ErrorCode::kDenied);
  EXPECT_THAT(load().error().message, HasSubstr("no key of the trust root signed it"));
}

TEST_F(SignedPolicyTest, AChangedByteIsDenied) {
  put(policy_text(1));
  std::string envelope = base::read_text_file(folder_ / kPolicyFileName, 1 << 20).value();
  auto json = base::parse_json(envelope, "e").value();
  const std::string changed = policy_text(1, "ask = \"x\"\n");
  json["payload"] = base::to_base64(changed);
  write(folder_ / kPolicyFileName, json.dump());
  EXPECT_EQ(load().error().code, ErrorCode::kDenied);
  json["payloadType"] = "text/plain";
  write(folder_ / kPolicyFileName, json.dump());
  EXPECT_EQ(load().error().code, ErrorCode::kCorrupt);
  for (size_t cut : {size_t{0}, size_t{1}, envelope.size() / 2, envelope.size() - 3}) {
    write(folder_ / kPolicyFileName, envelope.substr(0, cut));
    EXPECT_FALSE(load().ok()) << cut;
  }
}

TEST_F(SignedPolicyTest, APolicySignedForAnotherPurposeIsDenied) {
  const auto envelope =
      base::dsse_sign("application/vnd.in-toto+json", policy_text(1), key_).value();
  write(folder_ / kPolicyFileName, base::dsse_to_json(envelope).dump());
  EXPECT_FALSE(load().ok());
}

TEST_F(SignedPolicyTest, TimeBoundsIt) {
  put(policy_text(1));
  EXPECT_TRUE(load(at("2026-12-31T23:59:59Z")).ok());
  EXPECT_THAT(load(at("2027-01-01T00:00:00Z")).error().message, HasSubstr("expired on"));
  EXPECT_TRUE(load(at("2026-10-31T23:55:00Z")).ok());
  EXPECT_THAT(load(at("2026-10-31T23:54:59Z")).error().message, HasSubstr("yet to come"));
  const auto endless =
      sign_policy("format = 1\nversion = 1\nissued = 2026-11-01T00:00:00Z\n", "p", key_, no_alias);
  EXPECT_EQ(endless.error().code, ErrorCode::kInvalidArgument);
  const auto forced =
      base::dsse_sign(kPolicyPayloadType,
                      "format = 1\nversion = 1\nissued = 2026-11-01T00:00:00Z\n", key_)
          .value();
  write(folder_ / kPolicyFileName, base::dsse_to_json(forced).dump());
  EXPECT_EQ(load().error().code, ErrorCode::kDenied);
}

TEST_F(SignedPolicyTest, VersionsOnlyRise) {
  put(policy_text(5));
  ASSERT_TRUE(load().ok());
  put(policy_text(4));
  EXPECT_THAT(load().error().message, HasSubstr("version 4 is older than 5"));
  put(policy_text(5));
  EXPECT_TRUE(load().ok()) << "the same one";
  put(policy_text(5, "ask = \"other\"\n"));
  EXPECT_THAT(load().error().message, HasSubstr("another document was in force under version 5"));
  put(policy_text(6));
  EXPECT_TRUE(load().ok());
}

TEST_F(SignedPolicyTest, AFloorThatCannotBeReadOrRaisedDenies) {
  struct Broken : VersionFloor {
    bool readable = false;
    Result<std::optional<VersionSeen>> highest() override {
      if (!readable) return make_error(ErrorCode::kIo, "state is gone");
      return std::optional<VersionSeen>();
    }
    Status raise(const VersionSeen&) override { return make_error(ErrorCode::kIo, "disk full"); }
  } floor;
  put(policy_text(1));
  EXPECT_EQ(load_policy(source(), kNow, floor).error().message, "state is gone");
  floor.readable = true;
  EXPECT_EQ(load_policy(source(), kNow, floor).error().message, "disk full");
}

TEST_F(SignedPolicyTest, SigningPinsAliases) {
  const std::string toml =
      policy_text(1,
                  "[[rules]]\nid = \"r\"\neffect = \"allow\"\naction = [\"load\"]\nmodel.alias = "
                  "[\"small\", \"big\"]\n");
  EXPECT_EQ(sign_policy(toml, "p", key_, no_alias).error().code, ErrorCode::kNotFound);
  const auto resolve = [](std::string_view alias) -> Result<base::Digest> {
    return testing::digest(alias);
  };
  write(folder_ / kPolicyFileName, sign_policy(toml, "p", key_, resolve).value());
  const auto loaded = load();
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->policy.pins.at("small"), testing::digest("small"));
  EXPECT_EQ(loaded->policy.pins.at("big"), testing::digest("big"));
  EXPECT_TRUE(loaded->policy.unpinned_aliases.empty());

  const auto unpinned = base::dsse_sign(kPolicyPayloadType, toml, key_).value();
  write(folder_ / kPolicyFileName, base::dsse_to_json(unpinned).dump());
  EXPECT_THAT(load().error().message, HasSubstr("is not pinned"));
  const std::string half =
      toml + "[pins]\nsmall = \"" + base::to_hex(testing::digest("small")) + "\"\n";
  EXPECT_THAT(sign_policy(half, "p", key_, resolve).error().message, HasSubstr("\"big\" first"));
}

TEST_F(SignedPolicyTest, OthersMayNotBeAbleToWriteIt) {
  put(policy_text(1));
  const fs::path paths[] = {folder_, folder_ / "trust", folder_ / "trust" / "root.pem",
                            folder_ / kPolicyFileName};
  for (const fs::path& path : paths) {
    SCOPED_TRACE(path.string());
    const mode_t mode = fs::is_directory(path) ? 0755 : 0644;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    for (const mode_t loose : {mode_t{0020}, mode_t{0002}}) {
      ASSERT_EQ(chmod(path.c_str(), mode | loose), 0);
      EXPECT_EQ(load().error().code, ErrorCode::kDenied);
      EXPECT_THAT(load().error().message, HasSubstr("others than its owner may write it"));
    }
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    EXPECT_TRUE(load().ok());
  }
  if (::geteuid() == 0) {
    ASSERT_EQ(chown((folder_ / kPolicyFileName).c_str(), 12345, 12345), 0);
    EXPECT_THAT(load().error().message, HasSubstr("belongs to user 12345"));
  }
}

TEST_F(SignedPolicyTest, AnAncestorThatOthersMayWriteIsDenied) {
  const fs::path inner = folder_ / "loose" / "lantern";
  fs::create_directories(inner / "trust");
  write(inner / "trust" / "root.pem", key_.public_key().to_pem());
  write(inner / kPolicyFileName, sign_policy(policy_text(1), "p", key_, no_alias).value());
  ASSERT_EQ(chmod(folder_.c_str(), 0755), 0);
  ASSERT_EQ(chmod((folder_ / "loose").c_str(), 0777), 0);
  const auto loaded = load_policy({.folder = inner, .owner = ::geteuid()}, kNow, floor_);
  EXPECT_EQ(loaded.error().code, ErrorCode::kDenied);
}

TEST_F(SignedPolicyTest, LinksAndOtherKindsOfFilesAreDenied) {
  put(policy_text(1));
  fs::rename(folder_ / kPolicyFileName, folder_ / "real");
  fs::create_symlink("real", folder_ / kPolicyFileName);
  EXPECT_EQ(load().error().code, ErrorCode::kDenied);
  fs::remove(folder_ / kPolicyFileName);
  ASSERT_EQ(mkfifo((folder_ / kPolicyFileName).c_str(), 0644), 0);
  EXPECT_EQ(load().error().code, ErrorCode::kDenied);
  fs::remove(folder_ / kPolicyFileName);
  fs::create_directory(folder_ / kPolicyFileName);
  EXPECT_FALSE(load().ok());
  fs::remove(folder_ / kPolicyFileName);
  fs::rename(folder_ / "real", folder_ / kPolicyFileName);
  EXPECT_TRUE(load().ok());
  fs::rename(folder_ / "trust", folder_ / "elsewhere");
  fs::create_directory_symlink("elsewhere", folder_ / "trust");
  EXPECT_EQ(load().error().code, ErrorCode::kDenied);
}

TEST_F(SignedPolicyTest, ATrustRootNeedsAKeyThatCanBeRead) {
  put(policy_text(1));
  write(folder_ / "trust" / "notes.txt", "not a key, and not read");
  write(folder_ / "trust" / "ca.crt", "certificate");
  ASSERT_TRUE(load().ok());
  EXPECT_THAT(load_trust_roots(folder_, ::geteuid())->certificates,
              ::testing::ElementsAre("certificate"));
  write(folder_ / "trust" / "bad.pem", "not a key");
  EXPECT_EQ(load().error().code, ErrorCode::kCorrupt);
  fs::remove(folder_ / "trust" / "bad.pem");
  fs::remove(folder_ / "trust" / "root.pem");
  EXPECT_EQ(load().error().code, ErrorCode::kNotFound);
}

TEST_F(SignedPolicyTest, ATrustRootOrAPolicyMakesAMachineManaged) {
  EXPECT_TRUE(base::is_managed(folder_));
  fs::remove_all(folder_ / "trust");
  EXPECT_FALSE(base::is_managed(folder_));
  EXPECT_FALSE(base::is_managed(folder_ / "not-there"));
  write(folder_ / kPolicyFileName, "");
  EXPECT_TRUE(base::is_managed(folder_));
  EXPECT_FALSE(load().ok()) << "a policy without a trust root denies";
}

TEST_F(SignedPolicyTest, TheWatcherTakesTheNewOneAndKeepsTheOldWhereItIsBroken) {
  PolicyWatcher watcher(source(), floor_);
  EXPECT_FALSE(watcher.current(kNow).policy.ok()) << "a fresh start denies";
  put(policy_text(1));
  auto current = watcher.current(kNow);
  ASSERT_TRUE(current.policy.ok()) << current.policy.error().message;
  EXPECT_TRUE(current.changed);
  EXPECT_EQ(current.warning, "");
  EXPECT_FALSE(watcher.current(kNow).changed);

  put(policy_text(2));
  current = watcher.current(kNow);
  EXPECT_TRUE(current.changed);
  EXPECT_EQ((*current.policy)->policy.version, 2);

  write(folder_ / kPolicyFileName, "broken");
  current = watcher.current(kNow);
  ASSERT_TRUE(current.policy.ok());
  EXPECT_EQ((*current.policy)->policy.version, 2);
  EXPECT_THAT(current.warning, HasSubstr("version 2 stays in force until 2027-01-01T00:00:00Z"));
  EXPECT_FALSE(watcher.current(at("2027-01-01T00:00:00Z")).policy.ok()) << "until it expires";
  EXPECT_TRUE(watcher.current(kNow).policy.ok());
  EXPECT_FALSE(watcher.current(make_error(ErrorCode::kDenied, "clock")).policy.ok());

  put(policy_text(1));
  EXPECT_THAT(watcher.current(kNow).warning, HasSubstr("version 1 is older than 2"));
  fs::remove(folder_ / kPolicyFileName);
  EXPECT_EQ((*watcher.current(kNow).policy)->policy.version, 2);
  put(policy_text(3));
  current = watcher.current(kNow);
  EXPECT_EQ((*current.policy)->policy.version, 3);
  EXPECT_EQ(current.warning, "");

  write(folder_ / kPolicyFileName, "broken");
  PolicyWatcher fresh(source(), floor_);
  EXPECT_FALSE(fresh.current(kNow).policy.ok());
}

// Files that changed long ago are not read again: a same-looking stamp is a same file.
TEST_F(SignedPolicyTest, TheWatcherSeesAChangeOfTheTrustRoot) {
  PolicyWatcher watcher(source(), floor_);
  put(policy_text(1));
  ASSERT_TRUE(watcher.current(kNow).policy.ok());
  const base::PrivateKey next = testing::new_key();
  put_signed(policy_text(2), next);
  EXPECT_NE(watcher.current(kNow).warning, "");
  trust("next.pem", next.public_key());
  const auto current = watcher.current(kNow);
  EXPECT_EQ((*current.policy)->policy.version, 2);
  EXPECT_EQ(current.warning, "");
}

}  // namespace
}  // namespace lantern::policy
