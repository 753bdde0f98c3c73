#include "engine/tokenizer_to_metadata.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "engine/tokenizer_from_metadata.h"
#include "text/tokenizer_json.h"

namespace lantern::engine {
namespace {

using base::Json;

const std::filesystem::path kFixtures = LANTERN_SOURCE_DIR "/src/text/testdata/tokenizers";

std::string fixture(const std::string& name) {
  return base::read_text_file(kFixtures / name, 16u << 20).value();
}

const Json& expected() {
  static const Json json = base::parse_json(fixture("expected.json"), "expected.json").value();
  return json;
}

constexpr const char* kPad = "~pad~";  // takes the spaces beside it, in every fixture

/// A fixture whose token kPad takes no spaces.
Json expressible(const std::string& name) {
  Json json = Json::parse(fixture(name + ".json"));
  for (Json& added : json["added_tokens"])
    if (added["content"] == kPad) added["lstrip"] = added["rstrip"] = false;
  return json;
}

Status write(const std::string& tokenizer_json, format::Metadata& metadata) {
  LANTERN_ASSIGN(text::TokenizerSpec spec, text::parse_tokenizer_json(tokenizer_json, "test"));
  return tokenizer_to_metadata({.spec = std::move(spec), .templates = {}, .end_ids = {}}, 0,
                               metadata);
}

// Those of the real families whose tokenizers GGUF can say; expected.json is of Hugging Face's
// tokenizers (tools/golden/tokenizer_fixtures.py).
TEST(TokenizerToMetadata, ReadBackATextHasTheIdsThatHuggingFaceGives) {
  for (const char* name :
       {"gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "gpt-4o", "llama", "gemma"}) {
    SCOPED_TRACE(name);
    format::Metadata metadata;
    const Status written = write(expressible(name).dump(), metadata);
    ASSERT_TRUE(written.ok()) << written.error().message;
    auto spec = tokenizer_from_metadata(metadata);
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    const auto tokenizer = text::Tokenizer::create(std::move(spec).value());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    const Json& strings = expected()["strings"];
    for (size_t i = 0; i < strings.size(); ++i) {
      if (strings[i].get_ref<const std::string&>().find(kPad) != std::string::npos) continue;
      EXPECT_EQ(tokenizer->encode(strings[i].get_ref<const std::string&>()),
                expected()["models"][name]["user"][i].get<std::vector<text::TokenId>>())
          << strings[i];
    }
  }
}

TEST(TokenizerToMetadata, WhatAGgufFileCannotSayIsRefusedByName) {
  Json qwen = expressible("qwen2");
  qwen["normalizer"] = nullptr;
  format::Metadata metadata;
  Status refused = write(qwen.dump(), metadata);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("without the normalizer NFC"), std::string::npos);

  Json gpt2 = expressible("gpt-2");
  gpt2["normalizer"] = {{"type", "NFC"}};
  refused = write(gpt2.dump(), metadata);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("with the normalizer NFC"), std::string::npos);

  Json llama = expressible("llama-bpe");
  llama["model"]["ignore_merges"] = false;
  refused = write(llama.dump(), metadata);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("ignore_merges false"), std::string::npos);

  refused = write(fixture("smollm.json"), metadata);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("takes the spaces beside it"), std::string::npos);
}

}  // namespace
}  // namespace lantern::engine
