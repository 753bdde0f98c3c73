// `lantern sign` and `lantern verify`: exit codes, what they say, and the releases of Lantern.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/keys.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const fs::path kData = fs::path(LANTERN_SOURCE_DIR) / "src/supply/testdata/signing";

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class SigningCommands : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::copy(kData / "model", model_, fs::copy_options::recursive);
    for (const char* name : {"p256", "p384"}) {
      const auto key = base::PrivateKey::generate(*base::key_kind_from_name(name));
      ASSERT_TRUE(key->save(folder_ / (std::string(name) + ".pem")).ok());
      std::ofstream(folder_ / (std::string(name) + "-pub.pem")) << key->public_key().to_pem();
    }
    fs::copy(kData / "certs/test-leaf.pem", folder_ / "leaf.pem");
    fs::permissions(folder_ / "leaf.pem", fs::perms::owner_read | fs::perms::owner_write);
  }
  void TearDown() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string at(const std::string& name) const { return (folder_ / name).string(); }
  [[nodiscard]] std::string signature() const { return (model_ / "model.sig").string(); }
  Ran sign(std::vector<std::string> options) {
    options.insert(options.begin(), {"sign", model_.string()});
    return run_lantern(options);
  }
  Ran verify(std::vector<std::string> options, const std::string& signature) {
    options.insert(options.begin(), {"verify", model_.string(), "--signature", signature});
    return run_lantern(options);
  }
  Ran verify(std::vector<std::string> options) { return verify(std::move(options), signature()); }

  ScopedHome home_{"signing"};  // of the records
  fs::path folder_ = scratch_folder() / "signing";
  fs::path model_ = folder_ / "model";
};

TEST_F(SigningCommands, ExitCodesSayWhetherItIsVerified) {
  EXPECT_EQ(sign({"--key", at("p256.pem")}).exit_code, 0);
  const Ran good = verify({"--key", at("p256-pub.pem")});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("verified: 6 files signed by key sha256:"));

  const Ran wrong = verify({"--key", at("p384-pub.pem")});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.out, HasSubstr("not verified: signed by another key"));
  const Ran nobody = verify({});
  EXPECT_EQ(nobody.exit_code, 2);
  EXPECT_THAT(nobody.err, HasSubstr("no key and no trust root"));

  std::ofstream(model_ / "extra.bin") << "x";
  const Ran extra = verify({"--key", at("p256-pub.pem")});
  EXPECT_EQ(extra.exit_code, 1);
  EXPECT_THAT(extra.out, HasSubstr("extra.bin was not signed"));
  EXPECT_EQ(verify({"--key", at("p256-pub.pem"), "--ignore", "extra.bin"}).exit_code, 0);
  fs::rename(model_ / "extra.bin", model_ / "config.json");
  EXPECT_THAT(verify({"--key", at("p256-pub.pem")}).out, HasSubstr("config.json differs"));
  fs::remove(model_ / "config.json");
  EXPECT_THAT(verify({"--key", at("p256-pub.pem")}).out, HasSubstr("config.json is missing"));
}

TEST_F(SigningCommands, WithoutAKeyThisMachinesOwnSignsAndIsMadeOnce) {
  const ScopedHome home("signing-key");
  ASSERT_EQ(sign({}).exit_code, 0);
  ASSERT_EQ(sign({}).exit_code, 0);
  const auto keys = nlohmann::json::parse(run_lantern({"keys", "list", "--json"}).out)["keys"];
  std::vector<std::string> own;
  for (const auto& key : keys)
    if (key["purpose"] == "signing") own.push_back(key["public_key"]);
  ASSERT_EQ(own.size(), 1u);
  std::ofstream(folder_ / "own-pub.pem") << own[0];
  EXPECT_EQ(verify({"--key", at("own-pub.pem")}).exit_code, 0);
  EXPECT_EQ(verify({"--key", at("p256-pub.pem")}).exit_code, 1);
  const Ran log = run_lantern({"audit", "query", "--action", "key_create", "--json"});
  EXPECT_THAT(log.out, HasSubstr("signing"));
}

TEST_F(SigningCommands, WhatCannotBeReadIsNeverVerified) {
  const std::string key = at("p256-pub.pem");
  const auto exit_of = [&](const std::string& content) {
    std::ofstream(folder_ / "broken.sig", std::ios::binary) << content;
    return verify({"--key", key}, at("broken.sig")).exit_code;
  };
  const std::string good = text_of(kData / "signatures/files-p256.sig");
  EXPECT_EQ(exit_of(""), 2);
  EXPECT_EQ(exit_of("{}"), 2);
  EXPECT_EQ(exit_of(good.substr(0, good.size() / 2)), 2);
  EXPECT_EQ(exit_of(std::string(100'000, '[')), 2);
  std::string deep = good;
  deep.insert(1, "\"x\":" + std::string(100'000, '[') + std::string(100'000, ']') + ",");
  EXPECT_EQ(exit_of(deep), 2);
  EXPECT_EQ(verify({"--key", key}, at("absent.sig")).exit_code, 2);
  EXPECT_EQ(verify({"--key", at("absent.pem")}, signature()).exit_code, 2);
  EXPECT_EQ(verify({"--key", at("p256.pem")}, signature()).exit_code, 2);
  EXPECT_EQ(run_lantern({"verify", at("absent"), "--key", at("p256-pub.pem"), "--signature",
                         (kData / "signatures/files-p256.sig").string()})
                .exit_code,
            1);
  const Ran keyless = verify({}, (kData / "signatures/keyless.sig").string());
  EXPECT_EQ(keyless.exit_code, 1);
  EXPECT_THAT(keyless.out, HasSubstr("not trusted"));
}

TEST_F(SigningCommands, CertificatesSignAndTrustRootsVerify) {
  const Ran made = sign({"--certificate", (kData / "certs/chain.pem").string(), "--key",
                         at("leaf.pem"), "--method", "shards", "--shard-size", "1000"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const Ran good = verify({"--trust-root", (kData / "certs/root.pem").string()});
  EXPECT_EQ(good.exit_code, 0) << good.out << good.err;
  EXPECT_THAT(good.out, HasSubstr("CN=Test Signer, whom CN=Lantern Test Root vouches for"));
  EXPECT_EQ(verify({"--trust-root", (kData / "certs/other-root.pem").string()}).exit_code, 1);
  EXPECT_EQ(sign({"--certificate", (kData / "certs/chain.pem").string()}).exit_code, 2);
  EXPECT_EQ(sign({"--certificate", (kData / "certs/chain.pem").string(), "--key", at("p256.pem")})
                .exit_code,
            2);
}

TEST_F(SigningCommands, KeysThatOthersMayReadDoNotSign) {
  fs::permissions(folder_ / "p256.pem", fs::perms::group_read, fs::perm_options::add);
  const Ran made = sign({"--key", at("p256.pem")});
  EXPECT_EQ(made.exit_code, 2);
  EXPECT_THAT(made.err, HasSubstr("chmod 600"));
  EXPECT_FALSE(fs::exists(signature()));
}

TEST_F(SigningCommands, AFileIsSignedBesideItself) {
  const std::string file = (model_ / "config.json").string();
  ASSERT_EQ(run_lantern({"sign", file, "--key", at("p384.pem")}).exit_code, 0);
  EXPECT_EQ(run_lantern({"verify", file, "--signature", file + ".sig", "--key", at("p384-pub.pem")})
                .exit_code,
            0);
}

TEST_F(SigningCommands, AModelOfTheStoreAndItsFileHaveOneSignature) {
  const ScopedHome home("signing");
  const std::string file = std::string(LANTERN_SOURCE_DIR) + "/src/format/testdata/all_types.gguf";
  ASSERT_EQ(run_lantern({"pull", file, "--name", "tiny", "--approve", "a test"}).exit_code, 0);
  ASSERT_EQ(run_lantern({"sign", "tiny", "--key", at("p256.pem"), "--signature", at("tiny.sig")})
                .exit_code,
            0);
  for (const std::string& model : {std::string("tiny"), file})
    EXPECT_EQ(
        run_lantern({"verify", model, "--signature", at("tiny.sig"), "--key", at("p256-pub.pem")})
            .exit_code,
        0)
        << model;
}

TEST_F(SigningCommands, OnePartOfASplitModelStandsForAll) {
  const fs::path split = folder_ / "split";
  fs::copy(std::string(LANTERN_SOURCE_DIR) + "/src/format/testdata/split", split);
  std::vector<std::string> parts;
  for (const auto& entry : fs::directory_iterator(split))
    if (entry.path().extension() == ".gguf") parts.push_back(entry.path());
  ASSERT_GE(parts.size(), 2u);
  ASSERT_EQ(run_lantern({"sign", parts[0], "--key", at("p256.pem"), "--signature", at("s.sig")})
                .exit_code,
            0);
  const std::vector<std::string> check = {"verify",    parts[0], "--signature",
                                          at("s.sig"), "--key",  at("p256-pub.pem")};
  EXPECT_THAT(run_lantern(check).out, HasSubstr(std::to_string(parts.size()) + " files"));
  std::ofstream(parts[1], std::ios::app) << "x";
  EXPECT_EQ(run_lantern(check).exit_code, 1);
}

/// A model, and the signature that came along with it.
class PulledWithSignature : public SigningCommands {
 protected:
  void SetUp() override {
    SigningCommands::SetUp();
    fs::copy(std::string(LANTERN_SOURCE_DIR) + "/src/format/testdata/hf", hf_,
             fs::copy_options::recursive);
  }
  Ran pull(std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"pull", hf_.string(), "--name", "signed"});
    return run_lantern(options);
  }
  static void expect_refused(const Ran& ran, const std::string& why) {
    EXPECT_EQ(ran.exit_code, 4) << ran.out << ran.err;
    EXPECT_THAT(ran.err, HasSubstr("denied by rule lantern.bad-signature"));
    EXPECT_THAT(ran.err, HasSubstr(why));
    EXPECT_EQ(nlohmann::json::parse(run_lantern({"list", "--json"}).out)["models"].size(), 0u);
  }
  static nlohmann::json report_of(const Ran& ran) {
    EXPECT_EQ(ran.exit_code, 4) << "kept, and not approved: " << ran.err;
    return nlohmann::json::parse(ran.out, nullptr, false);
  }

  const ScopedHome home_{"pulled-with-signature"};
  fs::path hf_ = folder_ / "hf";
  const std::string tool_key_ = (kData / "keys/test-p256.pub.pem").string();
};

// The PyPI tool model-signing made this one, over the whole repository.
TEST_F(PulledWithSignature, TheToolsSignatureIsVerifiedAtOnce) {
  fs::copy_file(kData / "signatures/hf-folder.sig", hf_ / "model.sig");
  const nlohmann::json report = report_of(pull({"--key", tool_key_, "--json"}));
  EXPECT_EQ(report["signature"], "trusted");
  EXPECT_THAT(report["signer"].get<std::string>(), StartsWith("key:"));
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr("\"verify\""));
}

TEST_F(PulledWithSignature, AFilesOwnSignatureIsFoundBesideIt) {
  const fs::path file = folder_ / "all_types.gguf";
  fs::copy_file(std::string(LANTERN_SOURCE_DIR) + "/src/format/testdata/all_types.gguf", file);
  fs::copy_file(kData / "signatures/gguf-file.sig", file.string() + ".sig");
  const Ran ran =
      run_lantern({"pull", file.string(), "--name", "signed", "--key", tool_key_, "--json"});
  EXPECT_EQ(report_of(ran)["signature"], "trusted");
}

TEST_F(PulledWithSignature, OneByAnUnknownKeyIsKeptAndNotTrusted) {
  fs::copy_file(kData / "signatures/hf-folder.sig", hf_ / "model.sig");
  const Ran ran = pull({"--json"});
  EXPECT_EQ(report_of(ran)["signature"], "unknown-signer");
  EXPECT_TRUE(report_of(ran)["signer"].is_null());
  EXPECT_THAT(ran.err, HasSubstr("signed by an unknown key: kept with the model, not trusted"));
}

TEST_F(PulledWithSignature, ABadSignatureIsRefusedAndNothingIsTakenIn) {
  const std::string key = at("p256-pub.pem");
  expect_refused(pull({"--key", key}), "no signature came with it");
  const std::string good = text_of(kData / "signatures/hf-folder.sig");
  const auto put = [&](const std::string& text) { std::ofstream(hf_ / "model.sig") << text; };
  put(good);
  expect_refused(pull({"--key", key}), "signed by another key");
  put(good.substr(0, good.size() / 2));
  expect_refused(pull(), "model.sig");
  put(good);
  std::ofstream(hf_ / "config.json", std::ios::app) << "\n";
  expect_refused(pull(), "config.json differs from what was signed");
  expect_refused(pull({"--key", tool_key_}), "config.json differs from what was signed");
}

TEST_F(PulledWithSignature, ASignatureOverOtherBytesIsRefusedWhereItsKeyIsKnown) {
  const std::string good = text_of(kData / "signatures/hf-folder.sig");
  auto bundle = nlohmann::json::parse(good);
  const auto other = nlohmann::json::parse(text_of(kData / "signatures/files-p256.sig"));
  bundle["dsseEnvelope"]["signatures"] = other["dsseEnvelope"]["signatures"];
  std::ofstream(hf_ / "model.sig") << bundle.dump();
  expect_refused(pull({"--key", tool_key_}), "does not fit what is signed");
}

TEST_F(PulledWithSignature, AnotherStandardsSignatureIsNotLookedAt) {
  std::ofstream(hf_ / "model.sig") << "-----BEGIN PGP SIGNATURE-----\n";
  const Ran ran = pull({"--json"});
  EXPECT_EQ(report_of(ran)["signature"], "none");
  EXPECT_THAT(ran.err, HasSubstr("no OpenSSF model signature: not looked at"));
}

TEST_F(PulledWithSignature, OneThatLeavesAFileOutIsNotKept) {
  fs::copy_file(kData / "signatures/files-p256.sig", hf_ / "model.sig");
  fs::remove(hf_ / "config.json");
  fs::copy_file(kData / "model/config.json", hf_ / "config.json");
  const Ran ran = pull({"--json"});
  EXPECT_EQ(report_of(ran)["signature"], "other-files") << ran.err;
}

// Releases: the bill of materials and the signature of a folder that holds a package.
TEST_F(SigningCommands, AReleaseIsSignedAndVerifies) {
  const fs::path dist = folder_ / "dist";
  fs::create_directories(dist);
  std::ofstream(dist / "lantern_0.1.0_amd64.deb") << "a package";
  const std::string command = std::string("'") + LANTERN_SOURCE_DIR +
                              "/tools/release' --sign-only '" + dist.string() + "' --lantern '" +
                              LANTERN_BUILD_DIR + "/lantern' --key '" + at("p384.pem") + "' >'" +
                              at("release.log") + "' 2>&1";
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << text_of(at("release.log"));

  const auto bom = nlohmann::json::parse(text_of(dist / "lantern.cdx.json"));
  EXPECT_EQ(bom["bomFormat"], "CycloneDX");
  EXPECT_EQ(bom["metadata"]["component"]["name"], "lantern");
  EXPECT_GE(bom["components"].size(), 5u);
  bool has_openssl = false;
  for (const auto& component : bom["components"])
    has_openssl |= component["name"].get<std::string>().starts_with("libssl3");
  EXPECT_TRUE(has_openssl);

  const std::vector<std::string> check = {
      "verify", dist.string(), "--signature", dist / "lantern.sig", "--key", at("p384-pub.pem")};
  const Ran good = run_lantern(check);
  EXPECT_EQ(good.exit_code, 0) << good.out << good.err;
  EXPECT_THAT(good.out, HasSubstr("2 files"));
  std::ofstream(dist / "lantern_0.1.0_amd64.deb") << "another package";
  const Ran bad = run_lantern(check);
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.out, HasSubstr("lantern_0.1.0_amd64.deb differs"));
}

}  // namespace
}  // namespace lantern::tests
