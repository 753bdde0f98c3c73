#include "gate/bom.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "gate/advisories.h"
#include "gate/resolve.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

const std::string kSource = LANTERN_SOURCE_DIR;

/// A state folder of its own.
class OwnHome : public ::testing::Test {
 protected:
  OwnHome() {
    if (const char* old = ::getenv("LANTERN_HOME")) before_ = old;
    ::setenv("LANTERN_HOME", root_.c_str(), 1);
  }
  ~OwnHome() override {
    before_ ? ::setenv("LANTERN_HOME", before_->c_str(), 1) : ::unsetenv("LANTERN_HOME");
    fs::remove_all(root_);
  }
  static fs::path make_root() {
    std::string name = (fs::temp_directory_path() / "lantern-bom-XXXXXX").string();
    return ::mkdtemp(name.data());
  }
  fs::path root_ = make_root();
  std::optional<std::string> before_;
};

class Identified : public OwnHome {};

TEST_F(Identified, HasTheIdThatALoadIsJudgedBy) {
  for (const char* path :
       {"/tests/golden/models/llama-tied", "/tests/golden/models/llama-tied/model.gguf",
        "/tests/golden/models/qwen2"}) {
    SCOPED_TRACE(path);
    auto identified = identify_model(kSource + path, {});
    ASSERT_TRUE(identified.ok()) << identified.error().message;
    auto resolved = resolve(kSource + path, {});
    ASSERT_TRUE(resolved.ok()) << resolved.error().message;
    EXPECT_EQ(identified->manifest.id, resolved->model.id);
  }
  EXPECT_EQ(identify_model("absent", {}).error().code, ErrorCode::kNotFound);
}

TEST_F(Identified, AFoldersLicenceIsItsCardsAndItsText) {
  auto licence = licence_of(kSource + "/src/format/testdata/hf", {});
  ASSERT_TRUE(licence.ok()) << licence.error().message;
  EXPECT_EQ(licence->report.concluded, "Apache-2.0");
  EXPECT_EQ(licence->report.text_file, "LICENSE");
  EXPECT_EQ(licence->report.text, "the licence\n");
  ASSERT_EQ(licence->report.statements.size(), 2u);
  EXPECT_EQ(licence->report.statements[0].where, "model card license");
}

TEST_F(Identified, ASplitModelIsAllItsFiles) {
  const std::string part = kSource + "/src/format/testdata/split/model-00002-of-00003.gguf";
  auto bom = make_bom(part, {.format = "cyclonedx"});
  ASSERT_TRUE(bom.ok()) << bom.error().message;
  auto json = base::parse_json(bom->document, "document");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ((*json)["components"][0]["components"].size(), 3u);
  EXPECT_EQ((*json)["components"][0]["name"], "model");
  EXPECT_EQ(bom->document.find(kSource), std::string::npos) << "a path of this machine";
}

TEST_F(OwnHome, AdvisoriesMatchAModelByItsPath) {
  const std::string model = kSource + "/tests/golden/models/llama-tied/model.gguf";
  auto none = advisories_of(model, {});
  ASSERT_TRUE(none.ok()) << none.error().message;
  EXPECT_TRUE(none->matches.empty());
  const auto identified = identify_model(model, {});
  ASSERT_TRUE(identified.ok());
  const base::Digest file = identified->manifest.files[0].digest;
  std::ofstream(root_ / "a.json") << R"({"id": "x_1", "modified": "2026-01-01T00:00:00Z",
      "affected": [{"versions": ["sha256:)" +
                                         base::to_hex(file) + R"("]}]})";
  ASSERT_TRUE(import_advisories(root_ / "a.json", {}).ok());
  auto one = advisories_of(model, {});
  ASSERT_TRUE(one.ok()) << one.error().message;
  ASSERT_EQ(one->matches.size(), 1u);
  EXPECT_EQ(one->standing, supply::Standing::kAffected);
  EXPECT_EQ(one->matches[0].severity, supply::Severity::kUnknown);
  const base::Digest files[] = {file};
  auto admission = match_advisories(identified->manifest.id, files, "", "");
  ASSERT_TRUE(admission.ok());
  EXPECT_EQ(admission->size(), 1u);
  // What cannot be read is no empty answer.
  std::ofstream(root_ / "data/advisories/advisories.db") << "damaged";
  EXPECT_EQ(match_advisories(identified->manifest.id, files, "", "").error().code,
            ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace lantern::gate
