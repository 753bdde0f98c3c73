// Model signatures: the reference tool's (testdata/signing, made by
// tools/golden/model_signatures.py) verify here; ours say what the specification asks for; and
// whatever is wrong with either is named. The tool verifies ours live: the script's --full.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time.h"
#include "supply/signing/pae_v02.h"
#include "supply/signing/sign.h"
#include "supply/signing/verify.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;
using base::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kData = fs::path(LANTERN_SOURCE_DIR) / "src/supply/testdata/signing";
constexpr const char* kCurves[] = {"p256", "p384", "p521"};

std::string read(const fs::path& path) {
  auto text = base::read_text_file(path, 1 << 20);
  EXPECT_TRUE(text.ok()) << path;
  return text.ok() ? *text : "";
}
void write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

base::PrivateKey private_key(const std::string& curve) {
  return *base::PrivateKey::from_pem(read(kData / ("keys/test-" + curve + ".pem")), curve);
}
base::PrivateKey leaf_key() {
  return *base::PrivateKey::from_pem(read(kData / "certs/test-leaf.pem"), "leaf");
}
base::PublicKey public_key(const std::string& curve) {
  return *base::PublicKey::from_pem(read(kData / ("keys/test-" + curve + ".pub.pem")), curve);
}
std::vector<Certificate> certificates(const std::string& name) {
  auto found = Certificate::from_pem(read(kData / "certs" / name), name);
  EXPECT_TRUE(found.ok()) << name;
  return found.ok() ? *found : std::vector<Certificate>{};
}
std::vector<std::byte> signed_by(const base::PrivateKey& key, const std::string& text) {
  return *key.sign(std::as_bytes(std::span(text)));
}
TimePoint at(const char* time) { return *base::parse_utc(time); }
const char* const kNow = "2026-06-01T12:00:00Z";

VerifyModelOptions by_key(const std::string& curve) {
  return {.trusted = {.keys = {public_key(curve)}}, .at = at(kNow)};
}
VerifyModelOptions by_root(const std::string& root = "root.pem") {
  return {.trusted = {.roots = certificates(root)}, .at = at(kNow)};
}

class Signatures : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("lantern-signing-{}", getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::copy(kData / "model", model_, fs::copy_options::recursive);
  }
  void TearDown() override { fs::remove_all(folder_); }

  Verification verify(const fs::path& signature, const VerifyModelOptions& options) {
    auto done = verify_model(model_, signature, options);
    EXPECT_TRUE(done.ok()) << done.error().message;
    return done.ok() ? *done : Verification{};
  }
  Result<SignedModel> sign(const SignOptions& options = {}, const std::string& curve = "p256") {
    return sign_model(model_, signature_, private_key(curve), options);
  }
  void expect_differs(const std::string& name, Difference::Kind kind) {
    const Verification done = verify(signature_, by_key("p256"));
    EXPECT_EQ(done.fault, SignatureFault::kFilesDiffer);
    ASSERT_EQ(done.differences.size(), 1u) << done.reason;
    EXPECT_EQ(done.differences[0].name, name);
    EXPECT_EQ(done.differences[0].kind, kind);
    EXPECT_THAT(done.reason, HasSubstr(name));
  }

  fs::path folder_;
  fs::path model_ = fs::temp_directory_path() / fmt::format("lantern-signing-{}", getpid()) / "m";
  fs::path signature_ = model_ / "model.sig";
};

// --- the reference tool's -----------------------------------------------------------------------

TEST_F(Signatures, TheReferenceToolsVerify) {
  for (const std::string curve : kCurves)
    for (const std::string method : {"files", "shards"}) {
      SCOPED_TRACE(method + " " + curve);
      const Verification done =
          verify(kData / fmt::format("signatures/{}-{}.sig", method, curve), by_key(curve));
      EXPECT_TRUE(done.verified()) << done.reason;
      ASSERT_TRUE(done.signer);
      EXPECT_EQ(done.signer->identity(), "key:" + base::to_hex(public_key(curve).id()));
      EXPECT_EQ(done.manifest.paths().size(), 6u);
      EXPECT_EQ(serialization_name(done.manifest.method), method);
    }
}

TEST_F(Signatures, TheReferenceToolsCertificateVerifiesAndNamesRootAndSubject) {
  const Verification done = verify(kData / "signatures/certificate.sig", by_root());
  ASSERT_TRUE(done.verified()) << done.reason;
  const base::Digest root = certificates("root.pem")[0].fingerprint();
  EXPECT_EQ(done.signer->identity(), "certificate:" + base::to_hex(root) + ":CN=Test Signer");
  EXPECT_EQ(done.signer->root_subject, "CN=Lantern Test Root");
  EXPECT_EQ(done.signer->key, leaf_key().public_key().id());
  // Whoever trusts the leaf's key needs no root.
  VerifyModelOptions key{.trusted = {.keys = {leaf_key().public_key()}}};
  EXPECT_EQ(verify(kData / "signatures/certificate.sig", key).signer->identity(),
            "key:" + base::to_hex(leaf_key().public_key().id()));
}

TEST_F(Signatures, OfOlderReleasesVerify) {
  const Verification raw = verify(kData / "signatures/raw-bytes.sig", by_key("p256"));
  EXPECT_TRUE(raw.verified()) << raw.reason;
  const Verification old = verify(kData / "signatures/release-0.2.sig", by_root());
  EXPECT_TRUE(old.verified()) << old.reason;
  EXPECT_TRUE(old.manifest.historical);
  EXPECT_EQ(old.manifest.paths().size(), 6u);
}

TEST_F(Signatures, ASingleFileIsNamedByADotOrByItsName) {
  const auto theirs =
      verify_model(model_ / "config.json", kData / "signatures/single-file.sig", by_key("p256"));
  ASSERT_TRUE(theirs.ok()) << theirs.error().message;
  EXPECT_TRUE(theirs->verified()) << theirs->reason;
  const fs::path out = folder_ / "config.sig";
  const auto made = sign_model(model_ / "config.json", out, private_key("p256"), {});
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_THAT(made->manifest.paths(), ElementsAre(".")) << "as the reference tool asks";
  EXPECT_EQ(made->manifest.resources[0].digest, theirs->manifest.resources[0].digest);
  EXPECT_TRUE(verify_model(model_ / "config.json", out, by_key("p256"))->verified());
  const auto other = verify_model(model_ / "a-b", out, by_key("p256"));
  EXPECT_EQ(other->fault, SignatureFault::kFilesDiffer);
  EXPECT_EQ(other->differences.size(), 1u);

  fs::remove(out);
  const auto shards = sign_model(model_ / "weights/model.bin", out, private_key("p256"),
                                 {.method = Serialization::kShards, .shard_bytes = 1000});
  ASSERT_TRUE(shards.ok()) << shards.error().message;
  EXPECT_EQ(resource_name(shards->manifest.resources[0], Serialization::kShards), ".:0:1000");
  EXPECT_TRUE(verify_model(model_ / "weights/model.bin", out, by_key("p256"))->verified());

  // As the specification has it, and as release 0.1 of Lantern wrote it: by the file's name.
  SignedManifest named = made->manifest;
  named.resources[0].path = "config.json";
  SignatureBundle bundle{.key_hint = key_hint(private_key("p256").public_key())};
  bundle.envelope =
      base::dsse_sign(kInTotoPayloadType, to_statement(named), private_key("p256")).value();
  write(out, to_json(bundle));
  const auto by_name = verify_model(model_ / "config.json", out, by_key("p256"));
  ASSERT_TRUE(by_name.ok()) << by_name.error().message;
  EXPECT_TRUE(by_name->verified()) << by_name->reason;
}

TEST_F(Signatures, KeylessOnesAreRecognisedAndNotTrusted) {
  for (const auto& options : {by_key("p256"), by_root(), VerifyModelOptions{}}) {
    const Verification done = verify(kData / "signatures/keyless.sig", options);
    EXPECT_EQ(done.fault, SignatureFault::kKeyless);
    EXPECT_FALSE(done.signer);
    EXPECT_THAT(done.reason, HasSubstr("not trusted"));
  }
}

TEST_F(Signatures, PythonsFormOfBytes) {
  // python3 -c 'print(f"{b...}")' of each
  EXPECT_EQ(pae_v02("t", "a\n\t\r\\\x01\xff"), R"(DSSEV1 1 t 7 b'a\n\t\r\\\x01\xff')");
  EXPECT_EQ(pae_v02("t", "it's"), R"(DSSEV1 1 t 4 b"it's")");
  EXPECT_EQ(pae_v02("t", "it's \"q\""), R"(DSSEV1 1 t 8 b'it\'s "q"')");
}

// --- what we sign -------------------------------------------------------------------------------

TEST_F(Signatures, OursHaveTheSpecifiedOrderRootAndShape) {
  const Json expected = *base::parse_json(read(kData / "expected.json"), "expected.json");
  for (const std::string curve : kCurves)
    for (const std::string method : {"files", "shards"}) {
      SCOPED_TRACE(method + " " + curve);
      SignOptions options{.shard_bytes = expected["shard_bytes"].get<uint64_t>()};
      if (method == "shards") options.method = Serialization::kShards;
      const auto made = sign(options, curve);
      ASSERT_TRUE(made.ok()) << made.error().message;
      const Verification done = verify(signature_, by_key(curve));
      EXPECT_TRUE(done.verified()) << done.reason;

      const Json bundle = *base::parse_json(read(signature_), "bundle");
      EXPECT_EQ(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
      EXPECT_EQ(bundle["verificationMaterial"]["publicKey"]["hint"],
                base::to_hex(base::sha256(read(kData / ("keys/test-" + curve + ".pub.pem")))));
      EXPECT_EQ(bundle["dsseEnvelope"]["signatures"][0]["keyid"], "");
      const auto payload =
          *base::from_base64(bundle["dsseEnvelope"]["payload"].get_ref<const std::string&>());
      const Json statement = *base::parse_json(
          {reinterpret_cast<const char*>(payload.data()), payload.size()}, "payload");
      EXPECT_EQ(statement["subject"][0]["name"], "m");
      EXPECT_EQ(statement["subject"][0]["digest"]["sha256"], expected[method + "_root"]);
      const Json& serialization = statement["predicate"]["serialization"];
      EXPECT_EQ(statement["predicate"]["resources"][0]["algorithm"],
                method == "shards" ? "sha256-sharded-1000" : "sha256");
      EXPECT_EQ(serialization["method"], method);
      EXPECT_EQ(serialization["hash_type"], "sha256");
      EXPECT_EQ(serialization["allow_symlinks"], false);
      EXPECT_EQ(serialization.contains("shard_size"), method == "shards");
      EXPECT_EQ(serialization["ignore_paths"],
                Json({".git", ".gitattributes", ".github", ".gitignore", "model.sig"}));
      std::vector<std::string> names;
      for (const Json& resource : statement["predicate"]["resources"])
        names.push_back(resource["name"]);
      EXPECT_EQ(Json(names), expected[method]);
    }
}

TEST_F(Signatures, OursByCertificateVerify) {
  const auto made = sign_model(model_, signature_, leaf_key(),
                               {.chain = certificates("chain.pem"), .at = at(kNow)});
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(made->subject, "CN=Test Signer");
  EXPECT_TRUE(verify(signature_, by_root()).verified());
}

TEST_F(Signatures, KeysAndCertificatesThatCannotSignAreRefused) {
  const auto refusal = [&](const base::PrivateKey& key, const char* chain) {
    SignOptions options{.at = at(kNow)};
    if (chain != nullptr) options.chain = certificates(chain);
    const auto made = sign_model(model_, signature_, key, options);
    EXPECT_FALSE(made.ok());
    EXPECT_FALSE(fs::exists(signature_));
    return made.ok() ? "" : made.error().message;
  };
  EXPECT_THAT(refusal(*base::PrivateKey::generate(base::KeyKind::kEd25519), nullptr),
              HasSubstr("Ed25519"));
  EXPECT_THAT(refusal(private_key("p256"), "chain.pem"), HasSubstr("not that of the first"));
  EXPECT_THAT(refusal(leaf_key(), "expired.pem"), HasSubstr("2020-01-31"));
  EXPECT_THAT(refusal(leaf_key(), "future.pem"), HasSubstr("not now"));
  EXPECT_THAT(refusal(leaf_key(), "no-usage.pem"), HasSubstr("not for code signing"));
  EXPECT_THAT(refusal(leaf_key(), "server.pem"), HasSubstr("not for code signing"));
}

TEST_F(Signatures, OnlyASignatureIsReplaced) {
  ASSERT_TRUE(sign().ok());
  ASSERT_TRUE(sign().ok());
  signature_ = model_ / "config.json";
  const auto made = sign();
  ASSERT_FALSE(made.ok());
  EXPECT_THAT(made.error().message, HasSubstr("is not replaced"));
  EXPECT_EQ(read(signature_), read(kData / "model/config.json"));
}

TEST_F(Signatures, WhatCannotBeSignedIsRefused) {
  const auto refusal = [&] {
    const auto made = sign();
    EXPECT_FALSE(made.ok());
    return made.ok() ? "" : made.error().message;
  };
  fs::create_symlink("config.json", model_ / "link");
  EXPECT_THAT(refusal(), HasSubstr("link is a symbolic link"));
  fs::remove(model_ / "link");
  write(model_ / "\xff", "");
  EXPECT_THAT(refusal(), HasSubstr("no UTF-8"));
  fs::remove(model_ / "\xff");
  ASSERT_EQ(mkfifo((model_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal(), HasSubstr("no regular file"));
  fs::remove_all(model_);
  fs::create_directories(model_ / "empty");
  write(model_ / ".gitignore", "");
  EXPECT_THAT(refusal(), HasSubstr("empty model"));
  for (const char* path : {"../x", "/x", "a//b", "*.md", "."})
    EXPECT_FALSE(sign({.ignore = {path}}).ok()) << path;
}

// --- what differs -------------------------------------------------------------------------------

TEST_F(Signatures, EachDifferenceIsNamed) {
  for (const auto method : {Serialization::kFiles, Serialization::kShards}) {
    ASSERT_TRUE(sign({.method = method, .shard_bytes = 1000}).ok());
    const std::string weights = read(model_ / "weights/model.bin");
    std::string changed = weights;
    changed[9999] ^= 1;
    write(model_ / "weights/model.bin", changed);
    expect_differs("weights/model.bin", Difference::Kind::kChanged);
    write(model_ / "weights/model.bin", weights.substr(0, 12000));
    expect_differs("weights/model.bin", Difference::Kind::kChanged);
    write(model_ / "weights/model.bin", weights + "x");
    expect_differs("weights/model.bin", Difference::Kind::kChanged);
    fs::remove(model_ / "weights/model.bin");
    expect_differs("weights/model.bin", Difference::Kind::kMissing);
    fs::create_symlink("../config.json", model_ / "weights/model.bin");
    expect_differs("weights/model.bin", Difference::Kind::kIrregular);
    fs::remove(model_ / "weights/model.bin");
    write(model_ / "weights/model.bin", weights);
    write(model_ / "weights/more.bin", "x");
    expect_differs("weights/more.bin", Difference::Kind::kExtra);
    fs::remove(model_ / "weights/more.bin");
    fs::create_symlink("config.json", model_ / "link");
    expect_differs("link", Difference::Kind::kIrregular);
    fs::remove(model_ / "link");
    EXPECT_TRUE(verify(signature_, by_key("p256")).verified());
  }
}

TEST_F(Signatures, OnlyTheTopOfAModelIsLeftOut) {
  ASSERT_TRUE(sign().ok());
  write(model_ / ".git/HEAD", "ref");
  write(model_ / ".github/workflows/x.yml", "x");
  write(model_ / ".gitattributes", "x");
  EXPECT_TRUE(verify(signature_, by_key("p256")).verified());
  write(model_ / ".gitmodules", "x");
  expect_differs(".gitmodules", Difference::Kind::kExtra);
  fs::remove(model_ / ".gitmodules");
  write(model_ / "weights/.git/HEAD", "ref");
  expect_differs("weights/.git/HEAD", Difference::Kind::kExtra);
}

TEST_F(Signatures, IgnoredPathsAreExactAndTravelInTheStatement) {
  write(model_ / "cache/x", "1");
  write(model_ / "cached", "2");
  ASSERT_TRUE(sign({.ignore = {"cache"}}).ok());
  write(model_ / "cache/y", "3");
  const Verification done = verify(signature_, by_key("p256"));
  EXPECT_TRUE(done.verified()) << done.reason;
  EXPECT_THAT(done.manifest.paths(), ::testing::Contains("cached"));
  EXPECT_THAT(done.manifest.paths(), ::testing::Not(::testing::Contains("cache/x")));
  write(model_ / "weights/cache", "4");
  expect_differs("weights/cache", Difference::Kind::kExtra);
  VerifyModelOptions options = by_key("p256");
  options.ignore = {"./weights/cache/"};
  EXPECT_TRUE(verify(signature_, options).verified());
}

TEST_F(Signatures, ShardsDoNotMentionEmptyFiles) {
  write(model_ / "empty", "");
  ASSERT_TRUE(sign({.method = Serialization::kShards, .shard_bytes = 1000}).ok());
  EXPECT_TRUE(verify(signature_, by_key("p256")).verified());
  write(model_ / "empty", "x");
  expect_differs("empty", Difference::Kind::kExtra);
}

TEST_F(Signatures, SymbolicLinksAreFollowedWhereTheStatementSaysSo) {
  fs::create_symlink("config.json", model_ / "link");
  fs::create_symlink("..", model_ / "weights/up");
  EXPECT_FALSE(sign({.follow_symlinks = true}).ok());
  fs::remove(model_ / "weights/up");
  ASSERT_TRUE(sign({.follow_symlinks = true}).ok());
  const Verification done = verify(signature_, by_key("p256"));
  EXPECT_TRUE(done.verified()) << done.reason;
  EXPECT_THAT(done.manifest.paths(), ::testing::Contains("link"));
}

TEST_F(Signatures, AnInterruptEndsHashing) {
  std::stop_source stop;
  stop.request_stop();
  const auto made = sign({.hash = {.stop = stop.get_token()}});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(fs::exists(signature_));
}

// --- who signed ---------------------------------------------------------------------------------

TEST_F(Signatures, AnotherKeyIsNamed) {
  ASSERT_TRUE(sign().ok());
  const Verification other = verify(signature_, by_key("p384"));
  EXPECT_EQ(other.fault, SignatureFault::kWrongKey);
  EXPECT_THAT(other.reason, HasSubstr("another key"));
  EXPECT_FALSE(other.signer);
  EXPECT_EQ(verify(signature_, by_root()).fault, SignatureFault::kWrongKey);
  const auto nobody = verify_model(model_, signature_, {});
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().code, ErrorCode::kInvalidArgument);
  // A hint costs nothing to write: the key it names must have signed.
  Json bundle = *base::parse_json(read(signature_), "bundle");
  bundle["verificationMaterial"]["publicKey"]["hint"] = key_hint(public_key("p384"));
  write(signature_, bundle.dump());
  EXPECT_EQ(verify(signature_, by_key("p384")).fault, SignatureFault::kBadSignature);
}

TEST_F(Signatures, AChangedStatementIsABadSignature) {
  ASSERT_TRUE(sign().ok());
  Json bundle = *base::parse_json(read(signature_), "bundle");
  const auto payload =
      *base::from_base64(bundle["dsseEnvelope"]["payload"].get_ref<const std::string&>());
  std::string text(reinterpret_cast<const char*>(payload.data()), payload.size());
  text += " ";
  bundle["dsseEnvelope"]["payload"] = base::to_base64(text);
  write(signature_, bundle.dump());
  const Verification done = verify(signature_, by_key("p256"));
  EXPECT_EQ(done.fault, SignatureFault::kBadSignature);
  EXPECT_THAT(done.manifest.resources, IsEmpty());
}

TEST_F(Signatures, TheEncodingOfRelease02IsForItsPredicateAlone) {
  ASSERT_TRUE(sign().ok());
  SignatureBundle bundle = *read_bundle(signature_);
  const std::string old = pae_v02(bundle.envelope.payload_type, bundle.envelope.payload);
  bundle.envelope.signatures[0].signature = signed_by(private_key("p256"), old);
  EXPECT_EQ(verify_signature(bundle, by_key("p256").trusted, at(kNow), "b")->fault,
            SignatureFault::kBadSignature);
}

TEST_F(Signatures, ChainsAreJudged) {
  struct Case {
    const char* chain;
    const char* root;
    const char* at;
    SignatureFault fault;
    const char* reason;
  };
  using enum SignatureFault;
  const Case cases[] = {
      {"chain.pem", "root.pem", kNow, kNone, ""},
      {"chain.pem", "other-root.pem", kNow, kUntrustedChain, ""},
      {"chain.pem", "root.pem", "2019-12-31T23:59:59Z", kNotYetValid, "2020-01-01"},
      {"chain.pem", "root.pem", "2120-01-02T00:00:00Z", kExpired, "2120-01-01"},
      {"expired.pem", "root.pem", kNow, kExpired, "expired on 2020-01-31"},
      {"expired.pem", "root.pem", "2020-01-15T00:00:00Z", kNone, ""},
      {"future.pem", "root.pem", kNow, kNotYetValid, "not valid before 2119"},
      {"expired-intermediate.pem", "root.pem", kNow, kExpired, "CN=Test Intermediate expired"},
      {"no-usage.pem", "root.pem", kNow, kNotForCodeSigning, "not for code signing"},
      {"server.pem", "root.pem", kNow, kNotForCodeSigning, "not for code signing"},
      {"limited.pem", "root.pem", kNow, kNotForCodeSigning, "CN=Test Intermediate is limited"},
      {"weak.pem", "root.pem", kNow, kUntrustedChain, ""},
      {"forged.pem", "root.pem", kNow, kUntrustedChain, "CN=Test Signer"},
      // A web root of the system, or any intermediate, is no root that was given.
      {"chain.pem", "chain.pem", kNow, kUntrustedChain, "none of the trust roots"},
  };
  ASSERT_TRUE(sign().ok());
  SignatureBundle bundle = *read_bundle(signature_);
  bundle.method = SigningMethod::kCertificate;
  bundle.envelope.signatures[0].signature =
      signed_by(leaf_key(), base::dsse_pae(bundle.envelope.payload_type, bundle.envelope.payload));
  for (const Case& one : cases) {
    SCOPED_TRACE(fmt::format("{} {} {}", one.chain, one.root, one.at));
    bundle.certificates.clear();
    for (const Certificate& certificate : certificates(one.chain))
      bundle.certificates.push_back(certificate.to_der());
    const auto done = verify_signature(bundle, {.roots = certificates(one.root)}, at(one.at), "b");
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(done->fault, one.fault) << done->reason;
    EXPECT_THAT(done->reason, HasSubstr(one.reason));
    EXPECT_EQ(done->signer.has_value(), one.fault == kNone);
  }
  // The leaf without its intermediate.
  bundle.certificates = {certificates("chain.pem")[0].to_der()};
  EXPECT_EQ(verify_signature(bundle, by_root().trusted, at(kNow), "b")->fault, kUntrustedChain);
  // A good chain, and somebody else's signature.
  bundle.certificates.push_back(certificates("chain.pem")[1].to_der());
  bundle.envelope.signatures[0].signature = signed_by(
      private_key("p384"), base::dsse_pae(bundle.envelope.payload_type, bundle.envelope.payload));
  EXPECT_EQ(verify_signature(bundle, by_root().trusted, at(kNow), "b")->fault, kBadSignature);
}

// --- admission ----------------------------------------------------------------------------------

TEST_F(Signatures, ACompositionIsSignedWhereAllOfItIsListedAndEqual) {
  ASSERT_TRUE(sign().ok());
  const std::string bundle = read(signature_);
  const std::string config = read(model_ / "config.json");
  ModelFile file{.name = "config.json", .size = config.size(), .digest = base::sha256(config)};
  ModelFile other{.name = "a-b", .path = model_ / "a-b", .size = 7};
  const auto judge = [&](std::vector<ModelFile> files) {
    auto done = verify_composition(files, bundle, "b", by_key("p256"));
    EXPECT_TRUE(done.ok());
    return *done;
  };
  // A known digest is believed (its path is empty here), the other file is read.
  const SignedComposition part = judge({file, other});
  EXPECT_TRUE(part.verification.verified()) << part.verification.reason;
  EXPECT_TRUE(part.verification.signer);
  EXPECT_THAT(part.admitted, ElementsAre("a-b", "config.json"));
  EXPECT_THAT(part.absent, ElementsAre("a/b", "weights/.gitignore", "weights/model.bin",
                                       "\xc3\xa9\xe4\xb8\x96.txt"));
  // What no resource lists is not admitted, also where it would be left out of a signature.
  for (const char* name : {"extra.json", ".gitignore"}) {
    const SignedComposition extra =
        judge({file, ModelFile{.name = name, .size = 0, .digest = base::sha256("")}});
    EXPECT_EQ(extra.verification.fault, SignatureFault::kFilesDiffer);
    EXPECT_FALSE(extra.verification.signer);
    EXPECT_THAT(extra.admitted, IsEmpty());
  }
  file.digest = base::sha256("else");
  EXPECT_EQ(judge({file}).verification.fault, SignatureFault::kFilesDiffer);
  EXPECT_FALSE(verify_composition({}, bundle, "b", by_key("p256")).ok());
}

// --- corrupt bundles and statements
// ---------------------------------------------------------------

struct Corrupt {
  const char* name;
  std::function<void(Json&)> change;
  const char* message;
};

TEST_F(Signatures, CorruptBundlesAreNamed) {
  const Json key = *base::parse_json(read(kData / "signatures/files-p256.sig"), "k");
  const Json certificate = *base::parse_json(read(kData / "signatures/certificate.sig"), "c");
  const Json keyless = *base::parse_json(read(kData / "signatures/keyless.sig"), "l");
  const auto expect = [](Json bundle, const Corrupt& one) {
    SCOPED_TRACE(one.name);
    one.change(bundle);
    const auto parsed = parse_bundle(bundle.dump(), "f.sig");
    ASSERT_FALSE(parsed.ok());
    EXPECT_THAT(parsed.error().message, HasSubstr("f.sig"));
    EXPECT_THAT(parsed.error().message, HasSubstr(one.message));
  };
  const Corrupt of_key[] = {
      {"no media type", [](Json& b) { b.erase("mediaType"); }, "mediaType"},
      {"media type of another version",
       [](Json& b) { b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"; },
       "supported"},
      {"no envelope", [](Json& b) { b.erase("dsseEnvelope"); }, "dsseEnvelope"},
      {"no verification material", [](Json& b) { b.erase("verificationMaterial"); },
       "verificationMaterial"},
      {"empty verification material", [](Json& b) { b["verificationMaterial"] = Json::object(); },
       "not exactly one"},
      {"two kinds of material",
       [](Json& b) {
         b["verificationMaterial"]["certificate"] = {{"rawBytes", "AA=="}};
       },
       "not exactly one"},
      {"key without a hint",
       [](Json& b) { b["verificationMaterial"]["publicKey"] = Json::object(); }, "neither hint"},
      {"empty hint", [](Json& b) { b["verificationMaterial"]["publicKey"]["hint"] = ""; },
       "empty hint"},
      {"raw bytes that are no key",
       [](Json& b) {
         b["verificationMaterial"]["publicKey"] = {{"rawBytes", "AAAA"}};
       },
       "no public key"},
      {"payload of another type", [](Json& b) { b["dsseEnvelope"]["payloadType"] = "text/plain"; },
       "text/plain"},
      {"payload that is no base64", [](Json& b) { b["dsseEnvelope"]["payload"] = "?"; }, "base64"},
      {"no signature", [](Json& b) { b["dsseEnvelope"]["signatures"] = Json::array(); },
       "signatures"},
      {"two signatures",
       [](Json& b) {
         Json& signatures = b["dsseEnvelope"]["signatures"];
         signatures.push_back(Json(signatures[0]));
       },
       "exactly one signature"},
      {"an array", [](Json& b) { b = Json::array(); }, "no signature bundle"},
  };
  for (const Corrupt& one : of_key) expect(key, one);
  const auto chain = [](Json& b) -> Json& {
    return b["verificationMaterial"]["x509CertificateChain"]["certificates"];
  };
  const Corrupt of_certificate[] = {
      {"no certificates", [&](Json& b) { chain(b) = Json::array(); }, "1 to 16"},
      {"17 certificates",
       [&](Json& b) {
         while (chain(b).size() < 17) chain(b).push_back(Json(chain(b)[0]));
       },
       "1 to 16"},
      {"a certificate that is a string", [&](Json& b) { chain(b)[0] = "x"; }, "rawBytes"},
      {"a certificate that is no base64", [&](Json& b) { chain(b)[0]["rawBytes"] = "?"; },
       "base64"},
      {"an empty certificate", [&](Json& b) { chain(b)[0]["rawBytes"] = ""; }, "size"},
  };
  for (const Corrupt& one : of_certificate) expect(certificate, one);
  const Corrupt of_keyless[] = {
      {"no log entries", [](Json& b) { b["verificationMaterial"].erase("tlogEntries"); },
       "tlogEntries"},
      {"empty log entries",
       [](Json& b) { b["verificationMaterial"]["tlogEntries"] = Json::array(); }, "tlogEntries"},
  };
  for (const Corrupt& one : of_keyless) expect(keyless, one);
  EXPECT_FALSE(parse_bundle("", "f.sig").ok());
  EXPECT_FALSE(parse_bundle(key.dump().substr(0, 200), "f.sig").ok());
  // Certificates that are no certificates are found when they are judged.
  Json broken = certificate;
  chain(broken)[0]["rawBytes"] = "AAAA";
  const auto parsed = parse_bundle(broken.dump(), "f.sig");
  ASSERT_TRUE(parsed.ok());
  EXPECT_FALSE(verify_signature(*parsed, by_root().trusted, at(kNow), "f.sig").ok());
}

TEST_F(Signatures, CorruptStatementsAreNamed) {
  ASSERT_TRUE(sign({.method = Serialization::kShards, .shard_bytes = 1000}).ok());
  const Json shards = *base::parse_json(read_bundle(signature_)->envelope.payload, "p");
  ASSERT_TRUE(sign().ok());
  const Json files = *base::parse_json(read_bundle(signature_)->envelope.payload, "p");
  const auto resources = [](Json& s) -> Json& { return s["predicate"]["resources"]; };
  const auto serialization = [](Json& s) -> Json& { return s["predicate"]["serialization"]; };
  const auto expect = [](Json statement, const Corrupt& one) {
    SCOPED_TRACE(one.name);
    one.change(statement);
    const auto parsed = parse_statement(statement.dump(), "f.sig");
    ASSERT_FALSE(parsed.ok());
    EXPECT_THAT(parsed.error().message, HasSubstr("f.sig"));
    EXPECT_THAT(parsed.error().message, HasSubstr(one.message));
  };
  // The root is set right again, so that what is tested is what fails.
  const auto named = [&](const char* name) {
    return [=](Json& s) { s["predicate"]["resources"][0]["name"] = name; };
  };
  const Corrupt of_files[] = {
      {"another type", [](Json& s) { s["_type"] = "x"; }, "not an in-toto statement"},
      {"no type", [](Json& s) { s.erase("_type"); }, "_type"},
      {"another predicate", [](Json& s) { s["predicateType"] = "https://example.com/v1"; },
       "example.com"},
      {"no predicate", [](Json& s) { s.erase("predicate"); }, "predicate"},
      {"no subject", [](Json& s) { s["subject"] = Json::array(); }, "0 subjects"},
      {"two subjects", [](Json& s) { s["subject"].push_back(Json(s["subject"][0])); },
       "2 subjects"},
      {"subject without a digest", [](Json& s) { s["subject"][0].erase("digest"); }, "digest"},
      {"root of other resources",
       [](Json& s) { s["subject"][0]["digest"]["sha256"] = std::string(64, '0'); },
       "not that of the listed"},
      {"resources in another order", [&](Json& s) { std::swap(resources(s)[0], resources(s)[1]); },
       "not that of the listed"},
      {"a resource less", [&](Json& s) { resources(s).erase(0); }, "not that of the listed"},
      {"no resources", [&](Json& s) { resources(s) = Json::array(); }, "empty model"},
      {"a short digest", [&](Json& s) { resources(s)[0]["digest"] = "ab"; }, "SHA-256"},
      {"another hash", [&](Json& s) { resources(s)[0]["algorithm"] = "blake3"; }, "blake3"},
      {"another hash type", [&](Json& s) { serialization(s)["hash_type"] = "blake3"; }, "blake3"},
      {"another method", [&](Json& s) { serialization(s)["method"] = "tree"; }, "tree"},
      {"links as text", [&](Json& s) { serialization(s)["allow_symlinks"] = "false"; },
       "allow_symlinks"},
      {"ignored paths as numbers", [&](Json& s) { serialization(s)["ignore_paths"] = {1}; },
       "ignore_paths"},
      {"a name twice", named("a/b"), "twice"},
      {"a name above the model", named("../a"), "no path inside"},
      {"an absolute name", named("/etc/passwd"), "no path inside"},
      {"a name with a dot", named("./a"), "no path inside"},
      {"an empty name", named(""), "no path inside"},
      {"a single file beside others", named("."), "single file"},
  };
  for (const Corrupt& one : of_files) expect(files, one);
  const auto size = [&](Json value) {
    return [=](Json& s) { s["predicate"]["serialization"]["shard_size"] = value; };
  };
  const Corrupt of_shards[] = {
      {"a hash of other shards",
       [&](Json& s) { resources(s)[0]["algorithm"] = "sha256-sharded-999"; }, "sha256-sharded-999"},
      {"no shard size", [&](Json& s) { serialization(s).erase("shard_size"); }, "shard_size"},
      {"shard size 0", size(0), "makes no sense"},
      {"shard size -1", size(-1), "makes no sense"},
      {"shard size 1.5", size(1.5), "makes no sense"},
      {"shard size 1e300", size(1e300), "makes no sense"},
      {"shards of another size",
       [&](Json& s) {
         size(2000)(s);
         for (Json& resource : resources(s)) resource["algorithm"] = "sha256";
       },
       "do not follow"},
      {"no range", named("a-b"), "no name of a shard"},
      {"half a range", named("a-b:0"), "no name of a shard"},
      {"a negative range", named("a-b:-1:7"), "no name of a shard"},
      {"a range past 64 bits", named("a-b:0:99999999999999999999"), "no name of a shard"},
      {"a range that does not begin at 0", named("a-b:1000:1007"), "do not follow"},
      {"an empty range", named("a-b:0:0"), "do not follow"},
      {"a backward range", named("a-b:0:-7"), "no name of a shard"},
  };
  for (const Corrupt& one : of_shards) expect(shards, one);
  EXPECT_FALSE(parse_statement("", "f.sig").ok());
  EXPECT_FALSE(parse_statement(std::string(1000, '['), "f.sig").ok());
  EXPECT_TRUE(parse_statement(files.dump(), "f.sig").ok());
  EXPECT_TRUE(parse_statement(shards.dump(), "f.sig").ok());
}

TEST(CertificateFiles, BrokenOnesAreNamed) {
  EXPECT_FALSE(Certificate::from_pem("", "f.pem").ok());
  EXPECT_FALSE(Certificate::from_pem(read(kData / "keys/test-p256.pub.pem"), "f.pem").ok());
  std::string broken = read(kData / "certs/chain.pem");
  broken.resize(broken.size() - 60);
  EXPECT_FALSE(Certificate::from_pem(broken, "f.pem").ok());
  auto der = certificates("root.pem")[0].to_der();
  der.push_back(std::byte{0});
  EXPECT_FALSE(Certificate::from_der(der, "f").ok());
}

}  // namespace
}  // namespace lantern::supply
