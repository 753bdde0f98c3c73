// lantern scan-model, and the process that scans: what it tries ends it, and its end is no answer.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "program.h"
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

}  // namespace
}  // namespace lantern::tests
