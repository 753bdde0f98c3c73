// The rules that are compiled in, held against their own samples.
#include "sensor/runtime_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace lantern::sensor {
namespace {

using ::testing::HasSubstr;

bool matches(const RuntimeRule& rule, const RuleSample& sample) {
  if (!sample.process.empty() && matches_process(rule, sample.process)) return true;
  if (matches_script(rule, sample.script)) return true;
  if (!sample.library.empty() && matches_library(rule, sample.library)) return true;
  if (sample.port != 0 &&
      std::find(rule.ports.begin(), rule.ports.end(), sample.port) != rule.ports.end())
    return true;
  if (!sample.package.empty() && matches_package(rule, sample.package)) return true;
  if (!sample.image.empty() && matches_image(rule, sample.image)) return true;
  if (!sample.extension.empty() && matches_extension(rule, sample.extension)) return true;
  const auto one_of = [](const auto& known, const std::string& name) {
    return std::find(known.begin(), known.end(), name) != known.end();
  };
  if (one_of(rule.caches, sample.cache)) return true;
  if (one_of(rule.profile_folders, sample.profile_folder)) return true;
  if (sample.text.empty()) return false;
  CodeSearch search(std::span(&rule, 1));
  search.feed(sample.text);
  return !search.finish().empty();
}

TEST(RuntimeRules, EachMatchesItsOwnSamplesAndNotTheOthers) {
  const auto rules = read_runtime_rules();
  ASSERT_TRUE(rules.ok()) << rules.error().message;
  for (const RuntimeRule& rule : *rules) {
    SCOPED_TRACE(rule.id);
    bool has_negative = false;
    for (const RuleSample& sample : rule.samples) {
      EXPECT_EQ(matches(rule, sample), sample.match)
          << sample.process << sample.script << sample.library << sample.text << sample.port;
      has_negative = has_negative || !sample.match;
    }
    EXPECT_TRUE(has_negative) << "a sample that must not match is needed";
    // Each way to tell it has a sample that does.
    const auto has = [&](const auto& member) {
      return std::any_of(rule.samples.begin(), rule.samples.end(), [&](const RuleSample& sample) {
        return sample.match && sample.*member != RuleSample().*member;
      });
    };
    EXPECT_TRUE(rule.processes.empty() || has(&RuleSample::process));
    EXPECT_TRUE(rule.scripts.empty() || has(&RuleSample::script));
    EXPECT_TRUE(rule.libraries.empty() || has(&RuleSample::library));
    EXPECT_TRUE(rule.strings.empty() || has(&RuleSample::text));
    EXPECT_TRUE(rule.ports.empty() || has(&RuleSample::port));
    EXPECT_TRUE(rule.packages.empty() || has(&RuleSample::package));
    EXPECT_TRUE(rule.images.empty() || has(&RuleSample::image));
    EXPECT_TRUE(rule.extensions.empty() || has(&RuleSample::extension));
    EXPECT_TRUE(rule.caches.empty() || has(&RuleSample::cache));
    EXPECT_TRUE(rule.profile_folders.empty() || has(&RuleSample::profile_folder));
  }
}

TEST(RuntimeRules, NamesOfPackagesImagesAndExtensions) {
  const RuntimeRule rule = {.packages = {"llama-cpp-python"},
                            .images = {"ollama/ollama", "nim/"},
                            .extensions = {"Continue.continue"}};
  EXPECT_TRUE(matches_package(rule, "Llama_CPP.-python"));
  EXPECT_FALSE(matches_package(rule, "llama-cpp-python-extras"));
  for (const char* image : {"ollama/ollama", "docker.io/ollama/ollama",
                            "registry.corp:5000/mirror/ollama/ollama", "nvcr.io/nim/meta/llama"})
    EXPECT_TRUE(matches_image(rule, image)) << image;
  for (const char* image : {"ollama", "not-ollama/ollama", "ollama/ollama-webui", "denim/blue"})
    EXPECT_FALSE(matches_image(rule, image)) << image;
  EXPECT_TRUE(matches_extension(rule, "continue.Continue"));
  EXPECT_FALSE(matches_extension(rule, "continue"));
}

TEST(RuntimeRules, FortyOneRuntimesAndEveryAgent) {
  const auto rules = read_runtime_rules();
  ASSERT_TRUE(rules.ok());
  EXPECT_GE(
      std::count_if(rules->begin(), rules->end(),
                    [](const RuntimeRule& rule) { return rule.kind == RuntimeClass::kRuntime; }),
      41);
  std::set<std::string> ids;
  for (const RuntimeRule& rule : *rules) ids.insert(rule.id);
  for (const char* id :
       {"openclaw", "claude_code", "codex", "gemini_cli", "copilot_cli", "cursor", "windsurf",
        "goose", "opencode", "aider", "cline", "open_webui", "litellm"})
    EXPECT_TRUE(ids.contains(id)) << id;
}

TEST(RuntimeRules, AFaultNamesFileAndLine) {
  const std::string good =
      "name = \"X\"\nclass = \"runtime\"\n[[samples]]\nmatch = false\nprocess = \"y\"\n";
  EXPECT_TRUE(parse_runtime_rule({"x.toml", good}).ok());
  for (const auto& [text, fault] : std::vector<std::pair<std::string, std::string>>{
           {"", "name"},
           {"name = \"X\"\nclass = \"toy\"\n", "no class of runtimes"},
           {"nmae = \"X\"\n" + good, "nmae"},
           {"ports = [\"99999\"]\n" + good, "no port"},
           {"strings = [\"abc\"]\n" + good, "too short"},
           {"strings = [\"abcdefg\"]\n" + good, "strings_min"}}) {
    const auto rule = parse_runtime_rule({"x.toml", text});
    ASSERT_FALSE(rule.ok()) << text;
    EXPECT_THAT(rule.error().message, HasSubstr("x.toml"));
    EXPECT_THAT(rule.error().message, HasSubstr(fault));
  }
}

TEST(CodeSearch, FindsStringsWhereverTheFileIsCut) {
  const std::vector<RuntimeRule> rules = {
      {.id = "a", .strings = {"first string", "second one"}, .strings_min = 2},
      {.id = "b", .strings = {"string of b", "first thing"}, .strings_min = 2}};
  const std::string text =
      std::string(50, 'x') + "first string" + std::string(40, 'f') + "second one" + "first thin";
  CodeSearch search(rules);
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    for (size_t at = 0; at < text.size(); at += piece) search.feed(text.substr(at, piece));
    EXPECT_EQ(search.strings_found().size(), 2u) << piece;
    const auto matches = search.finish();
    ASSERT_EQ(matches.size(), 1u) << piece;
    EXPECT_EQ(matches[0].rule, 0u);
    EXPECT_EQ(matches[0].n_found, 2u);
  }
  // Of the last file nothing is left.
  search.feed(" one");
  EXPECT_TRUE(search.finish().empty());
}

}  // namespace
}  // namespace lantern::sensor
