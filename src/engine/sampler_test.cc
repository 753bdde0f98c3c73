#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "engine/philox.h"
#include "kernels/isa.h"

namespace lantern::engine {
namespace {

// The known-answer vectors of Random123 1.14 (kat_vectors, philox4x32 10).
TEST(Philox, EqualsThePublishedVectors) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32_10({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(
      philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
      (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, UniformLiesInTheUnitIntervalAndDependsOnEveryInput) {
  double sum = 0;
  for (uint64_t i = 0; i < 10'000; ++i) {
    const double u = sampling_uniform(7, 0, i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.01);  // three standard errors
  const double u = sampling_uniform(7, 0, 1);
  EXPECT_NE(u, sampling_uniform(8, 0, 1));
  EXPECT_NE(u, sampling_uniform(7 + (uint64_t{1} << 40), 0, 1));
  EXPECT_NE(u, sampling_uniform(7, 1, 1));
  EXPECT_NE(u, sampling_uniform(7, 0, 1 + (uint64_t{1} << 40)));
}

Result<Sampler> create(const SamplerOptions& options) {
  static base::ThreadPool pool(1);
  return Sampler::create(options, {.isa = kernels::best_isa(), .pool = &pool});
}

std::vector<float> make_logits(uint64_t state, int n, uint64_t levels, uint64_t spread) {
  std::vector<float> out;
  for (int i = 0; i < n; ++i) {
    state += 0x9E3779B97F4A7C15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    out.push_back(static_cast<float>(z % levels * spread) / static_cast<float>(levels) -
                  static_cast<float>(spread) / 2);
  }
  return out;
}

TEST(Sampler, EqualsTheNumpyReference) {
  std::ifstream file(LANTERN_SOURCE_DIR "/src/engine/testdata/sampler.tsv");
  ASSERT_TRUE(file.is_open());
  int cases = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) continue;
    std::istringstream in(line);
    uint64_t logits_seed = 0, levels = 0, spread = 0, position = 0;
    int n = 0;
    int32_t expected = -1;
    std::string history_text;
    SamplerOptions o;
    in >> logits_seed >> n >> levels >> spread >> history_text >> position >> o.temperature >>
        o.top_k >> o.top_p >> o.min_p >> o.repeat_penalty >> o.repeat_last_n >> o.seed >>
        o.choice >> expected;
    ASSERT_TRUE(in) << line;
    std::vector<int32_t> history;
    std::istringstream ids(history_text == "-" ? "" : history_text);
    for (std::string id; std::getline(ids, id, ',');) history.push_back(std::stoi(id));

    auto sampler = create(o);
    ASSERT_TRUE(sampler.ok()) << sampler.error().message;
    const auto logits = make_logits(logits_seed, n, levels, spread);
    EXPECT_EQ(sampler->sample(logits, history, position), expected) << line;
    // Scratch memory of one call must not reach into the next.
    EXPECT_EQ(sampler->sample(logits, history, position), expected) << line;
    ++cases;
  }
  EXPECT_EQ(cases, 400);
}

TEST(Sampler, DrawsAsOftenAsTheProbabilitiesSay) {
  // p = 1/2, 1/4, 1/8, 1/8 through logits of log 2's multiples.
  const std::vector<float> logits = {1.3862943f, 0.6931472f, 0, 0};
  SamplerOptions o{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 3};
  auto sampler = create(o);
  ASSERT_TRUE(sampler.ok());
  std::map<int32_t, int> counts;
  for (uint64_t i = 0; i < 20'000; ++i) ++counts[sampler->sample(logits, {}, i)];
  EXPECT_NEAR(counts[0], 10'000, 250);
  EXPECT_NEAR(counts[1], 5'000, 200);
  EXPECT_NEAR(counts[2], 2'500, 160);
  EXPECT_NEAR(counts[3], 2'500, 160);
}

TEST(Sampler, TiesGoToTheLowerId) {
  const std::vector<float> logits(300, 1.5f);
  EXPECT_EQ(greedy(logits), 0);
  for (int64_t top_k : {1, 2, 0}) {
    SamplerOptions o{.temperature = 0, .top_k = top_k};
    EXPECT_EQ(create(o)->sample(logits, {}, 0), 0);
  }
  // Of equal logits top_k keeps the lowest ids: nothing past 2 may ever come.
  auto sampler = create({.temperature = 1, .top_k = 3, .top_p = 1, .min_p = 0});
  for (uint64_t i = 0; i < 200; ++i) EXPECT_LT(sampler->sample(logits, {}, i), 3);
}

TEST(Sampler, SurvivesLogitsAtTheEdgeOfTheirRange) {
  constexpr float kMax = std::numeric_limits<float>::max();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (int64_t top_k : {0, 2, 40}) {
    auto sampler = create({.temperature = 1e-6f, .top_k = top_k, .seed = 1});
    EXPECT_EQ(sampler->sample(std::vector<float>{-kMax, kMax, 0}, {}, 0), 1);
    EXPECT_EQ(sampler->sample(std::vector<float>{-kInf, -3, -kInf}, {}, 0), 1);
    EXPECT_EQ(sampler->sample(std::vector<float>{5}, {}, 0), 0);
  }
}

TEST(Sampler, DrawsTheSameOnEveryInstructionSet) {
  const auto logits = make_logits(99, 5003, 1u << 20, 24);
  base::ThreadPool pool(1);
  for (const SamplerOptions& o :
       {SamplerOptions{}, SamplerOptions{.top_k = 0}, SamplerOptions{.top_k = 0, .top_p = 1},
        SamplerOptions{.temperature = 1.7f, .top_k = 0, .top_p = 1, .min_p = 0}}) {
    std::vector<int32_t> expected;
    for (auto isa :
         {kernels::Isa::kRef, kernels::Isa::kAvx2, kernels::Isa::kAvxVnni, kernels::Isa::kAvx512}) {
      if (!kernels::isa_supported(isa)) continue;
      auto sampler = Sampler::create(o, {.isa = isa, .pool = &pool});
      std::vector<int32_t> drawn;
      for (uint64_t i = 0; i < 100; ++i) drawn.push_back(sampler->sample(logits, {}, i));
      if (expected.empty()) expected = drawn;
      EXPECT_EQ(drawn, expected) << kernels::isa_name(isa);
    }
  }
}

TEST(Sampler, TopPOfAFlatDistributionTakesTheLowestIds) {
  // All probabilities are equal, so the bound that thins the heap cuts exactly here.
  const std::vector<float> logits(1000, 0.0f);
  auto sampler = create({.temperature = 1, .top_k = 0, .top_p = 0.25f, .min_p = 0});
  int32_t highest = 0;
  for (uint64_t i = 0; i < 3000; ++i) highest = std::max(highest, sampler->sample(logits, {}, i));
  EXPECT_LE(highest, 250);
  EXPECT_GE(highest, 245);
}

TEST(Sampler, HistoryOutsideTheVocabularyIsPassedOver) {
  const std::vector<float> logits = {1, 2};
  const std::vector<int32_t> history = {-1, 2, 1 << 30, 1};
  auto sampler = create({.temperature = 0, .repeat_penalty = 4});
  EXPECT_EQ(sampler->sample(logits, history, 0), 0);
}

TEST(Sampler, RefusesOptionsOutsideTheirBoundsByName) {
  const float kNan = std::numeric_limits<float>::quiet_NaN();
  auto message = [](const SamplerOptions& o) {
    auto status = check(o);
    return status.ok() ? std::string() : status.error().message;
  };
  EXPECT_EQ(message({}), "");
  EXPECT_EQ(message({.temperature = -1}), "temperature: -1 is not from 0 to 100");
  EXPECT_EQ(message({.temperature = kNan}), "temperature: nan is not from 0 to 100");
  EXPECT_EQ(message({.top_k = -1}), "top-k: -1 is not 0 (all) or more");
  EXPECT_EQ(message({.top_p = 0}), "top-p: 0 is not above 0 and at most 1");
  EXPECT_EQ(message({.min_p = 1.5f}), "min-p: 1.5 is not from 0 to 1");
  EXPECT_EQ(message({.repeat_penalty = 0}), "repeat-penalty: 0 is not from 0.01 to 100");
  EXPECT_EQ(message({.repeat_last_n = -2}), "repeat-last-n: -2 is not -1 (all) or more");
}

}  // namespace
}  // namespace lantern::engine
