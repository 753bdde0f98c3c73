// lantern scan-model, and the process that scans: what it tries ends it, and its end is no answer.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/command.h"
#include "program.h"
#include "supply/sandbox/inspect.h"
#include "supply/sandbox/scan_child.h"

namespace lantern::tests {
namespace {

using Json = nlohmann::json;
using supply::scan::Report;
using supply::scan::Verdict;
using testing::HasSubstr;

constexpr const char* kAttack = "cos\nsystem\n(S'id'\ntR.";

std::string write_file(const std::string& name, const std::string& content) {
  const auto path = scratch_folder() / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
  return path.string();
}

TEST(ScanModel, ExitCodesSayTheVerdict) {
  const auto exit_code = [](const std::string& name, const std::string& content) {
    return run_lantern({"scan-model", write_file(name, content)}).exit_code;
  };
  EXPECT_EQ(exit_code("config.json", "{\"a\": 1}"), 0);
  EXPECT_EQ(exit_code("warn/config.json", "{\"auto_map\": {\"AutoModel\": \"x.X\"}}"), 0);
  EXPECT_EQ(exit_code("a.safetensors", kAttack), 1);
  EXPECT_EQ(exit_code("numbers.pkl", "\x80\x02]."), 2);
  EXPECT_EQ(exit_code("chat_template.jinja", "{{ unclosed"), 3);
  EXPECT_EQ(run_lantern({"scan-model", "/no/such/file"}).exit_code, 2);
  EXPECT_EQ(run_lantern({"scan-model", "x", "--json", "--sarif"}).exit_code, 2);
}

TEST(ScanModel, AFileWhoseNameIsNoUtf8IsScannedAsAnyOther) {
  const std::string name = "m\xff\xc3", shown = "m\\xff\\xc3";
  EXPECT_EQ(run_lantern({"scan-model", write_file(name + ".json", "{\"a\": 1}")}).exit_code, 0);
  EXPECT_EQ(run_lantern({"scan-model", write_file(name + ".jinja", "{{ unclosed")}).exit_code, 3);
  const Ran bad = run_lantern({"scan-model", write_file(name + "/" + name + ".bin", kAttack)});
  EXPECT_EQ(bad.exit_code, 1) << bad.out << bad.err;
  EXPECT_THAT(bad.out, HasSubstr("malicious: " + shown + ".bin@"));
  const Ran folder = run_lantern({"scan-model", (scratch_folder() / name).string(), "--json"});
  EXPECT_EQ(folder.exit_code, 1) << folder.out << folder.err;
  EXPECT_EQ(Json::parse(folder.out)["verdict"], "malicious");
}

TEST(ScanModel, NamesTheFileAndTheOperation) {
  const Ran ran = run_lantern({"scan-model", write_file("model.bin", kAttack)});
  EXPECT_THAT(ran.out, HasSubstr("malicious: model.bin@"));
  EXPECT_THAT(ran.out, HasSubstr("calls os.system"));
}

TEST(ScanModel, AFolderIsOneReport) {
  write_file("folder/config.json", "{}");
  write_file("folder/sub/evil.txt", kAttack);
  const Ran ran = run_lantern({"scan-model", (scratch_folder() / "folder").string(), "--json"});
  EXPECT_EQ(ran.exit_code, 1);
  const Json report = Json::parse(ran.out);
  EXPECT_EQ(report["verdict"], "malicious");
  EXPECT_EQ(report["files"].size(), 2u);
  EXPECT_EQ(report["findings"][0]["file"], "sub/evil.txt");
}

// The parts of SARIF 2.1.0 that its readers need (OASIS, sections 3.13 to 3.27).
TEST(ScanModel, SarifHasARuleAndAPlaceForEachResult) {
  const Ran ran = run_lantern({"scan-model", write_file("a b.bin", kAttack), "--sarif"});
  const Json sarif = Json::parse(ran.out);
  EXPECT_EQ(sarif["version"], "2.1.0");
  const Json& run = sarif["runs"][0];
  const Json& rules = run["tool"]["driver"]["rules"];
  ASSERT_GT(run["results"].size(), 1u);
  for (const Json& result : run["results"]) {
    EXPECT_EQ(rules.at(result["ruleIndex"].get<size_t>())["id"], result["ruleId"]);
    EXPECT_EQ(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "a%20b.bin");
    EXPECT_FALSE(result["message"]["text"].get<std::string>().empty());
  }
  EXPECT_EQ(run["results"].back()["level"], "error");
}

Report scan_misbehaving(const std::string& how, std::chrono::milliseconds time_max) {
  const base::UniqueFd fd(open(write_file("config.json", "{}").c_str(), O_RDONLY | O_CLOEXEC));
  auto report = supply::sandbox::scan_in_child({{.fd = fd.get(), .path = "config.json"}},
                                               {.limits = {.time_max = time_max},
                                                .memory_bytes_max = 1u << 30,
                                                .program = LANTERN_BUILD_DIR "/lantern",
                                                .misbehave = how});
  EXPECT_TRUE(report.ok());
  return report.ok() ? *report : Report{};
}

TEST(ScanChild, OneThatBehavesReports) {
  const Report report = scan_misbehaving("", std::chrono::seconds(60));
  EXPECT_EQ(report.verdict(), Verdict::kClean);
  ASSERT_EQ(report.files.size(), 1u);
  EXPECT_EQ(report.files[0].formats, std::vector<std::string>{"json"});
}

TEST(ScanChild, OneThatOpensConnectsStartsOrWritesIsEndedAndInconclusive) {
  for (const char* how : {"open", "socket", "exec", "write"}) {
    const Report report = scan_misbehaving(how, std::chrono::seconds(60));
    EXPECT_EQ(report.verdict(), Verdict::kInconclusive) << how;
    ASSERT_EQ(report.findings.size(), 1u) << how;
    EXPECT_THAT(report.findings[0].message, HasSubstr("forbids")) << how;
  }
}

TEST(ScanChild, OneThatRunsOutOfTimeOrMemoryOrLiesIsInconclusive) {
  EXPECT_EQ(scan_misbehaving("sleep", std::chrono::milliseconds(1)).verdict(),
            Verdict::kInconclusive);
  EXPECT_EQ(scan_misbehaving("allocate", std::chrono::seconds(60)).verdict(),
            Verdict::kInconclusive);
  const Report lie = scan_misbehaving("lie", std::chrono::seconds(60));
  EXPECT_EQ(lie.verdict(), Verdict::kInconclusive);
  EXPECT_THAT(lie.findings.at(0).message, HasSubstr("other files"));
}

std::string gguf_file() {
  return std::string(LANTERN_SOURCE_DIR) + "/src/format/testdata/all_types.gguf";
}

Result<supply::InspectedModel> inspect_misbehaving(const std::string& how,
                                                   std::chrono::milliseconds time_max) {
  return supply::sandbox::inspect_in_child(
      gguf_file(),
      {.time_max = time_max, .program = LANTERN_BUILD_DIR "/lantern", .misbehave = how});
}

TEST(InspectChild, OneThatBehavesDescribesTheFile) {
  const auto model = inspect_misbehaving("", std::chrono::seconds(60));
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->description.kind, format::FileKind::kGguf);
  EXPECT_GT(model->description.n_parameters, 0u);
}

// Whatever ends the child, the answer is "inconclusive", exit 3.
TEST(InspectChild, OneThatDiesOrLiesIsInconclusive) {
  for (const char* how : {"open", "socket", "exec", "write", "crash", "lie", "allocate"}) {
    const auto model = inspect_misbehaving(how, std::chrono::seconds(60));
    ASSERT_FALSE(model.ok()) << how;
    EXPECT_THAT(model.error().message, HasSubstr("inconclusive")) << how;
    EXPECT_EQ(cli::exit_of(model.error()), cli::Exit::kInconclusive) << how;
  }
  const auto slow = inspect_misbehaving("sleep", std::chrono::milliseconds(1));
  ASSERT_FALSE(slow.ok());
  EXPECT_EQ(cli::exit_of(slow.error()), cli::Exit::kInconclusive);
}

/// The process whose parent is `parent`, or 0.
pid_t child_of(pid_t parent) {
  std::ifstream in(fmt::format("/proc/{0}/task/{0}/children", parent));
  pid_t child = 0;
  in >> child;
  return child;
}

// The real program: its child is stopped before it reads anything, then killed.
TEST(InspectChild, AKilledChildIsExit3) {
  // A header that takes long enough to read: a list of four million strings.
  const uint64_t n = 4u << 20;
  std::string header = "GGUF";
  const auto number = [&](auto value) {
    header.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  number(uint32_t{3});
  number(uint64_t{0});  // tensors
  number(uint64_t{1});  // keys
  number(uint64_t{1});
  header += "k";
  number(uint32_t{9});  // an array
  number(uint32_t{8});  // of strings
  number(n);
  header.append(n * 8, '\0');
  const std::string file = write_file("slow.gguf", header);
  const pid_t program = fork();
  if (program == 0) {
    execl(LANTERN_BUILD_DIR "/lantern", "lantern", "inspect", file.c_str(), nullptr);
    _exit(99);
  }
  pid_t child = 0;
  for (int i = 0; i < 100'000 && child == 0; ++i) child = child_of(program);
  ASSERT_NE(child, 0);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(program, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
}

}  // namespace
}  // namespace lantern::tests
