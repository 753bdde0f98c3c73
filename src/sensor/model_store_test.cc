// What other programs' stores call their models.
#include "sensor/model_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lantern::sensor {
namespace {

const ModelStore& store(std::string_view name) {
  for (const ModelStore* one : model_stores())
    if (one->name == name) return *one;
  ADD_FAILURE() << name;
  return *model_stores()[0];
}

TEST(ModelStores, OllamaByItsManifests) {
  const ModelStore& ollama = store("Ollama");
  const std::string path = "manifests/registry.ollama.ai/library/llama3.2/3b";
  EXPECT_TRUE(ollama.is_manifest(path));
  EXPECT_FALSE(ollama.is_manifest("blobs/sha256-abc"));
  const auto entries = ollama.read_manifest(path, R"({"schemaVersion": 2, "layers": [
      {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:abc", "size": 9},
      {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:def"},
      {"mediaType": 7}]})");
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ((*entries)[0].file, "blobs/sha256-abc");
  EXPECT_EQ((*entries)[0].label, "llama3.2:3b");
  const auto other =
      ollama.read_manifest("manifests/hf.co/bartowski/X-GGUF/Q4_K_M", R"({"layers": []})");
  EXPECT_TRUE(other.ok() && other->empty());
  for (const char* text : {"", "[]", "{}", R"({"layers": 1})", "\xff"})
    EXPECT_FALSE(ollama.read_manifest(path, text).ok()) << text;
}

TEST(ModelStores, DockerByItsIndex) {
  const auto entries = store("Docker Model Runner").read_manifest("models.json", R"({"models": [
      {"id": "sha256:x", "tags": ["ai/smollm2:latest"], "files": ["sha256:abc", 7]}, 3]})");
  ASSERT_TRUE(entries.ok());
  ASSERT_EQ(entries->size(), 1u);
  EXPECT_EQ((*entries)[0].file, "blobs/sha256/abc");
  EXPECT_EQ((*entries)[0].label, "ai/smollm2:latest");
}

TEST(ModelStores, JanByModelYml) {
  const ModelStore& jan = store("Jan");
  EXPECT_TRUE(jan.is_manifest("llamacpp/models/a/model.yml"));
  const auto entries =
      jan.read_manifest("llamacpp/models/a/model.yml", "model_path: x\nname: \"Qwen 3\"\n");
  ASSERT_TRUE(entries.ok());
  EXPECT_EQ((*entries)[0].file, "llamacpp/models/a/");
  EXPECT_EQ((*entries)[0].label, "Qwen 3");
  EXPECT_FALSE(jan.read_manifest("a/model.yml", "x: y").ok());
  EXPECT_EQ(jan.label("models/b/model.gguf"), "b");
}

TEST(ModelStores, TheOthersByTheirPaths) {
  EXPECT_EQ(store("Hugging Face").label("models--Qwen--Qwen3-4B/blobs/abc"), "Qwen/Qwen3-4B");
  EXPECT_EQ(store("Hugging Face").label("datasets--x/blobs/abc"), "");
  EXPECT_EQ(store("LM Studio").label("bartowski/X-GGUF/x.gguf"), "bartowski/X-GGUF");
  EXPECT_EQ(store("GPT4All").label("mistral.gguf"), "mistral.gguf");
  EXPECT_EQ(store("RamaLama").label("ollama/library/smollm/blobs/sha256-1"),
            "ollama://library/smollm");
  EXPECT_EQ(store("llama.cpp").label("ggml-org_x.gguf"), "ggml-org_x.gguf");
}

}  // namespace
}  // namespace lantern::sensor
