#include "audit/key_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "audit/test_support.h"

namespace lantern::audit {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

mode_t mode_of(const fs::path& path) {
  struct stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 0777;
}

TEST(KeyRing, MakesAKeyWhenItIsFirstNeeded) {
  const Scratch scratch;
  const KeyRing ring(scratch.path() / "keys");
  EXPECT_TRUE(ring.list()->empty());
  EXPECT_EQ(ring.current(KeyPurpose::kLog).error().code, ErrorCode::kNotFound);
  const auto key = ring.signing_key(KeyPurpose::kLog);
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_EQ(key->public_key().kind(), base::KeyKind::kEd25519);
  EXPECT_EQ(ring.signing_key(KeyPurpose::kLog)->public_key().id(), key->public_key().id());
  const SecretKey secret = ring.digest_key().value();
  EXPECT_EQ(ring.digest_key()->hmac("x"), secret.hmac("x"));
  EXPECT_EQ(ring.digest_key(secret.id())->hmac("x"), secret.hmac("x"));
  for (const auto& entry : fs::recursive_directory_iterator(ring.folder())) {
    if (entry.is_directory()) {
      EXPECT_EQ(mode_of(entry.path()), 0700u) << entry.path();
    }
    if (entry.path().extension() == ".key") {
      EXPECT_EQ(mode_of(entry.path()), 0600u) << entry.path();
    }
  }
}

TEST(KeyRing, RotationKeepsWhatVerifiesAndDestroysWhatSigns) {
  const Scratch scratch;
  const KeyRing ring(scratch.path() / "keys");
  for (const KeyPurpose purpose : {KeyPurpose::kLog, KeyPurpose::kSigning, KeyPurpose::kDigest}) {
    const KeyInfo old = ring.create(purpose).value();
    EXPECT_EQ(ring.create(purpose).error().code, ErrorCode::kInvalidArgument);
    const KeyInfo fresh = ring.rotate(purpose).value();
    EXPECT_NE(fresh.id, old.id);
    EXPECT_EQ(ring.current(purpose)->id, fresh.id);
    const fs::path old_private = ring.folder() / purpose_info(purpose).name / (old.id + ".key");
    EXPECT_EQ(fs::exists(old_private), purpose == KeyPurpose::kDigest);
    EXPECT_EQ(ring.public_keys(purpose)->size(), purpose == KeyPurpose::kDigest ? 0u : 2u);
    if (purpose == KeyPurpose::kDigest) {
      EXPECT_TRUE(ring.digest_key(old.id).ok());
    }
  }
  EXPECT_EQ(ring.list()->size(), 6u);
}

TEST(KeyRing, KindsSuitTheirPurpose) {
  const Scratch scratch;
  const KeyRing ring(scratch.path() / "keys");
  EXPECT_THAT(ring.create(KeyPurpose::kSigning, "ed25519").error().message,
              HasSubstr("p256, p384 or p521"));
  EXPECT_FALSE(ring.create(KeyPurpose::kLog, "p256").ok());
  EXPECT_EQ(ring.create(KeyPurpose::kSigning, "p521")->kind, "p521");
  EXPECT_EQ(ring.rotate(KeyPurpose::kSigning)->kind, "p521");
}

TEST(KeyRing, WhatIsRestoredIsTheRingAgain) {
  const Scratch scratch;
  const KeyRing ring(scratch.path() / "keys");
  EXPECT_EQ(ring.copies().error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(ring.create(KeyPurpose::kLog).ok());
  ASSERT_TRUE(ring.rotate(KeyPurpose::kLog).ok());
  const SecretKey secret = ring.digest_key().value();
  const auto copies = ring.copies().value();
  const KeyRing other(scratch.path() / "other");
  EXPECT_EQ(other.restore(copies, false)->n_added, 3u);
  EXPECT_EQ(other.list()->size(), 3u);
  EXPECT_EQ(other.digest_key()->hmac("x"), secret.hmac("x"));
  EXPECT_EQ(other.signing_key(KeyPurpose::kLog)->public_key().id(),
            ring.signing_key(KeyPurpose::kLog)->public_key().id());
  const Restored again = other.restore(copies, false).value();
  EXPECT_EQ(again.n_added, 0u);
  EXPECT_EQ(again.n_present, 3u);
  // A private half that is gone comes back.
  const fs::path lost = other.folder() / "log" / (other.current(KeyPurpose::kLog)->id + ".key");
  fs::remove(lost);
  EXPECT_EQ(other.restore(copies, false)->n_completed, 1u);
  EXPECT_EQ(mode_of(lost), 0600u);
  EXPECT_TRUE(other.signing_key(KeyPurpose::kLog).ok());
}

TEST(KeyRing, ARestoreReplacesAKeyOnlyWhereItIsTold) {
  const Scratch scratch;
  const KeyRing ring(scratch.path() / "keys"), fresh(scratch.path() / "fresh");
  const KeyInfo old = ring.create(KeyPurpose::kSigning).value();
  const auto copies = ring.copies().value();
  // A new machine made a key of its own before the backup was at hand.
  const KeyInfo own = fresh.create(KeyPurpose::kSigning).value();
  const auto refused = fresh.restore(copies, false);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("--replace"));
  EXPECT_EQ(fresh.list()->size(), 1u);
  const Restored restored = fresh.restore(copies, true).value();
  EXPECT_THAT(restored.replaced, ::testing::ElementsAre(KeyPurpose::kSigning));
  EXPECT_EQ(fresh.current(KeyPurpose::kSigning)->id, old.id);
  EXPECT_FALSE(fs::exists(fresh.folder() / "signing" / (own.id + ".key")));
  EXPECT_EQ(fresh.public_keys(KeyPurpose::kSigning)->size(), 2u);

  // What was retired after the backup stays retired, its private half destroyed.
  const KeyInfo rotated = ring.rotate(KeyPurpose::kSigning).value();
  EXPECT_EQ(ring.restore(copies, false)->n_present, 1u);
  EXPECT_EQ(ring.current(KeyPurpose::kSigning)->id, rotated.id);
  EXPECT_FALSE(fs::exists(ring.folder() / "signing" / (old.id + ".key")));
}

TEST(KeyRing, ChangedFilesAreRefused) {
  const Scratch scratch;
  const KeyRing ring(scratch.path() / "keys");
  const KeyInfo log = ring.create(KeyPurpose::kLog).value();
  const KeyInfo digest = ring.create(KeyPurpose::kDigest).value();
  const fs::path digest_file = ring.folder() / "digest" / (digest.id + ".key");
  std::ofstream(digest_file) << std::string(64, '0');
  EXPECT_EQ(ring.digest_key().error().code, ErrorCode::kCorrupt);
  fs::permissions(digest_file, fs::perms::group_read, fs::perm_options::add);
  EXPECT_THAT(ring.digest_key().error().message, HasSubstr("chmod 600"));

  const auto stranger = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
  const fs::path log_file = ring.folder() / "log" / (log.id + ".key");
  fs::remove(log_file);
  ASSERT_TRUE(stranger.save(log_file).ok());
  EXPECT_EQ(ring.signing_key(KeyPurpose::kLog).error().code, ErrorCode::kCorrupt);
  std::ofstream(ring.folder() / "log" / (std::string(64, 'a') + ".json")) << "{}";
  EXPECT_EQ(ring.list().error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace lantern::audit
