// Sequences with an adapter, with another and with none: each as if it were alone.
#include "engine/adapter.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "engine/scheduler.h"
#include "engine/testing.h"
#include "engine/tiny_adapter.h"

namespace lantern::engine {
namespace {

class AdapterTest : public ::testing::Test {
 protected:
  Engine load(int threads = 2) {
    auto engine = load_for_test(model_, {.threads = threads});
    EXPECT_TRUE(engine.ok()) << engine.error().message;
    return std::move(engine).value();
  }
  /// All of this room's tests have one id: adapters that must differ have other scales.
  AdapterPtr adapter(const Engine& engine, uint64_t seed, double scale = 1.0) {
    auto checkpoint = open_for_test(
        TinyAdapter{.seed = seed}.write(folder_, "adapter-" + std::to_string(seed) + ".gguf"));
    auto loaded = engine.load_adapter(format::admit_for_test(std::move(*checkpoint)), scale);
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    return loaded.value();
  }
  static GenerateOptions options(const AdapterPtr& with, uint64_t seed = 3) {
    return {.adapter = with,
            .sampler = {.temperature = 1.0f, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed},
            .max_tokens = 30,
            .ignore_end = true};
  }

  format::TemporaryFolder folder_;
  const std::filesystem::path model_ = TinyModel{}.write(folder_);
};

TEST_F(AdapterTest, AnswersDifferAndTheModelsOwnStays) {
  Engine engine = load();
  const Prompt prompt = engine.user_prompt("Who are you?").value();
  const auto plain = engine.generate(prompt, options({})).value().ids;
  const AdapterPtr one = adapter(engine, 1), two = adapter(engine, 2, 1.25);
  EXPECT_NE(one->weights.bytes(), 0u);
  const auto with_one = engine.generate(prompt, options(one)).value().ids;
  EXPECT_NE(with_one, plain);
  EXPECT_NE(engine.generate(prompt, options(two)).value().ids, with_one);
  EXPECT_EQ(engine.generate(prompt, options({})).value().ids, plain);
  EXPECT_EQ(engine.generate(prompt, options(adapter(engine, 1, 0.0))).value().ids, plain);
  GenerateOptions cut = options(one);
  cut.chunk = 3;
  cut.beside = 4;
  EXPECT_EQ(engine.generate(prompt, cut).value().ids, with_one);
}

TEST_F(AdapterTest, ABatchOfDifferentAdaptersAnswersAsEachAlone) {
  Engine alone = load();
  auto scheduler = Scheduler::start(load(), {.sequences_max = 12}).value();
  const auto of = [&](const Engine& engine) {
    return std::vector<AdapterPtr>{
        {}, adapter(engine, 1), adapter(engine, 2, 1.25), adapter(engine, 1, -0.5)};
  };
  const auto for_alone = of(alone), for_batch = of(scheduler->engine());
  // One scope and one text: what the cache keeps of one adapter's prompt is of no use to another's.
  const Prompt prompt = alone.user_prompt(std::string(200, 'x')).value();
  for (int run = 0; run < 2; ++run) {
    std::vector<std::future<Result<GenerateResult>>> answers;
    for (size_t i = 0; i < 12; ++i) {
      auto promise = std::make_shared<std::promise<Result<GenerateResult>>>();
      answers.push_back(promise->get_future());
      const Status taken = scheduler->submit({.prompt = prompt,
                                              .options = options(for_batch[i % 4], i),
                                              .user = "u",
                                              .cache_scope = "u",
                                              .on_done = [promise](Result<GenerateResult> result) {
                                                promise->set_value(std::move(result));
                                              }});
      ASSERT_TRUE(taken.ok()) << taken.error().message;
    }
    for (size_t i = 0; i < answers.size(); ++i) {
      const auto answer = answers[i].get();
      ASSERT_TRUE(answer.ok()) << answer.error().message;
      EXPECT_EQ(answer->ids, alone.generate(prompt, options(for_alone[i % 4], i)).value().ids) << i;
      if (run == 1) {
        EXPECT_GT(answer->cached_tokens, 128) << i;
      }
    }
  }
}

TEST_F(AdapterTest, ASessionIsOfItsAdapterAndScale) {
  Engine engine = load(1);
  const AdapterPtr one = adapter(engine, 1);
  Conversation first(engine, one);
  ASSERT_TRUE(first.say(std::string(200, 'x'), options({})).ok());
  const std::string saved = first.save();
  const auto expected = first.say("and more", options({})).value();

  Conversation again(engine, one);
  ASSERT_TRUE(again.restore(saved, "saved").ok());
  const auto answer = again.say("and more", options({})).value();
  EXPECT_EQ(answer.ids, expected.ids);
  EXPECT_GT(answer.cached_tokens, 200);
  for (const AdapterPtr& other : {AdapterPtr(), adapter(engine, 1, 0.5)}) {
    Conversation without(engine, other);
    const Status refused = without.restore(saved, "saved");
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find("adapter"), std::string::npos);
  }
}

TEST_F(AdapterTest, EmbeddingsAreThoseUnderTheAdapter) {
  auto scheduler = Scheduler::start(load(), {}).value();
  const AdapterPtr one = adapter(scheduler->engine(), 1);
  const auto embed = [&](const AdapterPtr& with) {
    std::promise<Result<EmbedResult>> promise;
    EXPECT_TRUE(scheduler
                    ->submit({.inputs = {scheduler->text().encode_raw("some text")},
                              .user = "u",
                              .adapter = with,
                              .on_done =
                                  [&](Result<EmbedResult> result) {
                                    promise.set_value(std::move(result));
                                  }})
                    .ok());
    return promise.get_future().get().value().vectors;
  };
  const auto plain = embed({});
  EXPECT_NE(embed(one), plain);
  EXPECT_EQ(embed({}), plain);
}

}  // namespace
}  // namespace lantern::engine
