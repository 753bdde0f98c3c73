// WordPiece against Hugging Face tokenizers (tools/golden/wordpiece.py).
#include "text/wordpiece.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "base/hash.h"
#include "base/json.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace lantern::text {
namespace {

using base::Json;
using Ids = std::vector<TokenId>;

std::string read_test_file(const std::string& name) {
  std::ifstream in(std::string(LANTERN_SOURCE_DIR "/src/text/testdata/wordpiece/") + name,
                   std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return {std::istreambuf_iterator<char>(in), {}};
}

Json expected() {
  auto json = base::parse_json(read_test_file("expected.json"), "expected.json");
  EXPECT_TRUE(json.ok());
  return std::move(json).value();
}

TokenizerSpec read_spec(const std::string& name) {
  auto spec = parse_tokenizer_json(read_test_file(name + ".json"), name);
  EXPECT_TRUE(spec.ok()) << spec.error().message;
  return std::move(spec).value();
}

Tokenizer make(TokenizerSpec spec) {
  auto tokenizer = Tokenizer::create(std::move(spec));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  return std::move(tokenizer).value();
}

/// The spec as a GGUF file has it: starts marked, nothing said of the normalizer.
TokenizerSpec as_gguf(const TokenizerSpec& from) {
  TokenizerSpec out;
  out.kind = TokenizerKind::kWordPiece;
  for (size_t id = 0; id < from.tokens.size(); ++id) {
    const std::string_view token = from.tokens[id];
    const bool special = from.types[id] == TokenType::kControl;
    out.tokens.push_back(special                   ? std::string(token)
                         : token.starts_with("##") ? std::string(token.substr(2))
                                                   : "\u2581" + std::string(token));
    out.types.push_back(from.types[id]);
  }
  out.bos = from.bos;
  out.eos = from.eos;
  out.unk = from.unk;
  return out;
}

class WordPiece : public testing::TestWithParam<std::string> {};

TEST_P(WordPiece, ATextHasTheIdsThatHuggingFaceGives) {
  const Json all = expected();
  const TokenizerSpec spec = read_spec(GetParam());
  const Tokenizer from_json = make(spec), from_gguf = make(as_gguf(spec));
  for (size_t i = 0; i < all["strings"].size(); ++i) {
    const auto text = all["strings"][i].get<std::string>();
    const Ids want = all["models"][GetParam()][i].get<Ids>();
    EXPECT_EQ(from_json.encode(text, {.add_bos = true, .add_eos = true}), want) << text;
    EXPECT_EQ(from_gguf.encode(text, {.add_bos = true, .add_eos = true}), want) << text;
  }
  EXPECT_TRUE(from_json.add_bos() && from_json.add_eos());
  EXPECT_TRUE(from_gguf.add_bos() && from_gguf.add_eos());
}

TEST_P(WordPiece, SpecialTokensAreRecognisedInTheCallersOwnTextAlone) {
  const Tokenizer tokenizer = make(read_spec(GetParam()));
  const TokenId mask = *tokenizer.find("[MASK]");
  EXPECT_EQ(tokenizer.encode("[MASK]", {.special = true}), Ids{mask});
  const Ids typed = tokenizer.encode("[MASK]");
  EXPECT_EQ(std::count(typed.begin(), typed.end(), mask), 0);
}

INSTANTIATE_TEST_SUITE_P(All, WordPiece, testing::Values("uncased", "cased"),
                         [](const auto& tested) { return tested.param; });

TEST(BertNormalizer, EveryCodePointIsTreatedAsHuggingFaceDoes) {
  const Json all = expected();
  for (const Json& one : all["normalizers"]) {
    const BertNormalizer normalizer{.clean_text = one["clean_text"],
                                    .handle_chinese_chars = one["handle_chinese_chars"],
                                    .strip_accents = one["strip_accents"],
                                    .lowercase = one["lowercase"]};
    std::string text;
    for (char32_t c = 0; c < 0x110000; ++c) {
      if (c >= 0xD800 && c < 0xE000) continue;
      std::string around = "a";
      append_utf8(c, around);
      text += normalize_for_bert(around + "B", normalizer) + "\n";
    }
    EXPECT_EQ(base::to_hex(base::sha256(text)), one["sha256"].get<std::string>()) << one.dump();
  }
}

TEST(WordPieceModel, DecodingPutsSpacesBetweenWords) {
  const Tokenizer tokenizer = make(read_spec("uncased"));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("The  function")), "the function");
}

TEST(WordPieceModel, BytesThatAreNotUtf8AreLeftOut) {
  const Tokenizer tokenizer = make(read_spec("uncased"));
  EXPECT_EQ(tokenizer.encode("th\xff"
                             "e \xe2\x82"),
            tokenizer.encode("the"));
}

TEST(WordPieceModel, WhatCannotWorkIsRefusedByName) {
  TokenizerSpec no_unknown = as_gguf(read_spec("uncased"));
  no_unknown.unk.reset();
  EXPECT_EQ(Tokenizer::create(std::move(no_unknown)).error().code, ErrorCode::kCorrupt);

  const std::string json = read_test_file("uncased.json");
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string changed = json;
    const size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    changed.replace(at, from.size(), to);
    return parse_tokenizer_json(changed, "changed");
  };
  EXPECT_EQ(with("BertPreTokenizer", "Whitespace").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(with("\"BertNormalizer\"", "\"Lowercase\"").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(with("\"continuing_subword_prefix\":\"##\"", "\"continuing_subword_prefix\":\"@@\"")
                .error()
                .code,
            ErrorCode::kUnsupported);
  EXPECT_EQ(
      with("\"max_input_chars_per_word\":100", "\"max_input_chars_per_word\":-1").error().code,
      ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace lantern::text
