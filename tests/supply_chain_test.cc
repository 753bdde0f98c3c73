// lantern bom, licence and advisories: exit codes, what goes where, and documents as their
// schemas say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "program.h"

namespace lantern::tests {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

const std::string kFolder = std::string(LANTERN_SOURCE_DIR) + "/src/format/testdata/hf";
const std::string kModel =
    std::string(LANTERN_SOURCE_DIR) + "/tests/golden/models/llama-tied/model.gguf";

std::string scratch_file(const std::string& name, const std::string& content) {
  const auto path = scratch_folder() / name;
  std::ofstream(path, std::ios::binary) << content;
  return path.string();
}

TEST(Bom, WritesToStdoutOrAFileAndTellsWhatIsMissing) {
  const ScopedHome home("bom");
  const Ran shown = run_lantern({"bom", kFolder, "--format", "spdx3"},
                                {.environment = {{"SOURCE_DATE_EPOCH", "86400"}}});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.err, HasSubstr("supplier: not known; give --supplier"));
  EXPECT_THAT(shown.out, HasSubstr("1970-01-02T00:00:00Z"));
  EXPECT_FALSE(Json::parse(shown.out, nullptr, false).is_discarded());
  const std::string out = (scratch_folder() / "bom.json").string();
  const Ran written = run_lantern({"bom", kFolder, "--format", "spdx3", "--out", out},
                                  {.environment = {{"SOURCE_DATE_EPOCH", "86400"}}});
  ASSERT_EQ(written.exit_code, 0) << written.err;
  EXPECT_EQ(written.out, "");
  std::ifstream file(out);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), shown.out);
  const Ran refused = run_lantern({"bom", kFolder, "--complete"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(refused.out, "");
  EXPECT_EQ(run_lantern({"bom", kFolder, "--complete", "--supplier", "Me"}).exit_code, 0);
  EXPECT_EQ(run_lantern({"bom", kFolder, "--format", "spdx2"}).exit_code, 2);
  EXPECT_EQ(run_lantern({"bom", kFolder, "--licence", "mine"}).exit_code, 2);
  EXPECT_EQ(
      run_lantern({"bom", kFolder}, {.environment = {{"SOURCE_DATE_EPOCH", "now"}}}).exit_code, 2);
}

TEST(Licence, IsShownWithWhoSaysSo) {
  const ScopedHome home("licence");
  const Ran known = run_lantern({"licence", kFolder});
  EXPECT_EQ(known.exit_code, 0) << known.err;
  EXPECT_THAT(known.out, HasSubstr("Apache-2.0"));
  EXPECT_THAT(known.out, HasSubstr("model card license"));
  EXPECT_EQ(run_lantern({"licence", kFolder, "--text"}).out, "the licence\n");
  const Ran unknown = run_lantern({"licence", kModel});
  EXPECT_EQ(unknown.exit_code, 0) << unknown.err;
  EXPECT_THAT(unknown.out, HasSubstr("unknown: nothing names a licence"));
  EXPECT_EQ(run_lantern({"licence", kModel, "--text"}).exit_code, 2);
}

TEST(Licence, APulledModelHasTheOneThatItsFilesConclude) {
  const ScopedHome home("licence-pulled");
  const Ran pulled = run_lantern({"pull", kFolder, "--name", "mine"});
  EXPECT_EQ(pulled.exit_code, 4) << "kept, and not approved: " << pulled.err;
  EXPECT_THAT(pulled.out, HasSubstr("licence Apache-2.0"));
  EXPECT_THAT(run_lantern({"list"}).out, HasSubstr("Apache-2.0"));
  EXPECT_THAT(run_lantern({"show", "mine"}).out, HasSubstr("Apache-2.0"));
  const Ran explained = run_lantern({"policy", "explain", "--model", "mine", "--json"});
  EXPECT_EQ(Json::parse(explained.out)["facts"]["licence"], "Apache-2.0");
}

TEST(Advisories, ExitCodesSayWhereTheModelStands) {
  const ScopedHome home("advisories");
  const Ran none = run_lantern({"advisories", kModel});
  EXPECT_EQ(none.exit_code, 0) << none.err;
  EXPECT_THAT(none.err, HasSubstr("no advisory is known here"));
  const Json identity = Json::parse(run_lantern({"licence", kModel, "--json"}).out);
  const std::string id = identity["id"];
  auto osv = [&](const std::string& modified, const std::string& more) {
    return scratch_file("a.json", R"({"id": "x_1", "modified": ")" + modified +
                                      R"(", "affected": [{"versions": ["sha256:)" + id + R"("]}])" +
                                      more + "}");
  };
  const Ran in = run_lantern({"advisories", "import", osv("2026-01-01T00:00:00Z", "")});
  EXPECT_EQ(in.exit_code, 0) << in.err;
  EXPECT_THAT(in.err, HasSubstr("1 records read: 1 new"));
  const Ran affected = run_lantern({"advisories", kModel, "--json"});
  EXPECT_EQ(affected.exit_code, 1) << affected.err;
  EXPECT_EQ(Json::parse(affected.out)["standing"], "affected");
  EXPECT_THAT(run_lantern({"advisories", kModel}).out, HasSubstr("x_1"));
  auto vex = [&](const std::string& status, const std::string& version) {
    return scratch_file(
        "v.json", R"({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://e.org/v",
          "author": "a", "timestamp": "2026-03-01T00:00:00Z", "version": )" +
                      version + R"(, "statements": [{"vulnerability": {"name": "x_1"}, )" + status +
                      R"(, "products": [{"@id": "sha256:)" + id + R"("}]}]})");
  };
  EXPECT_EQ(
      run_lantern({"advisories", "import", vex(R"("status": "not_affected")", "1")}).exit_code, 2);
  EXPECT_EQ(run_lantern({"advisories", kModel}).exit_code, 1) << "a refused document says nothing";
  EXPECT_EQ(run_lantern({"advisories", "import", vex(R"("status": "under_investigation")", "1")})
                .exit_code,
            0);
  EXPECT_EQ(run_lantern({"advisories", kModel}).exit_code, 3);
  EXPECT_EQ(run_lantern({"advisories", "import", vex(R"("status": "fixed")", "2")}).exit_code, 0);
  EXPECT_EQ(run_lantern({"advisories", kModel}).exit_code, 0);
  EXPECT_EQ(run_lantern({"advisories", "import", scratch_file("broken.json", "{")}).exit_code, 2);
  EXPECT_EQ(run_lantern({"advisories"}).exit_code, 2);
}

}  // namespace
}  // namespace lantern::tests
