#include "text/tokenizer_json.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "text/tokenizer.h"

namespace lantern::text {
namespace {

std::string read_seed(const std::string& name) {
  std::ifstream in(LANTERN_SOURCE_DIR "/fuzz/corpus/tokenizer_json/" + name, std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  const std::string all{std::istreambuf_iterator<char>(in), {}};
  return all.substr(0, all.find('\0'));
}

Status parse_and_create(const std::string& json) {
  LANTERN_ASSIGN(TokenizerSpec spec, parse_tokenizer_json(json, "tokenizer.json"));
  LANTERN_ASSIGN(const Tokenizer tokenizer, Tokenizer::create(std::move(spec)));
  EXPECT_GT(tokenizer.size(), 0);
  return {};
}

struct Hostile {
  const char* seed;
  ErrorCode code;
  const char* message;  // a part of it
};

TEST(TokenizerJson, HostileFilesAreErrorsThatNameTheFault) {
  const Hostile cases[] = {
      {"no_json", ErrorCode::kCorrupt, "not valid JSON"},
      {"empty", ErrorCode::kCorrupt, "not valid JSON"},
      {"id_negative", ErrorCode::kCorrupt, "-1 is no token id"},
      {"id_huge", ErrorCode::kCorrupt, "9223372036854775808 is no token id"},
      {"id_above_limit", ErrorCode::kCorrupt, "4194304 is no token id"},
      {"id_sparse", ErrorCode::kCorrupt, "ids reach 4194303"},
      {"id_twice", ErrorCode::kCorrupt, "id 65 is given to"},
      {"id_fraction", ErrorCode::kCorrupt, "1.5 is no token id"},
      {"vocab_empty", ErrorCode::kCorrupt, "merges: missing"},
      {"vocab_list", ErrorCode::kCorrupt, "model.vocab"},
      {"merge_missing_piece", ErrorCode::kCorrupt, "\"zzz\" is no token"},
      {"merge_of_one", ErrorCode::kCorrupt, "\"ab\" is not two tokens"},
      {"merge_of_three", ErrorCode::kCorrupt, "model.merges[0]"},
      {"merge_of_numbers", ErrorCode::kCorrupt, "model.merges[0]"},
      {"merges_missing", ErrorCode::kCorrupt, "model.merges"},
      {"model_missing", ErrorCode::kCorrupt, "model: missing"},
      {"model_wordpiece", ErrorCode::kUnsupported, "WordPiece"},
      {"added_outside", ErrorCode::kCorrupt, "10000000 is no token id"},
      {"added_twice", ErrorCode::kCorrupt, "id 259 is given twice"},
      {"added_conflict", ErrorCode::kCorrupt, "id 0 is given to"},
      {"added_long", ErrorCode::kUnsupported, "added token of 1100 bytes"},
      {"added_not_object", ErrorCode::kCorrupt, "without \"id\""},
      {"added_single_word", ErrorCode::kUnsupported, "single_word"},
      {"template_outside", ErrorCode::kCorrupt, "id 1000000 lies outside"},
      {"pre_unknown_pattern", ErrorCode::kUnsupported, "pre_tokenizer"},
      {"normalizer_unknown", ErrorCode::kUnsupported, "Lowercase"},
      {"decoder_missing", ErrorCode::kUnsupported, "decoder"},
      {"sequence_not_list", ErrorCode::kCorrupt, "normalizer.normalizers"},
      {"types_wrong", ErrorCode::kCorrupt, "added_tokens"},
  };
  for (const Hostile& c : cases) {
    const Status status = parse_and_create(read_seed(std::string("hostile_") + c.seed));
    ASSERT_FALSE(status.ok()) << c.seed;
    EXPECT_EQ(status.error().code, c.code) << c.seed << ": " << status.error().message;
    EXPECT_NE(status.error().message.find(c.message), std::string::npos)
        << c.seed << ": " << status.error().message;
    EXPECT_EQ(status.error().message.find('\n'), std::string::npos) << c.seed;
  }
}

TEST(TokenizerJson, ATruncatedFileIsAnError) {
  const std::string json = read_seed("gpt2");
  for (size_t n = 0; n < json.size(); n += 37)
    EXPECT_FALSE(parse_and_create(json.substr(0, n)).ok()) << n;
  EXPECT_TRUE(parse_and_create(json).ok());
}

TEST(TokenizerJson, AGapInTheIdsIsUnused) {
  std::string json = read_seed("gpt2");
  const std::string last = "\"abab\":257";
  json.replace(json.find(last), last.size(), "\"abab\":300");
  auto spec = parse_tokenizer_json(json, "tokenizer.json");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  ASSERT_EQ(spec->tokens.size(), 301u);
  EXPECT_EQ(spec->types[257], TokenType::kUnused);
  EXPECT_EQ(spec->tokens[257], "");
}

TEST(TokenizerJson, TheConfigNamesTheEnds) {
  auto spec = parse_tokenizer_json(read_seed("llama"), "tokenizer.json");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->add_bos, true);
  EXPECT_EQ(spec->bos, 1);
  EXPECT_EQ(spec->unk, 0);
  ASSERT_TRUE(apply_tokenizer_config(R"({"bos_token": "<s>", "eos_token": {"content": "</s>"},
                                         "pad_token": "<absent>", "add_bos_token": false,
                                         "add_eos_token": true})",
                                     "tokenizer_config.json", *spec)
                  .ok());
  EXPECT_EQ(spec->bos, 1);
  EXPECT_EQ(spec->eos, 2);
  EXPECT_EQ(spec->pad, std::nullopt);
  EXPECT_EQ(spec->add_bos, false);
  EXPECT_EQ(spec->add_eos, true);
  for (const char* bad : {"[]", "{", R"({"add_bos_token": "yes"})"})
    EXPECT_FALSE(apply_tokenizer_config(bad, "tokenizer_config.json", *spec).ok()) << bad;
}

}  // namespace
}  // namespace lantern::text
