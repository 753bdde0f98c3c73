// Log-probabilities beside a plain float64 computation over Engine::logits().
#include "engine/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <string>
#include <vector>

#include "engine/scheduler.h"
#include "engine/testing.h"

namespace lantern::engine {
namespace {

struct Seen {
  int32_t id;
  std::string bytes;
  float logprob;
  std::vector<TokenLogprob> top;
};

std::function<void(const TokenEvent&)> note(std::vector<Seen>& seen) {
  return [&seen](const TokenEvent& token) {
    seen.push_back(
        {token.id, std::string(token.bytes), token.logprob, {token.top.begin(), token.top.end()}});
  };
}

std::vector<double> log_softmax(std::span<const float> row) {
  const double largest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (float x : row) sum += std::exp(double{x} - largest);
  std::vector<double> out;
  for (float x : row) out.push_back(double{x} - largest - std::log(sum));
  return out;
}

TEST(Logprobs, AreTheModelsOwnBeforePenaltiesAndFilters) {
  format::TemporaryFolder folder;
  auto engine = load_for_test(TinyModel{}.write(folder), {.threads = 1});
  ASSERT_TRUE(engine.ok());
  auto prompt = engine->raw_prompt("the café is");
  ASSERT_TRUE(prompt.ok());
  std::vector<Seen> seen;
  GenerateOptions options{.sampler = {.temperature = 0.6f,
                                      .top_k = 12,
                                      .top_p = 0.9f,
                                      .repeat_penalty = 1.4f,
                                      .seed = 5},
                          .max_tokens = 30,
                          .ignore_end = true,
                          .logprobs = 7,
                          .on_token = note(seen)};
  auto result = engine->generate(*prompt, options);
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(seen.size(), result->ids.size());

  auto ids = prompt->ids;
  ids.insert(ids.end(), result->ids.begin(), result->ids.end());
  std::vector<float> rows;
  ASSERT_TRUE(engine
                  ->logits(ids, {},
                           [&](int64_t, int64_t, auto slice) -> Status {
                             rows.insert(rows.end(), slice.begin(), slice.end());
                             return {};
                           })
                  .ok());
  constexpr auto kVocab = static_cast<size_t>(TinyModel::kVocab);
  for (size_t i = 0; i < seen.size(); ++i) {
    const auto expected =
        log_softmax(std::span(rows).subspan((prompt->ids.size() + i - 1) * kVocab, kVocab));
    EXPECT_EQ(seen[i].id, result->ids[i]);
    EXPECT_EQ(seen[i].bytes, engine->text().tokenizer().piece(seen[i].id));
    EXPECT_NEAR(seen[i].logprob, expected[static_cast<size_t>(seen[i].id)], 2e-6);
    ASSERT_EQ(seen[i].top.size(), 7u);
    std::vector<double> sorted = expected;
    std::ranges::sort(sorted, std::greater<>());
    for (size_t k = 0; k < 7; ++k) {
      EXPECT_NEAR(seen[i].top[k].logprob, sorted[k], 2e-6);
      EXPECT_NEAR(expected[static_cast<size_t>(seen[i].top[k].id)], sorted[k], 2e-6);
    }
  }

  // The scheduler's are the same to the bit.
  std::vector<Seen> served;
  options.on_token = note(served);
  auto scheduler = Scheduler::start(std::move(engine).value(), {});
  ASSERT_TRUE(scheduler.ok());
  std::promise<void> done;
  ASSERT_TRUE(
      (*scheduler)
          ->submit(
              {.prompt = *prompt, .options = options, .on_done = [&](auto) { done.set_value(); }})
          .ok());
  done.get_future().wait();
  ASSERT_EQ(served.size(), seen.size());
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(served[i].logprob, seen[i].logprob);
    for (size_t k = 0; k < 7; ++k) {
      EXPECT_EQ(served[i].top[k].id, seen[i].top[k].id);
      EXPECT_EQ(served[i].top[k].logprob, seen[i].top[k].logprob);
    }
  }
}

TEST(Logprobs, TiesGoToTheLowerIdAndFarOnesStayFinite) {
  const kernels::Context context;
  Logprobs logprobs(3, context);
  const std::vector<float> logits = {-300, 2, 5, 2, 5, -1000, 2};
  logprobs.take(logits);
  ASSERT_EQ(logprobs.top().size(), 3u);
  EXPECT_EQ(logprobs.top()[0].id, 2);
  EXPECT_EQ(logprobs.top()[1].id, 4);
  EXPECT_EQ(logprobs.top()[2].id, 1);
  EXPECT_NEAR(logprobs.of(5), -1005 - std::log(2 + 3 * std::exp(-3.0)), 1e-4);
  Logprobs wide(20, context);
  wide.take(logits);
  EXPECT_EQ(wide.top().size(), logits.size());
  EXPECT_EQ(wide.top().back().id, 5);
  Logprobs none(0, context);
  none.take(logits);
  EXPECT_TRUE(none.top().empty());
  EXPECT_NEAR(none.of(1), 2 - 5 - std::log(2 + 3 * std::exp(-3.0)), 1e-6);
}

}  // namespace
}  // namespace lantern::engine
