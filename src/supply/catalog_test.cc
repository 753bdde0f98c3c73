#include "supply/catalog.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "supply/reference.h"

namespace lantern::supply {
namespace {

TEST(Catalog, EveryEntryReads) {
  auto entries = read_catalog();
  ASSERT_TRUE(entries.ok()) << entries.error().message;
  size_t n_files = 0;
  for (const auto& file : std::filesystem::directory_iterator(LANTERN_SOURCE_DIR "/catalog"))
    n_files += file.path().extension() == ".toml";
  EXPECT_EQ(entries->size(), n_files);
  for (const auto& entry : *entries) {
    EXPECT_FALSE(entry.sources.empty()) << entry.alias;
    EXPECT_TRUE(entry.file_name.ends_with(".gguf")) << entry.alias;
  }
}

TEST(Catalog, PinsTheDefaultModel) {
  auto entry = find_in_catalog("smollm2");
  ASSERT_TRUE(entry.ok() && *entry);
  EXPECT_EQ((*entry)->size, 98'362'432u);
  EXPECT_EQ(base::to_hex((*entry)->digest),
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53");
  EXPECT_EQ((*entry)->licence, "Apache-2.0");
  EXPECT_FALSE(*find_in_catalog("smollm"));
}

constexpr std::string_view kGood = R"(alias = "m"
title = "M"
licence = "MIT"
homepage = "https://example.org"
[file]
name = "m.gguf"
size = 10
sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
[[sources]]
reference = "pypi:m==1:m.gguf"
)";

TEST(Catalog, SaysWhatIsWrongAndWhere) {
  ASSERT_TRUE(parse_catalog_entry({"m.toml", kGood}).ok());
  struct Case {
    const char *from, *to, *message;
  };
  const Case cases[] = {
      {"alias = \"m\"", "alias = \"n\"",
       "catalog/m.toml: alias: must be the file's name without .toml"},
      {"title", "titel", "catalog/m.toml: titel: unknown key"},
      {"title = \"M\"", "title = 3", "catalog/m.toml: title: a text is needed"},
      {"\"MIT\"", "\"the MIT one\"", "catalog/m.toml: licence: an SPDX id is needed"},
      {"\"m.gguf\"\nsize", "\"../m.gguf\"\nsize",
       "catalog/m.toml: file: name: not a plain file name"},
      {"size = 10", "size = -1", "catalog/m.toml: file: size: a number of bytes is needed"},
      {"b179", "x179",
       "catalog/m.toml: file: sha256: not a SHA-256 digest (64 hexadecimal digits)"},
      {"pypi:m==1:m.gguf", "/tmp/m.gguf",
       "catalog/m.toml: sources: reference: neither a source on the network nor a package"},
      {"[[sources]]", "[sources]", "catalog/m.toml: sources: at least one is needed"},
  };
  for (const auto& c : cases) {
    std::string text(kGood);
    text.replace(text.find(c.from), std::string_view(c.from).size(), c.to);
    auto entry = parse_catalog_entry({"m.toml", text});
    ASSERT_FALSE(entry.ok()) << c.to;
    EXPECT_EQ(entry.error().message, c.message);
    EXPECT_EQ(entry.error().code, ErrorCode::kCorrupt);
  }
  EXPECT_TRUE(parse_catalog_entry({"m.toml", "alias = \n"})
                  .error()
                  .message.starts_with("catalog/m.toml: line 1: "));
}

}  // namespace
}  // namespace lantern::supply
