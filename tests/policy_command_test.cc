// lantern policy, as a person meets it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/keys.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class PolicyCommand : public ::testing::Test {
 protected:
  PolicyCommand()
      : home_("policy-command"),
        folder_(fs::temp_directory_path() / fmt::format("lantern-policy-command-{}", getpid())) {
    fs::create_directories(folder_ / "trust");
    fs::permissions(folder_, fs::perms(0755));
    fs::permissions(folder_ / "trust", fs::perms(0755));
    const base::PrivateKey key = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
    EXPECT_TRUE(key.save(folder_ / "root.key").ok());
    write("trust/root.pem", key.public_key().to_pem());
    key_id_ = base::to_hex(key.public_key().id());
  }
  ~PolicyCommand() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }

  ScopedHome home_;
  fs::path folder_;
  std::string key_id_;
};

const std::string kExample = std::string(LANTERN_SOURCE_DIR) + "/docs/examples/policy.toml";

TEST_F(PolicyCommand, CheckNamesLineAndField) {
  const Ran good = run_lantern({"policy", "check", kExample});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("valid: version 1, 6 rules"));
  write("bad.toml", "format = 1\nversion = 1\nissued = 2026-11-01T00:00:00Z\ndefualt = 1\n");
  const Ran bad = run_lantern({"policy", "check", path("bad.toml")});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.err, HasSubstr("bad.toml: line 4, column 1: defualt: unknown key"));
  EXPECT_EQ(run_lantern({"policy", "check", path("none.toml")}).exit_code, 2);
}

TEST_F(PolicyCommand, WhatWasSignedChecksAndWhatWasChangedIsRefused) {
  const Ran signing =
      run_lantern({"policy", "sign", kExample, "--key", path("root.key"), "--out", path("p.dsse")});
  ASSERT_EQ(signing.exit_code, 0) << signing.err;
  EXPECT_THAT(signing.out, HasSubstr(key_id_));
  const Ran unchecked = run_lantern({"policy", "check", path("p.dsse")});
  EXPECT_EQ(unchecked.exit_code, 0);
  EXPECT_THAT(unchecked.out, HasSubstr("its signature was not checked"));
  const Ran checked = run_lantern({"policy", "check", path("p.dsse"), "--trust", folder_.string()});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_THAT(checked.out, HasSubstr("signed by " + key_id_));
  write("trust/root.pem",
        base::PrivateKey::generate(base::KeyKind::kP256).value().public_key().to_pem());
  const Ran foreign = run_lantern({"policy", "check", path("p.dsse"), "--trust", folder_.string()});
  EXPECT_EQ(foreign.exit_code, 4);
  EXPECT_THAT(foreign.err, HasSubstr("no key of the trust root signed it"));
}

TEST_F(PolicyCommand, SigningAnAliasThatIsNotHereIsRefused) {
  write("alias.toml",
        "format = 1\nversion = 1\nissued = 2026-11-01T00:00:00Z\nexpires = 2027-11-01T00:00:00Z\n"
        "[[rules]]\nid = \"r\"\neffect = \"allow\"\naction = [\"load\"]\nmodel.alias = "
        "[\"nobody\"]\n");
  const Ran ran = run_lantern({"policy", "sign", path("alias.toml"), "--key", path("root.key")});
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_THAT(ran.err, HasSubstr("nobody: not in the store"));
  EXPECT_FALSE(fs::exists(path("alias.dsse")));
}

TEST_F(PolicyCommand, ExplainSaysWhichRuleDecides) {
  const std::vector<std::string> fine = {
      "policy",    "explain",
      "--policy",  kExample,
      "--subject", "user:ann,group:research,program:/bin/sh",
      "--action",  "tune",
      "--suppose", "approvers=2",
      "--suppose", "state=approved",
      "--suppose", "revoked=false",
      "--suppose", "advisories=",
      "--suppose", "tier=B",
      "--suppose", "in_place=",
      "--suppose", "licence=MIT",
      "--suppose", "label=",
      "--suppose", "catalog=false",
      "--suppose", "now=2026-12-01T00:00:00Z",
      "--suppose", "revocation_list=1,2026-11-25T00:00:00Z,2026-12-25T00:00:00Z"};
  const Ran allowed = run_lantern(fine);
  EXPECT_EQ(allowed.exit_code, 0) << allowed.err;
  EXPECT_THAT(allowed.out, StartsWith("allowed by rule researchers-tune"));
  std::vector<std::string> other = fine;
  other.insert(other.end(), {"--suppose", "licence=?"});
  const Ran denied = run_lantern(other);
  EXPECT_EQ(denied.exit_code, 1);
  EXPECT_THAT(denied.out, StartsWith("denied by rule licences-that-legal-read"));
  EXPECT_THAT(denied.out, HasSubstr("licence is not known"));
  EXPECT_THAT(denied.out, HasSubstr("mail legal@example.com"));
  EXPECT_EQ(run_lantern({"policy", "explain", "--action", "fly"}).exit_code, 2);
  EXPECT_EQ(run_lantern({"policy", "explain", "--subject", "alice"}).exit_code, 2);
}

TEST_F(PolicyCommand, ShowPrintsTheOneInForce) {
  const Ran ran = run_lantern({"policy", "show"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, StartsWith("# profile: personal; version 1"));
  EXPECT_THAT(ran.out, HasSubstr("personal.catalog"));
}

}  // namespace
}  // namespace lantern::tests
