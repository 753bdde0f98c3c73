// Answers that follow a grammar, from a tiny model whose own answers are noise.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/sampler.h"
#include "engine/testing.h"
#include "text/grammar.h"

namespace lantern::engine {
namespace {

class StructuredOutputTest : public ::testing::Test {
 protected:
  Engine load() {
    auto engine = load_for_test(TinyModel().write(folder_), {});
    EXPECT_TRUE(engine.ok()) << engine.error().message;
    return std::move(engine).value();
  }
  static GenerateOptions options(text::GrammarPtr grammar, uint64_t seed) {
    return {.sampler = {.temperature = 1.5f, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed},
            .max_tokens = 200,
            .grammar = std::move(grammar)};
  }
  format::TemporaryFolder folder_;
};

TEST_F(StructuredOutputTest, EveryAnswerMatches) {
  Engine engine = load();
  const auto prompt = engine.raw_prompt("the café");
  ASSERT_TRUE(prompt.ok());
  const text::GrammarPtr grammar = *text::Grammar::from_regex("[a-c]{2,5}-[0-9]{1,3}");
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto result = engine.generate(*prompt, options(grammar, seed));
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(result->finish, FinishReason::kStop);
    EXPECT_TRUE(std::regex_match(result->text, std::regex("[a-c]{2,5}-[0-9]{1,3}")))
        << result->text;
  }
}

TEST_F(StructuredOutputTest, TheSameSeedGivesTheSameAnswerWithGuessesToo) {
  Engine engine = load();
  const auto prompt = engine.raw_prompt("ab-1 ab-1 ab-1");
  ASSERT_TRUE(prompt.ok());
  const text::GrammarPtr grammar = *text::Grammar::from_gbnf("root ::= (\"ab-1 \"){8} [0-9]{4}");
  GenerateOptions alone = options(grammar, 3);
  alone.speculation = Speculation::kOff;
  const auto expected = engine.generate(*prompt, alone);
  ASSERT_TRUE(expected.ok()) << expected.error().message;
  GenerateOptions guessed = options(grammar, 3);
  guessed.speculation = Speculation::kAlways;
  const auto result = engine.generate(*prompt, guessed);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->ids, expected->ids);
  EXPECT_EQ(result->text, expected->text);
}

TEST_F(StructuredOutputTest, AGrammarEndsTheAnswerSoIgnoringTheEndIsRefused) {
  Engine engine = load();
  const auto prompt = engine.raw_prompt("the");
  GenerateOptions wrong = options(*text::Grammar::from_regex("a"), 1);
  wrong.ignore_end = true;
  const auto result = engine.generate(*prompt, wrong);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, ::testing::HasSubstr("grammar"));
}

TEST(MaskedSamplerTest, DrawsAsIfTheOthersWereNotThere) {
  const std::vector<float> logits = {9, 1, 8, 1.5f, 7, 0.5f};
  text::TokenMask mask(logits.size());
  for (const int32_t id : {1, 3, 5}) mask.allow(id);
  kernels::Context context;
  for (const SamplerOptions& o :
       {SamplerOptions{.temperature = 0}, SamplerOptions{.temperature = 1, .top_k = 2, .seed = 5},
        SamplerOptions{.temperature = 1, .top_k = 0, .top_p = 0.9f, .min_p = 0, .seed = 5}}) {
    auto masked = Sampler::create(o, context);
    auto only = Sampler::create(o, context);
    ASSERT_TRUE(masked.ok() && only.ok());
    const std::vector<float> left = {1, 1.5f, 0.5f};
    for (uint64_t position = 0; position < 50; ++position)
      EXPECT_EQ(masked->sample(logits, {}, position, &mask),
                1 + 2 * only->sample(left, {}, position));
  }
}

}  // namespace
}  // namespace lantern::engine
