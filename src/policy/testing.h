// What the tests of this room share.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/keys.h"
#include "policy/decide.h"

namespace lantern::policy::testing {

inline base::UtcTime at(std::string_view text) { return base::parse_utc(text).value(); }

inline base::Digest digest(std::string_view text) { return base::sha256(text); }

inline base::PrivateKey new_key() {
  return base::PrivateKey::generate(base::KeyKind::kEd25519).value();
}

/// A policy's first lines, before its tables.
inline const std::string kHead =
    "format = 1\nversion = 3\nissued = 2026-11-01T00:00:00Z\nexpires = 2027-01-01T00:00:00Z\n";

inline Policy policy_of(const std::string& toml) {
  auto policy = parse_policy(toml, "p.toml");
  EXPECT_TRUE(policy.ok()) << policy.error().message;
  return policy.ok() ? std::move(policy).value() : Policy{};
}

/// Facts of an approved, signed model that nothing speaks against.
inline Facts good_facts() {
  return {.now = at("2026-11-22T12:00:00Z"),
          .user = "alice",
          .groups = std::set<std::string>{"ml", "staff"},
          .keys = std::set<std::string>{},
          .program = "/usr/bin/editor",
          .action = Action::kLoad,
          .approval_in_script = false,
          .model_id = digest("model"),
          .files = std::set<base::Digest>{digest("file")},
          .licence = "Apache-2.0",
          .architecture = "llama",
          .publisher = "example",
          .signers = std::set<std::string>{"key:" + base::to_hex(digest("signer"))},
          .state = ModelState::kApproved,
          .in_catalog = false,
          .revoked = false,
          .advisories = std::set<std::string>{},
          .advisory_severity = Severity::kNone,
          .n_approvers = 1,
          .tier = Tier::kB,
          .in_place_path = "",
          .revocation_list = RevocationListFacts{.version = 5,
                                                 .issued = at("2026-11-20T00:00:00Z"),
                                                 .expires = at("2026-12-20T00:00:00Z")},
          .labels = std::set<std::string>{"public"},
          .tokens_today = 0,
          .requests_this_minute = 0};
}

/// A folder of its own for each test, gone afterwards.
class FolderTest : public ::testing::Test {
 protected:
  FolderTest()
      : folder_(std::filesystem::temp_directory_path() /
                fmt::format("lantern-policy-{}-{}", getpid(), n_folders_++)) {
    std::filesystem::create_directories(folder_);
  }
  ~FolderTest() override { std::filesystem::remove_all(folder_); }

  static void write(const std::filesystem::path& path, std::string_view text) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  }

  std::filesystem::path folder_;

 private:
  static inline int n_folders_ = 0;
};

}  // namespace lantern::policy::testing
