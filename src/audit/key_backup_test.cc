#include "audit/key_backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "audit/test_support.h"
#include "base/base64.h"
#include "base/json.h"

namespace lantern::audit {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kPhrase = "correct horse battery staple";
constexpr ScryptCost kCheap{.n_log2 = 14};

std::vector<KeyCopy> some_keys() {
  const Scratch scratch;
  const KeyRing ring(scratch.path() / "keys");
  EXPECT_TRUE(ring.create(KeyPurpose::kLog).ok());
  EXPECT_TRUE(ring.rotate(KeyPurpose::kLog).ok());
  EXPECT_TRUE(ring.create(KeyPurpose::kSigning, "p384").ok());
  EXPECT_TRUE(ring.create(KeyPurpose::kDigest).ok());
  return ring.copies().value();
}

TEST(KeyBackup, OpensWithItsPassphrase) {
  const std::vector<KeyCopy> keys = some_keys();
  const std::string file = seal_backup(keys, kPhrase).value();
  ASSERT_TRUE(check_backup(file, "f").ok());
  const auto opened = open_backup(file, kPhrase, "f");
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  ASSERT_EQ(opened->size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(key_info_to_json((*opened)[i].info), key_info_to_json(keys[i].info));
    EXPECT_EQ((*opened)[i].private_half.view(), keys[i].private_half.view());
    EXPECT_EQ((*opened)[i].info.has_private, keys[i].info.has_private);
    // Nothing of it stands in the file as it is.
    EXPECT_EQ(file.find(keys[i].info.id), std::string::npos);
    if (!keys[i].private_half.empty()) {
      EXPECT_EQ(file.find(keys[i].private_half.view()), std::string::npos);
    }
  }
  // The same keys twice have nothing in common but the form.
  const std::string again = seal_backup(keys, kPhrase, kCheap).value();
  EXPECT_NE(file.substr(32, 44), again.substr(32, 44));
}

TEST(KeyBackup, AWrongPassphraseIsNamed) {
  const std::string file = seal_backup(some_keys(), kPhrase, kCheap).value();
  for (const char* wrong : {"", "correct horse battery stapl", "correct horse battery staple "}) {
    const auto opened = open_backup(file, wrong, "f");
    EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(opened.error().message, HasSubstr("f: the passphrase is wrong"));
  }
  EXPECT_THAT(seal_backup(some_keys(), "short").error().message, HasSubstr("at least 12"));
}

TEST(KeyBackup, ACutFileIsNamed) {
  const std::string file = seal_backup(some_keys(), kPhrase, kCheap).value();
  for (size_t n = 0; n < file.size(); ++n) {
    const Status checked = check_backup(file.substr(0, n), "f");
    ASSERT_EQ(checked.error().code, ErrorCode::kCorrupt) << n;
    EXPECT_THAT(checked.error().message, HasSubstr(n == 0 ? "no backup" : "was cut")) << n;
  }
  EXPECT_THAT(check_backup(file + "x", "f").error().message, HasSubstr("was changed"));
}

TEST(KeyBackup, AFlippedBitIsFound) {
  const std::string file = seal_backup(some_keys(), kPhrase, kCheap).value();
  for (size_t i = 0; i < file.size(); ++i) {
    std::string changed = file;
    changed[i] = static_cast<char>(changed[i] ^ 1 << (i % 8));
    const Status checked = check_backup(changed, "f");
    ASSERT_EQ(checked.error().code, ErrorCode::kCorrupt) << i;
    // A flip in the length looks like a cut; one in the magic like another kind of file.
    if (i >= 32) {
      EXPECT_THAT(checked.error().message, HasSubstr("was changed")) << i;
    }
  }
}

/// The checksum of a forger; the tag is what he cannot make.
std::string with_checksum(std::string file) {
  file.resize(file.size() - 32);
  const base::Digest sum = base::sha256(file);
  return file + std::string(reinterpret_cast<const char*>(sum.data()), sum.size());
}

TEST(KeyBackup, AForgedFileDoesNotOpen) {
  const std::string file = seal_backup(some_keys(), kPhrase, kCheap).value();
  for (const size_t at : {size_t{33}, size_t{64}, size_t{76}, size_t{90}, file.size() - 33}) {
    std::string changed = file;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    changed = with_checksum(changed);
    EXPECT_TRUE(check_backup(changed, "f").ok()) << at;
    EXPECT_THAT(open_backup(changed, kPhrase, "f").error().message,
                HasSubstr("or somebody changed"));
  }
  // Versions and costs that nobody should have to bear.
  for (const auto& [at, value] : std::vector<std::pair<size_t, char>>{
           {8, 2}, {12, 2}, {16, 13}, {16, 21}, {16, 63}, {20, 9}, {24, 0}, {24, 5}}) {
    std::string changed = file;
    changed[at] = value;
    EXPECT_EQ(check_backup(with_checksum(changed), "f").error().code, ErrorCode::kUnsupported)
        << at;
  }
}

TEST(KeyBackup, WhatIsInsideIsHeldAgainstItsIds) {
  const std::vector<KeyCopy> keys = some_keys();
  const base::Secret content = backup_content(keys);
  ASSERT_TRUE(parse_backup_content(content.view(), "f").ok());
  for (size_t n = 0; n < content.size(); n += 7)
    EXPECT_EQ(parse_backup_content(content.view().substr(0, n), "f").error().code,
              ErrorCode::kCorrupt);
  std::vector<KeyCopy> swapped = some_keys();
  std::swap(swapped[1].private_half, swapped[2].private_half);
  EXPECT_THAT(parse_backup_content(backup_content(swapped).view(), "f").error().message,
              HasSubstr("not the key of its id"));
  EXPECT_EQ(parse_backup_content(std::string(content.view()) + "x", "f").error().code,
            ErrorCode::kCorrupt);
}

// tools/golden/key_backup.py made it, with another library's scrypt and AES.
TEST(KeyBackup, OpensWhatAnotherImplementationWrote) {
  const std::string folder = std::string(LANTERN_SOURCE_DIR) + "/src/audit/testdata/";
  const std::string file = base::read_text_file(folder + "key-backup.bin", 1u << 20).value();
  const auto opened = open_backup(file, "another implementation", "f");
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  ASSERT_EQ(opened->size(), 2u);
  EXPECT_EQ((*opened)[0].info.purpose, KeyPurpose::kLog);
  EXPECT_EQ((*opened)[1].private_half.view(), std::string(64, '7'));
}

}  // namespace
}  // namespace lantern::audit
