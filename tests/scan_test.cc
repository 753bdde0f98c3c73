// `lantern scan` on this very machine. Every test looks at processes that it started itself;
// whatever else runs here is left out. (How models hide, and what must not be taken for one:
// evasion_test.cc.)
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "evasion_programs.h"
#include "json_schema.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

/// What is wrong with events, one a line, by the stored schema; empty: nothing.
std::string ocsf_violations(const std::string& events) {
  std::ifstream in(std::string(LANTERN_SOURCE_DIR) + "/tests/data/ocsf-1.8.0.json");
  const Json schema = Json::parse(in);
  std::string all;
  std::istringstream lines(events);
  for (std::string line; std::getline(lines, line);)
    all += schema_violations(schema, Json::parse(line));
  return all;
}

class ScanTest : public testing::Test {
 protected:
  ScanTest() : home_("scan"), folder_(scratch_folder() / "scan") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    model_ = write_model(folder_ / "model.gguf");
  }
  ~ScanTest() override { fs::remove_all(folder_); }

  /// A copy of the engine that nobody else runs, so that its program tells nothing.
  fs::path engine(const std::string& name, const std::string& from = "evasion_engine") {
    return copy_as(from, folder_ / name);
  }

  ScopedHome home_;
  fs::path folder_, model_;
};

TEST_F(ScanTest, AMappedModelIsFoundWithWhatItsHeaderSays) {
  const Running engine_run({engine("engine").string(), "map", model_.string()});
  const Json finding = finding_of(scan_json({"--fast"}), engine_run.pid());
  ASSERT_TRUE(finding.is_object());
  EXPECT_EQ(finding["level"], "alert");
  EXPECT_EQ(finding["runtime"], "gguf");
  ASSERT_EQ(finding["weights"].size(), 1u);
  const Json& weights = finding["weights"][0];
  EXPECT_EQ(weights["path"], model_.string());
  EXPECT_EQ(weights["verdict"], "unknown");
  EXPECT_EQ(attribute(weights, "architecture"), "llama");
  EXPECT_EQ(attribute(weights, "name"), "Evasive 8M");
  EXPECT_EQ(attribute(weights, "licence"), "apache-2.0");
  EXPECT_EQ(attribute(weights, "quantization"), "F16");
  EXPECT_EQ(attribute(weights, "parameters"), std::to_string(2 * 2048 * 2048));
  EXPECT_EQ(attribute(weights, "context"), "2048");
  EXPECT_EQ(attribute(weights, "mix"), "F16 100 %");
  EXPECT_EQ(attribute(weights, "header_sha256").size(), 64u);
}

TEST_F(ScanTest, WhatTheRecordsSayOfAModelIsJoined) {
  const Running engine_run({engine("engine").string(), "map", model_.string()});
  ASSERT_EQ(run_lantern({"approve", model_.string(), "--reason", "test"}).exit_code, 0);
  Json weights = finding_of(scan_json({"--fast"}), engine_run.pid())["weights"][0];
  EXPECT_EQ(weights["verdict"], "approved");
  EXPECT_EQ(weights["matched_by"], "header");
  weights = finding_of(scan_json({"--fast", "--digest"}), engine_run.pid())["weights"][0];
  EXPECT_EQ(weights["verdict"], "approved");
  EXPECT_EQ(weights["matched_by"], "digest");
  ASSERT_EQ(run_lantern({"revoke", model_.string(), "--reason", "test"}).exit_code, 0);
  // Under another name, in another folder.
  const fs::path copy = folder_ / "copy.bin";
  fs::copy_file(model_, copy);
  const Running other({engine("other").string(), "map", copy.string()});
  weights = finding_of(scan_json({"--fast"}), other.pid())["weights"][0];
  EXPECT_EQ(weights["verdict"], "revoked");
}

TEST_F(ScanTest, APromptInACommandLineIsNeverKept) {
  const std::string secret = "sk-live-0123456789 the secret plan";
  const Running engine_run({engine("llama-server").string(), "map", model_.string(), "45124",
                            "--prompt", secret, "-p", secret, "--api-key=" + secret});
  const std::string recording = (folder_ / "host.json").string();
  const Ran ran = run_lantern({"scan", "--json", "--fast", "--record", recording});
  EXPECT_THAT(ran.out, Not(HasSubstr("sk-live")));
  std::ifstream in(recording);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_GT(text.size(), 1000u);
  EXPECT_THAT(text, Not(HasSubstr("sk-live")));
  EXPECT_THAT(text, Not(HasSubstr("secret plan")));
}

TEST_F(ScanTest, ARecordedMachineIsSeenAsTheRealOneWas) {
  const Running engine_run({engine("engine").string(), "map", model_.string()});
  const std::string recording = (folder_ / "host.json").string();
  const Json real = scan_json({"--fast", "--record", recording});
  const Json replayed = scan_json({"--fast", "--replay", recording});
  EXPECT_EQ(finding_of(real, engine_run.pid()), finding_of(replayed, engine_run.pid()));
  EXPECT_EQ(real["processes"], replayed["processes"]);
}

/// Whoever stands out is asked on loopback, and bounds hold against whoever answers otherwise.
TEST_F(ScanTest, SuspectsAreAskedWhichModelsTheyHave) {
  std::map<std::string, std::unique_ptr<Running>> servers;
  for (const std::string way : {"tags", "models", "props", "liar", "garbage", "hang", "endless"})
    servers[way] = std::make_unique<Running>(
        std::vector<std::string>{engine("e-" + way).string(), "map", model_.string(), "0", way});
  const auto answer_of = [&](const Json& report, const std::string& way) {
    const Json finding = finding_of(report, servers.at(way)->pid());
    if (finding.is_object())
      for (const Json& one : finding["evidence"])
        if (one["class"] == "api") return one["text"].get<std::string>();
    return std::string();
  };
  const Json report = scan_json({"--fast", "--probe"});
  EXPECT_EQ(answer_of(report, "tags"), "answers /api/tags with 2 models, llama3.2:3b first");
  EXPECT_EQ(answer_of(report, "models"), "answers /v1/models with org/a-model");
  EXPECT_EQ(answer_of(report, "props"), "answers /props with secret-plan.gguf");
  for (const std::string way : {"liar", "garbage", "hang", "endless"}) {
    EXPECT_EQ(answer_of(report, way), "") << way;
    EXPECT_TRUE(finding_of(report, servers.at(way)->pid()).is_object()) << way;
  }
  EXPECT_EQ(answer_of(scan_json({"--fast"}), "tags"), "") << "nobody is asked without --probe";
}

TEST_F(ScanTest, ModelsAtRestAreFoundByContent) {
  fs::copy_file(model_, folder_ / "blob");
  const Json report = scan_json({"--disk", folder_.string()});
  std::vector<std::string> paths;
  for (const Json& one : report["at_rest"]) paths.push_back(one["path"]);
  EXPECT_THAT(paths, Contains((folder_ / "blob").string()));
  EXPECT_THAT(paths, Contains(model_.string()));
}

/// A shard of one tensor, its numbers a hole.
void write_shard(const fs::path& path, const std::string& tensor) {
  const std::string header =
      R"({")" + tensor + R"(":{"dtype":"BF16","shape":[2048,2048],"data_offsets":[0,8388608]}})";
  const uint64_t length = header.size();
  std::ofstream(path, std::ios::binary)
      << std::string(reinterpret_cast<const char*>(&length), 8) << header;
  fs::resize_file(path, 8 + header.size() + (9u << 20));
}

/// This very process maps two shards, as a runtime does.
TEST_F(ScanTest, ShardsThatAProcessHasMappedAreOneModel) {
  std::ofstream(folder_ / "config.json")
      << R"({"model_type":"qwen3","max_position_embeddings":40960})";
  const size_t bytes = 9u << 20;
  std::vector<void*> mappings;
  for (const std::string part : {"1", "2"}) {
    const fs::path path = folder_ / ("model-0000" + part + "-of-00002.safetensors");
    write_shard(path, "model.layers." + part + ".mlp.down_proj.weight");
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    mappings.push_back(::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0));
    ASSERT_NE(mappings.back(), MAP_FAILED);
    ::close(fd);
  }
  const Json finding = finding_of(scan_json({"--disk", folder_.string()}), ::getpid());
  for (void* mapping : mappings) ::munmap(mapping, bytes);
  ASSERT_TRUE(finding.is_object());
  ASSERT_EQ(finding["weights"].size(), 1u);
  const Json& weights = finding["weights"][0];
  EXPECT_EQ(weights["files"].size(), 2u);
  EXPECT_EQ(attribute(weights, "architecture"), "qwen3");
  EXPECT_EQ(attribute(weights, "context"), "40960");
  EXPECT_EQ(attribute(weights, "parameters"), std::to_string(2 * 2048 * 2048));
  EXPECT_EQ(attribute(weights, "parts"), "2 of 2");
}

/// What is installed in a home: told by names, and by texts that the confined child reads.
TEST_F(ScanTest, WhatIsInstalledIsListedAndNoAlert) {
  const fs::path home = folder_ / "home";
  const auto write = [&](const std::string& path, const std::string& text) {
    fs::create_directories((home / path).parent_path());
    std::ofstream(home / path) << text;
  };
  write(".local/lib/python3.11/site-packages/llama_cpp_python-0.3.36.dist-info/METADATA", "");
  write("projects/merger-with-acme/plan.txt", "");
  write(".config/systemd/user/llm.service",
        "[Service]\nExecStart=/opt/bin/llama-server --api-key sk-secret\n");
  write(".vscode/extensions/continue.continue-1.0.4/package.json", "{}");
  write(".local/share/containers/storage/overlay-images/images.json",
        R"([{"names":["docker.io/ollama/ollama:latest"]}])");
  const std::string recording = (folder_ / "host.json").string();
  const Ran ran = run_lantern({"scan", "--json", "--record", recording},
                              {.environment = {{"HOME", home.string()}}});
  const Json report = Json::parse(ran.out, nullptr, false);
  ASSERT_FALSE(report.is_discarded()) << ran.err;
  EXPECT_EQ(schema_violations(published_schema("scan"), report), "");
  std::set<std::string> found;
  for (const Json& one : report["installed"])
    if (one["where"].get<std::string>().starts_with(home.string()))
      found.insert(one["kind"].get<std::string>() + " " + one["rule"].get<std::string>());
  EXPECT_EQ(found, (std::set<std::string>{"package llama_cpp", "unit llama_cpp",
                                          "extension continue", "image ollama"}));
  EXPECT_THAT(ran.out, Not(HasSubstr("sk-secret")));
  // A unit's text is not recorded, nor are a home's own folders; names of what is installed are.
  std::ifstream in(recording);
  const std::string recorded{std::istreambuf_iterator<char>(in), {}};
  EXPECT_THAT(recorded, HasSubstr("continue.continue"));
  EXPECT_THAT(recorded, Not(HasSubstr("merger-with-acme")));
  std::set<std::string> replayed;
  const Json replay = scan_json({"--replay", recording});
  for (const Json& one : replay["installed"])
    if (one["where"].get<std::string>().starts_with(home.string())) replayed.insert(one["kind"]);
  EXPECT_EQ(replayed, (std::set<std::string>{"package", "extension"}));
  const Ran events = run_lantern({"scan", "--ocsf"}, {.environment = {{"HOME", home.string()}}});
  EXPECT_THAT(events.out, HasSubstr("llama_cpp_python"));
  EXPECT_EQ(ocsf_violations(events.out), "");
  EXPECT_TRUE(run_lantern({"scan", "--json", "--fast"}, {.environment = {{"HOME", home.string()}}})
                  .out.find("llama_cpp_python") == std::string::npos);
}

TEST_F(ScanTest, ExplainsAProcessAndAFile) {
  const Running engine_run({engine("engine").string(), "map", model_.string()});
  const Ran process = run_lantern({"scan", "explain", std::to_string(engine_run.pid())});
  EXPECT_EQ(process.exit_code, 1) << process.err;
  EXPECT_THAT(process.out, HasSubstr("weights"));
  EXPECT_THAT(process.out, HasSubstr("/proc/"));
  EXPECT_THAT(process.out, HasSubstr("strings of an engine for GGUF files"));
  const Ran file = run_lantern({"scan", "explain", model_.string()});
  EXPECT_EQ(file.exit_code, 0) << file.err;
  EXPECT_THAT(file.out, HasSubstr("declared"));
  EXPECT_THAT(file.out, HasSubstr("verified"));
  EXPECT_EQ(run_lantern({"scan", "explain", "/nowhere"}).exit_code, 2);
}

TEST_F(ScanTest, FollowsItsSchemaAndEndsByWhatItFound) {
  const Running engine_run({engine("engine").string(), "map", model_.string()});
  const Ran ran = run_lantern({"scan", "--json"});
  EXPECT_EQ(ran.exit_code, 1) << "a model that nobody approved runs";
  Json document = Json::parse(ran.out, nullptr, false);
  EXPECT_EQ(schema_violations(published_schema("scan"), document), "");
  document["unexpected"] = 1;
  EXPECT_NE(schema_violations(published_schema("scan"), document), "");
}

TEST_F(ScanTest, ExportsFollowThePublishedSchemas) {
  const Running engine_run({engine("engine").string(), "map", model_.string()});
  const Ran ran = run_lantern({"scan", "--ocsf", "--fast", "--digest"});
  EXPECT_EQ(ocsf_violations(ran.out), "");
  std::set<int> classes;
  std::istringstream lines(ran.out);
  for (std::string line; std::getline(lines, line);)
    classes.insert(Json::parse(line)["class_uid"].get<int>());
  EXPECT_EQ(classes, (std::set<int>{2004, 5020}));

  const Json inventory =
      Json::parse(run_lantern({"scan", "--cyclonedx", "--fast"}).out, nullptr, false);
  ASSERT_FALSE(inventory.is_discarded());
  EXPECT_EQ(inventory["bomFormat"], "CycloneDX");
  std::set<std::string> types;
  for (const Json& one : inventory["components"]) types.insert(one["type"]);
  EXPECT_THAT(types, Contains("machine-learning-model"));
  EXPECT_THAT(types, Contains("application"));
}

/// As an account without rights: nothing breaks, and what was not seen is said.
TEST_F(ScanTest, SaysWhatItCannotSee) {
  if (::getuid() != 0) GTEST_SKIP() << "only root can give up its rights";
  const Ran ran = run_lantern({"scan", "--json", "--fast"}, {.as_nobody = true});
  EXPECT_THAT(ran.err, HasSubstr("could not be looked into"));
  EXPECT_THAT(ran.err, HasSubstr("CAP_SYS_PTRACE"));
  const Json report = Json::parse(ran.out, nullptr, false);
  ASSERT_FALSE(report.is_discarded()) << ran.err;
  EXPECT_GT(report["hidden_processes"], 0);
}

/// Own processes are seen in full without any right, a deleted file's header through its mapping.
TEST_F(ScanTest, WithoutRightsOnesOwnProcessesAreSeen) {
  if (::getuid() != 0) GTEST_SKIP() << "only root can become another account";
  fs::permissions(folder_, fs::perms::all);
  fs::permissions(scratch_folder(), fs::perms::others_exec, fs::perm_options::add);
  const fs::path gone = folder_ / "gone.gguf";
  fs::copy_file(model_, gone);
  fs::permissions(gone, fs::perms::others_read, fs::perm_options::add);
  fs::permissions(model_, fs::perms::others_read, fs::perm_options::add);
  const std::string program = engine("engine").string();
  const Running mapped({program, "map", model_.string()}, true);
  const Running deleted({program, "map", gone.string()}, true);
  fs::remove(gone);
  const Ran ran = run_lantern({"scan", "--json", "--fast"}, {.as_nobody = true});
  const Json report = Json::parse(ran.out, nullptr, false);
  ASSERT_FALSE(report.is_discarded()) << ran.err;
  for (const Running* one : {&mapped, &deleted}) {
    const Json finding = finding_of(report, one->pid());
    ASSERT_TRUE(finding.is_object());
    EXPECT_EQ(finding["level"], "alert");
    EXPECT_EQ(attribute(finding["weights"][0], "architecture"), "llama");
    EXPECT_EQ(attribute(finding["weights"][0], "header_sha256").size(), 64u);
  }
  EXPECT_THAT(finding_of(report, deleted.pid())["weights"][0].dump(), HasSubstr("/mem"));
}

}  // namespace
}  // namespace lantern::tests
