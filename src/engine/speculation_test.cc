#include "engine/speculation.h"

#include <gtest/gtest.h>

#include <future>
#include <utility>

#include "engine/scheduler.h"
#include "engine/testing.h"

namespace lantern::engine {
namespace {

using Ids = std::vector<int32_t>;

Ids guesses(Guesser& guesser, const Ids& ids, int64_t n_max) {
  const auto guessed = guesser.guess(guesser.look(ids, n_max));
  return {guessed.begin(), guessed.end()};
}

TEST(PromptLookupTest, GuessesWhatFollowedTheLatestTime) {
  PromptLookup lookup;
  Ids ids = {1, 2, 3, 4, 5, 9, 1, 2, 3, 6, 7, 8, 1, 2, 3};
  EXPECT_EQ(guesses(lookup, ids, 4), Ids({6, 7, 8, 1}));
  ids.insert(ids.end(), {4, 5});
  EXPECT_EQ(guesses(lookup, ids, 4), Ids({9, 1, 2, 3}));
  ids.push_back(77);
  EXPECT_EQ(guesses(lookup, ids, 4), Ids());
}

TEST(PromptLookupTest, ATextThatRepeatsItselfGoesOnSo) {
  PromptLookup lookup;
  EXPECT_EQ(guesses(lookup, {5, 6, 5, 6, 5, 6}, 5), Ids({5, 6, 5, 6, 5}));
  EXPECT_EQ(guesses(lookup, {5, 6, 5, 6, 5, 6, 5}, 2), Ids({6, 5}));
}

TEST(PromptLookupTest, NeedsThreeIds) {
  PromptLookup lookup;
  EXPECT_EQ(guesses(lookup, {}, 4), Ids());
  EXPECT_EQ(guesses(lookup, {1, 1}, 4), Ids());
  EXPECT_EQ(guesses(lookup, {1, 1, 1}, 4), Ids());
  EXPECT_EQ(guesses(lookup, {1, 1, 1, 1}, 2), Ids({1, 1}));
}

TEST(StepCostsTest, BetweenSizesThatRanLiesALine) {
  StepCosts costs;
  EXPECT_EQ(costs.seconds(3), 0);
  costs.record(1, 0.1);
  EXPECT_DOUBLE_EQ(costs.seconds(8), 0.1);
  costs.record(5, 0.3);
  EXPECT_DOUBLE_EQ(costs.seconds(1), 0.1);
  EXPECT_DOUBLE_EQ(costs.seconds(3), 0.2);
  EXPECT_DOUBLE_EQ(costs.seconds(9), 0.3);
  costs.record(5, 0.8);
  EXPECT_DOUBLE_EQ(costs.seconds(5), 0.4);
}

TEST(ChooseGuessesTest, AsManyAsMakeTheStepFaster) {
  StepCosts costs;
  const Offer sure = {.n = 7, .acceptance = 0.95}, doubtful = {.n = 7, .acceptance = 0.3};
  EXPECT_EQ(choose_guesses(costs, std::vector{sure}, 7), std::vector<int64_t>{0});
  costs.record(1, 1.0);
  costs.record(8, 1.7);  // 0.1 for each further token
  EXPECT_EQ(choose_guesses(costs, std::vector{sure}, 7), std::vector<int64_t>{7});
  EXPECT_EQ(choose_guesses(costs, std::vector{doubtful}, 7), std::vector<int64_t>{1});
  EXPECT_EQ(choose_guesses(costs, std::vector{sure}, 3), std::vector<int64_t>{3});
  // A token that costs what a step costs is never worth a guess, nor is a guess as dear as that.
  costs = {};
  costs.record(1, 1.0);
  costs.record(8, 8.0);
  EXPECT_EQ(choose_guesses(costs, std::vector{sure}, 7), std::vector<int64_t>{0});
  costs = {};
  costs.record(1, 1.0);
  costs.record(8, 1.0);
  EXPECT_EQ(choose_guesses(costs, std::vector{Offer{.n = 7, .acceptance = 0.95, .seconds = 1}}, 7),
            std::vector<int64_t>{0});
  // What is likelier first.
  EXPECT_EQ(choose_guesses(costs, std::vector{doubtful, sure}, 3), (std::vector<int64_t>{0, 3}));
}

TEST(ChooseGuessesTest, WhatComesBeforeTheFirstGuessIsPaidOnce) {
  StepCosts costs;
  costs.record(1, 1.0);
  costs.record(8, 1.0);
  Offer offer{.n = 7, .acceptance = 0.9, .seconds = 0, .seconds_before = 0.5};
  EXPECT_EQ(choose_guesses(costs, std::vector{offer}, 7), std::vector<int64_t>{7});
  offer.seconds_before = 10;
  EXPECT_EQ(choose_guesses(costs, std::vector{offer}, 7), std::vector<int64_t>{0});
}

/// Guesses what it is told, at a price.
class Priced : public Guesser {
 public:
  Priced(int32_t id, double price) : ids_(8, id), price_(price) {}
  int64_t look(std::span<const int32_t>, int64_t n_max) override { return n_max; }
  std::span<const int32_t> guess(int64_t n) override {
    return std::span(ids_).first(static_cast<size_t>(n));
  }
  [[nodiscard]] double seconds() const override { return price_; }

 private:
  Ids ids_;
  double price_;
};

TEST(SpeculatorTest, TakesTheGuesserThatGainsMost) {
  std::vector<std::unique_ptr<Guesser>> guessers;
  guessers.push_back(std::make_unique<Priced>(1, 0.0));
  guessers.push_back(std::make_unique<Priced>(2, 0.2));
  Speculator speculator(std::move(guessers));
  const Ids ids = {5};
  auto guessed = [&](double ids_per_second) {
    (void)speculator.offer(ids, 4, ids_per_second);
    return speculator.guess(1).front();
  };
  EXPECT_EQ(guessed(1), 1) << "the cheaper one, as long as nothing is known";
  for (int i = 0; i < 20; ++i) {
    (void)speculator.offer(ids, 4, 0);
    speculator.record(4, speculator.guess(1).front() == 2 ? 4 : 0);
  }
  EXPECT_EQ(guessed(1), 2) << "the one that is right";
  EXPECT_EQ(guessed(100), 1) << "its guesses cost more than they gain";
}

TEST(SpeculatorTest, LearnsAndForgets) {
  std::vector<std::unique_ptr<Guesser>> guessers;
  guessers.push_back(std::make_unique<PromptLookup>());
  Speculator speculator(std::move(guessers));
  const Ids ids = {1, 1, 1, 1};
  const double first = speculator.offer(ids, 4).acceptance;
  for (int i = 0; i < 20; ++i) speculator.record(4, 0);
  const double bad = speculator.offer(ids, 4).acceptance;
  EXPECT_LT(bad, 0.2);
  for (int i = 0; i < 300; ++i) speculator.record(0, 0);
  EXPECT_NEAR(speculator.offer(ids, 4).acceptance, first, 0.01);
  for (int i = 0; i < 20; ++i) speculator.record(4, 4);
  EXPECT_GT(speculator.offer(ids, 4).acceptance, 0.95);
  EXPECT_EQ(speculator.offer(ids, -1).n, 0);
}

// A prompt in which much comes again, so that there is something to look up.
Prompt repeating(size_t n, uint64_t which) {
  Prompt prompt;
  for (size_t i = 0; i < n; ++i)
    prompt.ids.push_back(static_cast<int32_t>(sampling_uniform(which, 7, i % 23) * 256));
  return prompt;
}

struct Case {
  const char* name;
  TinyModel model;
  GenerateOptions options;
};

std::vector<Case> cases() {
  std::vector<Case> all(5);
  for (Case& c : all) c.options.max_tokens = 150;
  all[0].name = "greedy";
  all[0].options.sampler = {.temperature = 0};
  all[0].options.ignore_end = true;
  all[1].name = "sampled, until it ends";
  all[1].options.sampler = {.seed = 3};
  all[2].name = "a penalty, stop strings";
  all[2].options.sampler = {.temperature = 0.2f, .repeat_penalty = 1.2f, .seed = 4};
  all[2].options.stop = {"the", "q"};
  all[3].name = "a sliding window";
  all[3].model.window = 40;
  all[3].options.sampler = {.temperature = 0.1f, .seed = 5};
  all[3].options.ignore_end = true;
  all[4].name = "log-probabilities";
  all[4].options.sampler = {.temperature = 0.1f, .seed = 6};
  all[4].options.logprobs = 3;
  return all;
}

class SpeculationTest : public ::testing::Test {
 protected:
  Engine load(const TinyModel& model) {
    auto engine = load_for_test(model.write(folder_), {.threads = 2});
    EXPECT_TRUE(engine.ok()) << engine.error().message;
    return std::move(engine).value();
  }
  struct Told {
    GenerateResult result;
    std::vector<float> logprobs;
  };
  static Told generate(Engine& engine, GenerateOptions options, Speculation speculation) {
    Told told;
    options.speculation = speculation;
    options.on_token = [&](const TokenEvent& token) { told.logprobs.push_back(token.logprob); };
    auto result = engine.generate(repeating(200, 1), options);
    EXPECT_TRUE(result.ok()) << result.error().message;
    told.result = std::move(result).value();
    return told;
  }
  static void expect_same(const Told& told, const Told& expected) {
    EXPECT_EQ(told.result.ids, expected.result.ids);
    EXPECT_EQ(told.result.text, expected.result.text);
    EXPECT_EQ(told.result.finish, expected.result.finish);
    EXPECT_EQ(told.logprobs, expected.logprobs);
  }
  format::TemporaryFolder folder_;
};

TEST_F(SpeculationTest, AnAnswerHasTheBitsThatItHasWithout) {
  int64_t guessed = 0, kept = 0;
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    Engine engine = load(c.model);
    const Told expected = generate(engine, c.options, Speculation::kOff);
    EXPECT_EQ(expected.result.guessed_tokens, 0);
    for (const Speculation speculation : {Speculation::kAlways, Speculation::kAuto}) {
      const Told told = generate(engine, c.options, speculation);
      expect_same(told, expected);
      guessed += told.result.guessed_tokens;
      kept += told.result.kept_tokens;
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_GT(guessed, kept);
}

TEST_F(SpeculationTest, ADraftModelChangesNothingButTheNumberOfSteps) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    Engine engine = load(c.model);
    const Told expected = generate(engine, c.options, Speculation::kOff);
    // The model itself guesses all right that its own sampler draws.
    ASSERT_TRUE(engine.use_draft(load(c.model)).ok());
    const Told told = generate(engine, c.options, Speculation::kAlways);
    expect_same(told, expected);
    EXPECT_GT(told.result.kept_tokens, 0);
    // What the text repeats is tried, too.
    EXPECT_GE(told.result.kept_tokens, told.result.guessed_tokens * 3 / 4);
    // Another one is wrong now and then.
    TinyModel other = c.model;
    other.window = c.model.window == 0 ? 8 : 0;
    ASSERT_TRUE(engine.use_draft(load(other)).ok());
    expect_same(generate(engine, c.options, Speculation::kAlways), expected);
  }
}

TEST_F(SpeculationTest, ADraftOfAnotherVocabularyIsRefused) {
  TinyModel other;
  other.spare = "<|other|>";
  Engine engine = load({});
  const Status status = engine.use_draft(load(other));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(SpeculationTest, AConversationGoesOnAsWithout) {
  Engine engine = load({});
  auto talk = [&](Speculation speculation) {
    Conversation conversation(engine);
    std::vector<std::string> answers;
    for (const char* said : {"abc abc abc", "abc abc", "abc"}) {
      GenerateOptions options;
      options.sampler = {.temperature = 0.1f, .seed = 2};
      options.max_tokens = 60;
      options.speculation = speculation;
      auto result = conversation.say(said, options);
      EXPECT_TRUE(result.ok()) << result.error().message;
      answers.push_back(result->text + std::to_string(result->cached_tokens));
    }
    return answers;
  };
  EXPECT_EQ(talk(Speculation::kAlways), talk(Speculation::kOff));
}

TEST_F(SpeculationTest, InCompanyTooAndWhereMemoryIsShort) {
  std::vector<GenerateOptions> options;
  for (const Case& c : cases())
    if (c.model.window == 0) options.push_back(c.options);
  Engine engine = load({});
  std::vector<GenerateResult> expected;
  for (size_t i = 0; i < 3 * options.size(); ++i) {
    GenerateOptions plain = options[i % options.size()];
    plain.speculation = Speculation::kOff;
    expected.push_back(std::move(engine.generate(repeating(20 + 40 * i, i), plain)).value());
  }
  const auto bytes = engine.info().kv_bytes_per_position * 900;
  for (const uint64_t memory :
       {UINT64_MAX, engine.info().model.weight_bytes + 100'000'000 + bytes}) {
    auto loaded = load_for_test(TinyModel{}.write(folder_), {.threads = 2, .memory = memory});
    ASSERT_TRUE(loaded.ok()) << loaded.error().message;
    // One that is wrong now and then, and takes in prompts that are longer than its step.
    if (memory == UINT64_MAX) {
      TinyModel other;
      other.window = 200;
      ASSERT_TRUE(loaded->use_draft(load(other)).ok());
    }
    auto scheduler = Scheduler::start(std::move(loaded).value(), {.sequences_max = 9});
    ASSERT_TRUE(scheduler.ok()) << scheduler.error().message;
    for (const Speculation speculation : {Speculation::kAlways, Speculation::kAuto}) {
      std::vector<std::future<Result<GenerateResult>>> answers;
      for (size_t i = 0; i < expected.size(); ++i) {
        auto promise = std::make_shared<std::promise<Result<GenerateResult>>>();
        answers.push_back(promise->get_future());
        ServeRequest request{.prompt = repeating(20 + 40 * i, i),
                             .options = options[i % options.size()],
                             .cache_scope = "us",
                             .on_done = [promise](auto r) { promise->set_value(std::move(r)); }};
        request.options.speculation = speculation;
        ASSERT_TRUE((*scheduler)->submit(std::move(request)).ok());
      }
      for (size_t i = 0; i < expected.size(); ++i) {
        auto result = answers[i].get();
        ASSERT_TRUE(result.ok()) << result.error().message;
        EXPECT_EQ(result->ids, expected[i].ids) << i;
        EXPECT_EQ(result->text, expected[i].text) << i;
      }
    }
    EXPECT_GT((*scheduler)->stats().kept_tokens, 0u);
    EXPECT_GT((*scheduler)->stats().guessed_tokens, (*scheduler)->stats().kept_tokens);
  }
}

}  // namespace
}  // namespace lantern::engine
