// The sensor on this very machine: programs of our own that use a model in every way that hides it
// must be found, and programs that are no AI must not. Every test looks at processes that it
// started itself; whatever else runs here is left out.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <list>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>

#include "format/gguf_writer.h"
#include "json_schema.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

std::string evasion(const std::string& name) {
  return std::string(LANTERN_BUILD_DIR) + "/tests/evasion/" + name;
}

/// Two matrices of 16-bit numbers, 16 MiB of them: larger than any file that the sensor skips.
fs::path write_model(const fs::path& path) {
  format::Metadata metadata;
  metadata.set("general.architecture", std::string("llama"));
  metadata.set("general.name", std::string("Evasive 8M"));
  metadata.set("general.license", std::string("apache-2.0"));
  metadata.set("general.file_type", uint64_t{1});
  metadata.set("llama.context_length", uint64_t{2048});
  metadata.set("llama.attention.head_count", uint64_t{4});
  metadata.set("tokenizer.ggml.model", std::string("gpt2"));
  const std::vector<format::TensorPlan> plan = {
      {.name = "blk.0.attn_q.weight", .type = quant::DType::kF16, .shape = {2048, 2048}},
      {.name = "blk.0.attn_k.weight", .type = quant::DType::kF16, .shape = {2048, 2048}}};
  auto writer = format::GgufWriter::create(path, metadata, plan);
  EXPECT_TRUE(writer.ok()) << (writer.ok() ? "" : writer.error().message);
  std::mt19937_64 random(7);
  std::vector<uint64_t> data(2048 * 2048 * 2 / 8);
  for (size_t i = 0; i < plan.size(); ++i) {
    for (uint64_t& word : data) word = random();
    EXPECT_TRUE(writer->write(i, std::as_bytes(std::span(data))).ok());
  }
  EXPECT_TRUE(writer->commit().ok());
  return path;
}

constexpr uid_t kNobody = 65534;

/// A program that runs until it goes out of scope, ready when the constructor returns.
class Running {
 public:
  explicit Running(const std::vector<std::string>& arguments, bool as_nobody = false) {
    int in[2], out[2];
    EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      if (as_nobody && (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) ::_exit(126);
      std::vector<char*> argv;
      argv.reserve(arguments.size() + 1);
      for (const std::string& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
      argv.push_back(nullptr);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    char line[64] = {};
    EXPECT_GT(::read(out[0], line, sizeof line - 1), 0) << arguments[0];
    EXPECT_THAT(line, HasSubstr("ready"));
    ::close(out[0]);
  }
  ~Running() {
    ::close(input_);
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  [[nodiscard]] int pid() const { return pid_; }

 private:
  int pid_ = -1, input_ = -1;
};

Json scan_json(const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"scan", "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Ran ran = run_lantern(arguments);
  EXPECT_THAT(ran.exit_code, testing::AnyOf(0, 1)) << ran.err;
  const Json report = Json::parse(ran.out, nullptr, false);
  EXPECT_FALSE(report.is_discarded()) << ran.out;
  return report;
}

/// The finding on a process; null where there is none.
Json finding_of(const Json& report, int pid) {
  for (const Json& finding : report["findings"])
    if (finding["pid"] == pid) return finding;
  return nullptr;
}

std::string attribute(const Json& weights, const std::string& name) {
  for (const Json& one : weights["attributes"])
    if (one["name"] == name) return one["value"];
  return "";
}

fs::path copy_as(const std::string& program, const fs::path& to) {
  fs::create_directories(to.parent_path());
  fs::copy_file(evasion(program), to, fs::copy_options::overwrite_existing);
  return to;
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

/// One way to hide, and the process that hides so.
struct Hidden {
  Hidden(std::string way, const std::vector<std::string>& arguments)
      : how(std::move(way)), running(arguments) {}
  std::string how;
  Running running;
};

TEST_F(ScanTest, HiddenModelsAreFound) {
  std::list<Hidden> all;
  const auto hide = [&](const std::string& how, const fs::path& program, const std::string& mode,
                        const fs::path& model, const std::string& port = "") {
    std::vector<std::string> arguments = {program.string(), mode, model.string()};
    if (!port.empty()) arguments.push_back(port);
    all.emplace_back(how, arguments);
  };
  const auto copy_model = [&](const std::string& name) {
    fs::copy_file(model_, folder_ / name);
    return folder_ / name;
  };
  hide("as it is", engine("engine"), "map", model_);
  hide("renamed", engine("systemd-helper"), "map", model_);
  hide("stripped and static", engine("static", "evasion_engine_static"), "map", model_);
  hide("no extension", engine("e3"), "map", copy_model("blob"));
  hide("another extension", engine("e4"), "map", copy_model("holiday.jpg"));
  hide("hostile name", engine("e5"), "map", copy_model("a\n\x1b[2Jb (deleted)"));
  hide("odd port", engine("e6"), "map", model_, "45123");
  hide("read", engine("e7"), "read", model_);
  hide("read, stripped and static", engine("kworker", "evasion_engine_static"), "read", model_);
  const fs::path deleted = copy_model("gone.gguf");
  hide("deleted while it runs", engine("e8"), "map", deleted);
  fs::remove(deleted);
  const fs::path program = engine("gone", "evasion_engine_static");
  hide("its program deleted, too", program, "map", model_);
  fs::remove(program);

  const Json report = scan_json({"--disk", folder_.string()});
  size_t n_found = 0;
  for (const Hidden& one : all) {
    SCOPED_TRACE(one.how);
    const Json finding = finding_of(report, one.running.pid());
    ASSERT_TRUE(finding.is_object());
    EXPECT_EQ(finding["level"], "alert") << finding.dump(1);
    ASSERT_FALSE(finding["weights"].empty());
    EXPECT_EQ(attribute(finding["weights"][0], "architecture"), "llama");
    n_found += finding["level"] == "alert";
  }
  RecordProperty("recall", fmt::format("{} of {}", n_found, all.size()));
}

TEST_F(ScanTest, WhatIsNoAiIsNoAlert) {
  const auto write = [&](const std::string& name, std::string_view head) {
    std::string bytes(20u << 20, 'x');
    bytes.replace(0, head.size(), head);
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return (folder_ / name).string();
  };
  const std::string bystander = copy_as("evasion_bystander", folder_ / "game").string();
  std::vector<std::unique_ptr<Running>> all;
  const auto run = [&](const std::vector<std::string>& arguments) {
    all.push_back(std::make_unique<Running>(arguments));
  };
  run({bystander, "map", write("textures.pak", "PAK1")});
  run({bystander, "map", write("archive.zip", std::string_view("PK\x03\x04", 4))});
  run({bystander, "map", write("places.sqlite", "SQLite format 3")});
  run({bystander, "map", write("zeros", std::string_view("\0\0\0\0\0\0\0\0", 8))});
  run({bystander, "read", write("heap", "data")});
  run({bystander, "read", write("more", "data"), "11434"});  // Ollama's port, nothing else
  // What looks at a model without computing with it: a copy, a search, an indexer.
  run({bystander, "read", model_.string()});
  run({bystander, "map", model_.string()});
  const Json report = scan_json({"--disk", folder_.string()});
  for (const auto& one : all) {
    const Json finding = finding_of(report, one->pid());
    EXPECT_FALSE(finding.is_object() && finding["level"] == "alert") << finding.dump(1);
  }
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

TEST_F(ScanTest, ModelsAtRestAreFoundByContent) {
  fs::copy_file(model_, folder_ / "blob");
  const Json report = scan_json({"--disk", folder_.string()});
  std::vector<std::string> paths;
  for (const Json& one : report["at_rest"]) paths.push_back(one["path"]);
  EXPECT_THAT(paths, Contains((folder_ / "blob").string()));
  EXPECT_THAT(paths, Contains(model_.string()));
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
  std::ifstream in(std::string(LANTERN_SOURCE_DIR) + "/tests/data/ocsf-1.8.0.json");
  const Json ocsf = Json::parse(in);
  const Ran ran = run_lantern({"scan", "--ocsf", "--fast", "--digest"});
  std::set<int> classes;
  std::istringstream lines(ran.out);
  for (std::string line; std::getline(lines, line);) {
    const Json event = Json::parse(line);
    EXPECT_EQ(schema_violations(ocsf, event), "") << line;
    classes.insert(event["class_uid"].get<int>());
  }
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
