#include "gate/session.h"

#include <gtest/gtest.h>

#include "format/temporary_folder.h"

namespace lantern::gate {
namespace {

TEST(Session, WhatIsSealedIsOpenedByTheSameRingAlone) {
  const format::TemporaryFolder folder;
  const audit::KeyRing keys(folder.path() / "keys"), others(folder.path() / "others");
  const auto key = keys.digest_key();
  ASSERT_TRUE(key.ok() && others.digest_key().ok());
  const std::string content = "a conversation that nobody else should read";
  const std::string file = seal_session(content, *key);
  EXPECT_EQ(file.find("conversation"), std::string::npos);
  EXPECT_NE(seal_session(content, *key), file) << "another salt and nonce each time";
  const auto opened = open_session(file, "s", keys);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened->view(), content);
  EXPECT_EQ(open_session(file, "s", others).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(keys.rotate(audit::KeyPurpose::kDigest).ok());
  EXPECT_TRUE(open_session(file, "s", keys).ok()) << "a retired key opens what it sealed";
}

TEST(Session, NoByteOfItMayChange) {
  const format::TemporaryFolder folder;
  const audit::KeyRing keys(folder.path() / "keys");
  const auto key = keys.digest_key();
  ASSERT_TRUE(key.ok());
  const std::string file = seal_session("content", *key);
  for (size_t i = 0; i < file.size(); ++i) {
    std::string changed = file;
    changed[i] = static_cast<char>(changed[i] ^ 0x20);
    EXPECT_FALSE(open_session(changed, "s", keys).ok()) << i;
    EXPECT_FALSE(open_session(file.substr(0, i), "s", keys).ok()) << i;
  }
  EXPECT_FALSE(open_session(file + "x", "s", keys).ok());
}

TEST(Session, NamesLeadNowhereElse) {
  for (const char* name : {"", ".", "..", "../x", "a/b", ".hidden", "a b", "\n"})
    EXPECT_FALSE(session_path(name).ok()) << name;
  EXPECT_TRUE(session_path("work-2.b_c").ok());
}

}  // namespace
}  // namespace lantern::gate
