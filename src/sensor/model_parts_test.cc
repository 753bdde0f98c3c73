#include "sensor/model_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "sensor/disk_walk.h"
#include "sensor/procfs_host.h"
#include "sensor/report.h"

namespace lantern::sensor {
namespace {

namespace fs = std::filesystem;

TEST(ModelParts, NamesOfParts) {
  const auto name = part_name("model-00002-of-00004.safetensors");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->stem, "model.safetensors");
  EXPECT_EQ(name->part, 2u);
  EXPECT_EQ(name->n_parts, 4u);
  EXPECT_EQ(part_name("a-b-00001-of-00001.gguf")->stem, "a-b.gguf");
  for (const char* none :
       {"model.safetensors", "model-00000-of-00004.gguf", "model-00005-of-00004.gguf",
        "model-1-of-4.gguf", "model-0000x-of-00004.gguf", "-00001-of-00004.gguf",
        "model-00001-of-99999.gguf", "model-00001-of-00004", "", "."})
    EXPECT_FALSE(part_name(none)) << none;
}

TEST(ModelParts, WhatAConfigurationSays) {
  auto facts = read_model_config(
      R"({"model_type":"qwen3","architectures":["Qwen3ForCausalLM"],"max_position_embeddings":40960})");
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->architecture, "qwen3");
  EXPECT_EQ(facts->context, 40960u);
  EXPECT_EQ(facts->quantization, "");
  facts = read_model_config(
      R"({"architectures":["X"],"text_config":{"max_position_embeddings":8192},
          "quantization_config":{"quant_method":"gptq","bits":4}})");
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->architecture, "X");
  EXPECT_EQ(facts->context, 8192u);
  EXPECT_EQ(facts->quantization, "gptq 4-bit");
  facts = read_model_config(
      R"({"model_type":5,"architectures":[],"max_position_embeddings":-3,"quantization_config":[]})");
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->architecture, "");
  EXPECT_EQ(facts->context, 0u);
  EXPECT_EQ(read_model_config(R"({"model_type":"a\u001b[2J"})")->architecture.find('\x1b'),
            std::string::npos);
  for (const char* corrupt : {"", "[]", "{", "7", "\xff"})
    EXPECT_FALSE(read_model_config(corrupt).ok()) << corrupt;
}

TEST(ModelParts, WhatAnIndexSays) {
  const auto shards = read_shard_index(
      R"({"weight_map":{"a":"x.safetensors","b":"y.safetensors","c":"x.safetensors",
                          "d":"../../etc/passwd","e":7}})");
  ASSERT_TRUE(shards.ok());
  EXPECT_THAT(*shards, testing::ElementsAre("x.safetensors", "y.safetensors"));
  for (const char* corrupt : {"", "[]", "{}", R"({"weight_map":[]})", "\xff"})
    EXPECT_FALSE(read_shard_index(corrupt).ok()) << corrupt;
}

/// Of one tensor, as large as the sensor's smallest model; the numbers are a hole.
void write_shard(const fs::path& path, const std::string& tensor, const std::string& type,
                 uint64_t n) {
  const std::string header = fmt::format(
      R"({{"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[0,{}]}}}})", tensor, type, n, 9u << 20);
  const uint64_t length = header.size();
  char prefix[8];
  std::memcpy(prefix, &length, 8);
  std::ofstream(path, std::ios::binary) << std::string(prefix, 8) << header;
  fs::resize_file(path, 8 + header.size() + (9u << 20));
}

class ModelFolderTest : public testing::Test {
 protected:
  ModelFolderTest() : folder_(fs::path(testing::TempDir()) / "model_parts") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~ModelFolderTest() override { fs::remove_all(folder_); }

  static void write_text(const fs::path& path, const std::string& text) {
    std::ofstream(path) << text;
  }
  [[nodiscard]] std::vector<FoundWeights> found() const {
    const auto host = open_procfs_host();
    EXPECT_TRUE(host.ok());
    auto all = find_at_rest(**host, {}, {.stores = false, .paths = {folder_.string()}});
    EXPECT_TRUE(all.ok());
    return all.ok() ? std::move(*all) : std::vector<FoundWeights>();
  }

  fs::path folder_;
};

constexpr const char* kConfig =
    R"({"model_type":"llama","max_position_embeddings":4096,"torch_dtype":"bfloat16"})";

TEST_F(ModelFolderTest, ShardsAreOneModelWithWhatTheirFolderSays) {
  write_text(folder_ / "config.json", kConfig);
  write_shard(folder_ / "model-00001-of-00003.safetensors", "a", "BF16", 3'000'000);
  write_shard(folder_ / "model-00002-of-00003.safetensors", "b", "BF16", 1'000'000);
  write_shard(folder_ / "other.safetensors", "c", "F16", 500'000);
  std::vector<FoundWeights> all = found();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].parts.size(), 2u);
  EXPECT_EQ(all[0].facts.parameters, 4'000'000u);
  EXPECT_EQ(all[0].facts.tensors, 2u);
  EXPECT_EQ(all[0].facts.summary(), "llama 4M BF16");
  EXPECT_EQ(all[0].facts.context, 4096u);
  EXPECT_EQ(all[0].size, all[0].parts[0].size + all[0].parts[1].size);
  EXPECT_EQ(all[0].stamp.inode, 0u);
  EXPECT_TRUE(all[1].parts.empty());
  EXPECT_EQ(all[1].facts.architecture, "llama");
  bool told = false, parts = false;
  for (const Attribute& one : attributes_of(all[0])) {
    told = told || (one.name == "architecture" && one.where.ends_with("/config.json"));
    parts = parts || (one.name == "parts" && one.value == "2 of 3");
  }
  EXPECT_TRUE(told);
  EXPECT_TRUE(parts) << "one of three is missing";
}

TEST_F(ModelFolderTest, AnIndexJoinsWhateverItsShardsAreCalled) {
  write_text(folder_ / "model.safetensors.index.json",
             R"({"weight_map":{"a":"first.safetensors","b":"second.safetensors"}})");
  write_shard(folder_ / "first.safetensors", "a", "F16", 1'000'000);
  write_shard(folder_ / "second.safetensors", "b", "F32", 2'000'000);
  const std::vector<FoundWeights> all = found();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].facts.parameters, 3'000'000u);
  EXPECT_EQ(all[0].facts.mix_text(), "F32 67 %, F16 33 %");
  EXPECT_EQ(all[0].facts.n_parts, 2u);
}

/// The cache of Hugging Face's libraries: the files have digests for names.
TEST_F(ModelFolderTest, ShardsInAHuggingFaceCacheAreJoinedByTheirLinks) {
  const fs::path cache = folder_ / "models--org--name";
  const fs::path snapshot = cache / "snapshots/0123";
  fs::create_directories(cache / "blobs");
  fs::create_directories(snapshot);
  write_shard(cache / "blobs/aaaa", "a", "BF16", 1'000'000);
  write_shard(cache / "blobs/bbbb", "b", "BF16", 1'000'000);
  write_text(cache / "blobs/cccc", kConfig);
  write_text(folder_ / "secret.json", R"({"model_type":"secret"})");
  fs::create_symlink("../../blobs/bbbb", snapshot / "model-00001-of-00002.safetensors");
  fs::create_symlink("../../blobs/aaaa", snapshot / "model-00002-of-00002.safetensors");
  fs::create_symlink("../../blobs/cccc", snapshot / "config.json");
  std::vector<FoundWeights> all = found();
  ASSERT_EQ(all.size(), 1u);
  ASSERT_EQ(all[0].parts.size(), 2u);
  EXPECT_EQ(all[0].parts[0].path, (cache / "blobs/bbbb").string()) << "in the order of the names";
  EXPECT_EQ(all[0].facts.summary(), "llama 2M BF16");
  // A link to anywhere else is not followed.
  fs::remove(snapshot / "config.json");
  fs::create_symlink("../../../secret.json", snapshot / "config.json");
  all = found();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].facts.architecture, "");
}

TEST(ModelParts, AModelIsAsGoodAsItsWorstFile) {
  FoundWeights model{.parts = {{.path = "a"}, {.path = "b"}}};
  std::map<std::string, std::string> verdicts = {{"a", "approved"}, {"b", "approved"}};
  const VerdictOf verdict_of = [&](const FoundWeights& file) {
    return JoinedVerdict{.verdict = verdicts.at(file.path), .model = file.path};
  };
  EXPECT_EQ(verdict_of_whole(model, verdict_of).verdict, "approved");
  verdicts["b"] = "known";
  EXPECT_EQ(verdict_of_whole(model, verdict_of).verdict, "known");
  verdicts["a"] = "unknown";
  EXPECT_EQ(verdict_of_whole(model, verdict_of).verdict, "unknown");
  verdicts["b"] = "revoked";
  EXPECT_EQ(verdict_of_whole(model, verdict_of).verdict, "revoked");
  EXPECT_EQ(verdict_of_whole(model, verdict_of).model, "b");
  EXPECT_EQ(verdict_of_whole(FoundWeights{.path = "a"}, verdict_of).verdict, "unknown");
}

}  // namespace
}  // namespace lantern::sensor
