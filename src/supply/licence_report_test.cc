#include "supply/licence_report.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "supply/catalog.h"

namespace lantern::supply {
namespace {

std::vector<LicenceTerms> table() {
  auto read = read_licence_table();
  EXPECT_TRUE(read.ok()) << read.error().message;
  return read.ok() ? *read : std::vector<LicenceTerms>();
}

TEST(LicenceTable, TheOneThatIsCompiledInIsReadable) {
  const auto rows = table();
  EXPECT_GE(rows.size(), 30u);
  for (const LicenceTerms& terms : rows) {
    EXPECT_EQ(spdx_expression(terms.id, rows), terms.id);
    for (const std::string& name : terms.also) EXPECT_EQ(spdx_expression(name, rows), terms.id);
  }
}

TEST(LicenceTable, SaysWhichRowAndKeyIsWrong) {
  const std::string good = R"([[licence]]
id = "MIT"
name = "MIT License"
also = ["mit"]
marks = []
commercial = "yes"
attribution = true
share_alike = false
use_restrictions = false
obligations = "keep the notice"
)";
  ASSERT_TRUE(parse_licence_table(good).ok());
  auto fault = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    auto parsed = parse_licence_table(text);
    return parsed.ok() ? std::string("accepted") : parsed.error().message;
  };
  EXPECT_EQ(fault("\"MIT\"", "\"MITT\""),
            "rules/licences.toml: row 1: id: neither an id of the SPDX list nor a LicenseRef-");
  EXPECT_EQ(fault("\"yes\"", "\"sure\""),
            "rules/licences.toml: row 1: commercial: yes, no or conditions is needed");
  EXPECT_EQ(fault("attribution = true", "attribution = 1"),
            "rules/licences.toml: row 1: attribution: true or false is needed");
  EXPECT_EQ(fault("[\"mit\"]", "[\"MIT\"]"),
            "rules/licences.toml: row 1: also: lower case is needed");
  EXPECT_EQ(fault("share_alike", "sharealike"),
            "rules/licences.toml: row 1: sharealike: unknown key");
  EXPECT_EQ(parse_licence_table(good + good).error().message,
            "rules/licences.toml: row 2: id: stands twice");
  EXPECT_FALSE(parse_licence_table("").ok());
  EXPECT_FALSE(parse_licence_table("[[licence").ok());
}

TEST(Licence, NamesBecomeSpdx) {
  const auto rows = table();
  EXPECT_EQ(spdx_expression("apache-2.0", rows), "Apache-2.0");
  EXPECT_EQ(spdx_expression("  Apache-2.0\n", rows), "Apache-2.0");
  EXPECT_EQ(spdx_expression("bsl-1.0", rows), "BSL-1.0");
  EXPECT_EQ(spdx_expression("gpl-3.0", rows), "GPL-3.0-only");
  EXPECT_EQ(spdx_expression("llama3.1", rows), "LicenseRef-llama3.1");
  EXPECT_EQ(spdx_expression("Gemma", rows), "LicenseRef-gemma");
  EXPECT_EQ(spdx_expression("openrail", rows), "LicenseRef-openrail");
  EXPECT_EQ(spdx_expression("mit OR apache-2.0", rows), "MIT OR Apache-2.0");
  EXPECT_EQ(spdx_expression("(MIT AND (ISC OR gpl-3.0))", rows), "(MIT AND (ISC OR GPL-3.0-only))");
  EXPECT_EQ(spdx_expression("GPL-2.0-only WITH Classpath-exception-2.0", rows),
            "GPL-2.0-only WITH Classpath-exception-2.0");
  for (const char* nothing :
       {"", "other", "unknown", "my own licence", "MIT OR", "OR MIT", "MIT MIT MIT", "(MIT OR ISC",
        "MIT OR ISC)", "MIT OR nonsense-9", "()", "((("})
    EXPECT_EQ(spdx_expression(nothing, rows), "") << nothing;
}

TEST(Licence, TextsAreRecognisedByTheirTop) {
  const auto rows = table();
  std::ifstream file(LANTERN_SOURCE_DIR "/LICENSE");
  const std::string own((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  ASSERT_FALSE(own.empty());
  EXPECT_EQ(recognise_licence_text(own, rows), "Apache-2.0");
  EXPECT_EQ(recognise_licence_text("LLAMA 3.1 COMMUNITY\n LICENSE AGREEMENT\nLlama 3.1 ...", rows),
            "LicenseRef-llama3.1");
  EXPECT_EQ(recognise_licence_text("the licence\n", rows), "");
  // One that quotes two is neither.
  EXPECT_EQ(recognise_licence_text("Gemma Terms of Use; CreativeML Open RAIL-M", rows), "");
}

TEST(Licence, WhoSaysWhatAndWhatHolds) {
  auto agreed = judge_licence({.metadata = {{"general.license", "apache-2.0"},
                                            {"general.license.link", "https://example.org/l"}},
                               .recorded = "Apache-2.0"});
  ASSERT_TRUE(agreed.ok());
  EXPECT_EQ(agreed->declared, "Apache-2.0");
  EXPECT_EQ(agreed->concluded, "Apache-2.0");
  EXPECT_EQ(agreed->link, "https://example.org/l");
  ASSERT_EQ(agreed->statements.size(), 2u);
  EXPECT_EQ(agreed->statements[0].where, "metadata general.license");
  EXPECT_EQ(agreed->statements[1].where, "store");
  ASSERT_EQ(agreed->terms.size(), 1u);
  EXPECT_EQ(agreed->terms[0].commercial, "yes");

  auto contradicted = judge_licence(
      {.metadata = {{"license", "mit"}}, .text = "Gemma Terms of Use\n", .text_file = "LICENSE"});
  EXPECT_TRUE(contradicted->contradiction);
  EXPECT_EQ(contradicted->declared, "");
  EXPECT_EQ(contradicted->concluded, "");
  EXPECT_TRUE(contradicted->terms.empty());
  EXPECT_EQ(contradicted->statements[0].where, "model card license");
  EXPECT_EQ(contradicted->statements[1].spdx, "LicenseRef-gemma");

  auto judged = judge_licence({.metadata = {{"general.license", "mit"}}, .catalog = "Apache-2.0"});
  EXPECT_EQ(judged->declared, "MIT");
  EXPECT_EQ(judged->concluded, "Apache-2.0");
  auto given = judge_licence({.catalog = "Apache-2.0", .given = "MIT OR ISC"});
  EXPECT_EQ(given->concluded, "MIT OR ISC");
  EXPECT_EQ(given->terms.size(), 2u);
  EXPECT_EQ(judge_licence({.given = "mine"}).error().code, ErrorCode::kInvalidArgument);

  auto unknown = judge_licence({.metadata = {{"general.license", "other"}}});
  EXPECT_EQ(unknown->concluded, "");
  ASSERT_EQ(unknown->statements.size(), 1u);
  EXPECT_EQ(unknown->statements[0].said, "other");
}

TEST(Licence, TheCatalogNamesListedOnes) {
  auto catalog = read_catalog();
  ASSERT_TRUE(catalog.ok());
  for (const CatalogEntry& entry : *catalog)
    EXPECT_TRUE(is_listed_spdx_id(entry.licence) || entry.licence.starts_with("LicenseRef-"))
        << entry.alias;
}

}  // namespace
}  // namespace lantern::supply
