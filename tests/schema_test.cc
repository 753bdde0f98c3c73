// Every --json output is held against its schema in docs/schemas/.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "json_schema.h"
#include "program.h"

namespace lantern::tests {
namespace {

using Json = nlohmann::json;

/// Empty if `document` follows the schema, else what is wrong.
std::string violations(const std::string& name, const Json& document) {
  return schema_violations(published_schema(name), document);
}

void expect_follows(const std::string& name, const std::vector<std::string>& arguments,
                    const std::string& input = "") {
  SCOPED_TRACE(name);
  const Ran ran = run_lantern(arguments, {.input = input});
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  const Json document = Json::parse(ran.out, nullptr, false);
  ASSERT_FALSE(document.is_discarded()) << ran.out;
  EXPECT_EQ(violations(name, document), "");
  // The schema is no empty promise: a document with a field more or less does not follow it.
  Json more = document, less = document;
  more["unexpected"] = 1;
  less.erase(less.begin());
  EXPECT_NE(violations(name, more), "");
  EXPECT_NE(violations(name, less), "");
}

TEST(Schemas, EveryCommandThatHasAJsonOptionHasASchema) {
  const Ran help = run_lantern({"completion", "fish"});
  ASSERT_EQ(help.exit_code, 0) << help.err;
  int n_found = 0;
  std::istringstream lines(help.out);
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kFrom = "__fish_seen_subcommand_from ";
    const size_t at = line.find(kFrom);
    if (at == std::string::npos || line.find(" -l json ") == std::string::npos) continue;
    const std::string command =
        line.substr(at + kFrom.size(), line.find('\'', at) - at - kFrom.size());
    EXPECT_TRUE(std::filesystem::exists(std::string(LANTERN_SOURCE_DIR) + "/docs/schemas/" +
                                        command + ".json"))
        << command;
    ++n_found;
  }
  EXPECT_GE(n_found, 8);
}

TEST(Schemas, HoldOfDecisions) {
  const ScopedHome home("decisions");
  const std::string model = std::string(LANTERN_SOURCE_DIR) + "/tests/golden/models/llama-tied";
  expect_follows("approve", {"approve", model, "--reason", "test", "--expires", "90d", "--json"});
  expect_follows("store-verify", {"store", "verify", "--json"});
  expect_follows("store-collect", {"store", "collect", "--json"});
  expect_follows("revoke", {"revoke", model, "--reason", "test", "--json"});
}

TEST(Schemas, HoldOfPolicies) {
  const ScopedHome home("policies");
  const std::string example = std::string(LANTERN_SOURCE_DIR) + "/docs/examples/policy.toml";
  expect_follows("policy-check", {"policy", "check", example, "--json"});
  expect_follows("policy-show", {"policy", "show", "--json"});
  expect_follows("policy-explain",
                 {"policy", "explain", "--action", "load", "--suppose", "catalog=true", "--suppose",
                  "revoked=false", "--suppose", "state=approved", "--suppose", "approvers=1",
                  "--suppose", "in_place=", "--json"});
}

TEST(Schemas, HoldOnSignatures) {
  const std::filesystem::path data =
      std::filesystem::path(LANTERN_SOURCE_DIR) / "src/supply/testdata/signing";
  const auto key = scratch_folder() / "schema-key.pem";
  std::filesystem::copy(data / "keys/test-p256.pem", key,
                        std::filesystem::copy_options::overwrite_existing);
  std::filesystem::permissions(key, std::filesystem::perms(0600));
  const std::string signature = scratch_folder() / "schema.sig";
  const std::string model = data / "model";
  expect_follows("sign", {"sign", model, "--json", "--key", key, "--signature", signature});
  expect_follows("verify", {"verify", model, "--json", "--signature", signature, "--key",
                            data / "keys/test-p256.pub.pem"});
  const std::string certified = data / "signatures/certificate.sig";
  expect_follows("verify", {"verify", model, "--json", "--signature", certified, "--trust-root",
                            data / "certs/root.pem"});
}

TEST(Schemas, HoldOnTheDefaultModel) {
  const std::string model = default_model();
  if (model.empty()) GTEST_SKIP() << "the default model is not here: lantern pull smollm2";
  expect_follows("run", {"run", model, "--json", "--max-tokens", "4", "Hello"});
  expect_follows("embed", {"embed", model, "--json", "Hello", "a second text"});
  expect_follows("tokenize", {"tokenize", model, "--json", "Hello, \xe4\xb8\x96\xe7\x95\x8c"});
  expect_follows("template", {"template", model, "--json", "--messages", "-"},
                 R"([{"role":"user","content":"Hi"}])");
  expect_follows("list", {"list", "--json"});
  expect_follows("show", {"show", model, "--json"});
  expect_follows("inspect", {"inspect", model, "--json"});
  expect_follows("fit", {"fit", model, "--json"});
  expect_follows("licence", {"licence", model, "--json"});
  expect_follows("advisories", {"advisories", model, "--json"});
  expect_follows("bench", {"bench", model, "--json", "--prompt", "16", "--generate", "4",
                           "--repetitions", "1"});
}

TEST(Schemas, HoldOnAScan) {
  expect_follows("scan-model", {"scan-model", LANTERN_SOURCE_DIR "/docs/schemas", "--json"});
  expect_follows("scan-model",
                 {"scan-model", LANTERN_SOURCE_DIR "/tools/corpus/generate.py", "--json"});
}

}  // namespace
}  // namespace lantern::tests
