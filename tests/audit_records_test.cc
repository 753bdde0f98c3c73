// What is done to models, and what is refused, leaves its record whichever way it was asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/hash.h"
#include "base/keys.h"
#include "engine/tiny_model.h"
#include "json_schema.h"
#include "program.h"
#include "supply/testing/stub_server.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

std::string golden_model() {
  return std::string(LANTERN_SOURCE_DIR) + "/tests/golden/models/llama-tied";
}

/// The events of one action, as the log has them.
std::vector<Json> records_of(const std::string& action) {
  const Ran ran = run_lantern({"audit", "query", "--action", action, "--json"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  std::vector<Json> events;
  const Json found = Json::parse(ran.out);
  for (const Json& record : found["records"]) {
    events.push_back(record["event"]);
    EXPECT_EQ(schema_violations(published_schema("audit-event"), record["event"]), "");
  }
  return events;
}

Ran use(const std::string& model, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {
      "logits", model, "--tokens", "1,2", "--out", (scratch_folder() / "records.npy").string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_lantern(arguments);
}

TEST(AuditRecords, ARemovalAtTheCommandLine) {
  const ScopedHome home("removal");
  for (const char* name : {"one", "two"})
    ASSERT_EQ(run_lantern({"pull", golden_model(), "--name", name}).exit_code, 4);
  ASSERT_EQ(run_lantern({"remove", "two"}).exit_code, 0);
  EXPECT_EQ(run_lantern({"remove", "one", "three"}).exit_code, 2);
  ASSERT_EQ(run_lantern({"remove", "one"}).exit_code, 0);
  const auto removals = records_of("remove");
  ASSERT_EQ(removals.size(), 2u);
  EXPECT_EQ(removals[0]["model"]["name"], "two");
  EXPECT_EQ(removals[1]["model"]["name"], "one");
  EXPECT_EQ(removals[0]["model"]["id"], removals[1]["model"]["id"]);
  EXPECT_TRUE(removals[0]["actor"].contains("uid"));
}

TEST(AuditRecords, ASignature) {
  const ScopedHome home("signature");
  const fs::path folder = scratch_folder() / "signature\x1b[2J";
  fs::remove_all(folder);
  fs::create_directories(folder);
  const base::PrivateKey key = base::PrivateKey::generate(base::KeyKind::kP256).value();
  ASSERT_TRUE(key.save(folder / "key.pem").ok());
  ASSERT_EQ(run_lantern({"pull", golden_model(), "--name", "one"}).exit_code, 4);
  const std::string pem = folder / "key.pem", at = folder / "one.sig";
  ASSERT_EQ(run_lantern({"sign", "one", "--key", pem, "--signature", at}).exit_code, 0);
  fs::copy_file(golden_model() + "/config.json", folder / "file");
  ASSERT_EQ(run_lantern({"sign", folder / "file", "--key", pem}).exit_code, 0);
  const std::string key_id = base::to_hex(key.public_key().id());
  const auto signatures = records_of("sign");
  ASSERT_EQ(signatures.size(), 2u);
  for (const Json& event : signatures) {
    EXPECT_EQ(event["actor"]["key_id"], key_id);
    EXPECT_EQ(event["model"]["signer"], "key:" + key_id);
    EXPECT_THAT(event["facts"]["signature"].get<std::string>(), HasSubstr("\\x1b[2J"));
    EXPECT_EQ(event["facts"]["root_sha256"].get<std::string>().size(), 64u);
  }
  EXPECT_EQ(signatures[0]["model"]["name"], "one");
  EXPECT_EQ(signatures[0]["model"]["id"], records_of("pull")[0]["model"]["id"]);
  EXPECT_EQ(signatures[1]["model"]["name"], "file");
}

TEST(AuditRecords, AnApprovalThatAPullAskedForAndDidNotGet) {
  const ScopedHome home("pull-approve");
  const format::TemporaryFolder folder;
  const auto tiny = [&](const std::string& name, const std::string& chat_template) {
    engine::TinyModel model;
    model.chat_template = chat_template;
    const std::string path = (fs::path(folder.path()) / name).string();
    fs::rename(model.write(folder), path);
    return path;
  };
  const auto pull = [](const std::string& path) {
    return run_lantern({"pull", path, "--approve", "a reason"}).exit_code;
  };
  EXPECT_EQ(pull(tiny("bad.gguf", "{{ ''.__class__.__mro__[1].__subclasses__() }}")), 4);
  EXPECT_EQ(pull(tiny("half.gguf", "{% for m in messages %}{{ m.content ")), 4);
  ASSERT_EQ(run_lantern({"pull", golden_model(), "--name", "gone"}).exit_code, 4);
  ASSERT_EQ(run_lantern({"revoke", "gone", "--reason", "r"}).exit_code, 0);
  EXPECT_EQ(pull(golden_model()), 4);
  const auto approvals = records_of("approve");
  ASSERT_EQ(approvals.size(), 3u);
  const char* const rules[] = {"lantern.scan-malicious", "lantern.scan-inconclusive",
                               "lantern.revoked"};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(approvals[i]["decision"], "deny");
    EXPECT_EQ(approvals[i]["rule"], rules[i]);
    EXPECT_NE(approvals[i]["reason"], "");
    EXPECT_EQ(approvals[i]["facts"]["asked"], "a reason");
    EXPECT_EQ(approvals[i]["model"]["id"].get<std::string>().size(), 64u);
  }
}

/// Writes over a byte of the blob; `at` counts from its end.
void change_blob(const ScopedHome& home, const std::string& file, size_t at) {
  const std::string bytes =
      base::read_text_file(golden_model() + "/" + file, uint64_t{64} << 20).value();
  const fs::path blob = home.path() / "data/blobs/sha256" / base::to_hex(base::sha256(bytes));
  ASSERT_TRUE(fs::exists(blob)) << blob;
  fs::permissions(blob, fs::perms(0600));
  std::fstream stream(blob, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(static_cast<std::streamoff>(bytes.size() - at));
  stream.put('~');
}

TEST(AuditRecords, AFileOfTheStoreThatIsNotWhatWasTakenIn) {
  // In its weights, and in what is read before anything is hashed.
  for (const auto& [file, at] :
       {std::pair("model.safetensors", size_t{9}), std::pair("config.json", size_t{40})}) {
    SCOPED_TRACE(file);
    const ScopedHome home("integrity");
    ASSERT_EQ(run_lantern({"pull", golden_model(), "--name", "one", "--approve", "r"}).exit_code,
              0);
    ASSERT_EQ(use("one").exit_code, 0);
    change_blob(home, file, at);
    const auto expect_refused = [](const Ran& ran) {
      EXPECT_EQ(ran.exit_code, 4) << ran.err;
      EXPECT_THAT(ran.err, HasSubstr("denied by rule lantern.integrity"));
      EXPECT_THAT(ran.err, HasSubstr("remove the model and pull it again"));
    };
    expect_refused(use("one"));
    expect_refused(run_lantern({"serve", "one", "--listen", "127.0.0.1:0"}));
    expect_refused(run_lantern({"approve", "one", "--reason", "r"}));
    for (const char* action : {"load", "approve"}) {
      const auto records = records_of(action);
      ASSERT_FALSE(records.empty());
      const Json& last = records.back();
      EXPECT_EQ(last["decision"], "deny") << action;
      EXPECT_EQ(last["rule"], "lantern.integrity") << action;
      EXPECT_EQ(last["model"]["id"], records_of("pull")[0]["model"]["id"]);
      EXPECT_THAT(last["reason"].get<std::string>(), HasSubstr("changed"));
    }
    EXPECT_EQ(records_of("load").size(), 3u) << "one was allowed, two were refused";
    ASSERT_EQ(run_lantern({"remove", "one"}).exit_code, 0);
    ASSERT_EQ(run_lantern({"pull", golden_model(), "--name", "one"}).exit_code, 0);
    EXPECT_EQ(use("one").exit_code, 0) << "what was approved is here again";
  }
}

TEST(AuditRecords, ADownloadThatIsNotWhatWasAnnounced) {
  const ScopedHome home("digest");
  const supply::testing::StubServer server([](const supply::testing::StubRequest&) {
    return supply::testing::StubReply{.body = "GGUF and no more"};
  });
  const std::string address = server.origin() + "/m.gguf";
  EXPECT_EQ(
      run_lantern({"pull", address + "?token=secret#sha256=" + std::string(64, 'a')}).exit_code, 2);
  const auto pulls = records_of("pull");
  ASSERT_EQ(pulls.size(), 1u);
  EXPECT_EQ(pulls[0]["decision"], "error");
  EXPECT_EQ(pulls[0]["facts"]["source"], address);
  EXPECT_THAT(pulls[0]["reason"].get<std::string>(), HasSubstr("wrong content: its SHA-256 is"));
  EXPECT_THAT(pulls[0].dump(), Not(HasSubstr("secret")));
}

TEST(AuditRecords, AnImportOfAdvisories) {
  const ScopedHome home("advisories-record");
  const fs::path folder = scratch_folder() / "advisories";
  fs::create_directories(folder);
  const std::string osv = R"({"id": "x_1", "modified": "2026-01-01T00:00:00Z", "affected": []})";
  const fs::path file = folder / "a.json";
  std::ofstream(file) << osv;
  ASSERT_EQ(run_lantern({"advisories", "import", file}).exit_code, 0);
  std::ofstream(folder / "v.json")
      << R"({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://e.org/v", "author": "a",
            "timestamp": "2026-03-01T00:00:00Z", "version": 1, "statements": [
            {"vulnerability": {"name": "x_1"}, "status": "fixed",
             "products": [{"@id": "pkg:pypi/a@1"}]}]})";
  ASSERT_EQ(run_lantern({"advisories", "import", folder}).exit_code, 0);
  std::ofstream(file) << "{";
  ASSERT_EQ(run_lantern({"advisories", "import", folder}).exit_code, 2);
  const auto imports = records_of("advisories_import");
  ASSERT_EQ(imports.size(), 2u) << "what changes nothing is no import";
  EXPECT_EQ(imports[0]["facts"]["source"], file.string());
  EXPECT_EQ(imports[0]["facts"]["documents"], 1);
  EXPECT_EQ(imports[0]["facts"]["statements"], 0);
  EXPECT_EQ(imports[0]["facts"]["sha256"], base::to_hex(base::sha256(osv)));
  EXPECT_EQ(imports[1]["facts"]["documents"], 2);
  EXPECT_EQ(imports[1]["facts"]["statements"], 1);
  EXPECT_NE(imports[1]["facts"]["sha256"], imports[0]["facts"]["sha256"]);
}

}  // namespace
}  // namespace lantern::tests
