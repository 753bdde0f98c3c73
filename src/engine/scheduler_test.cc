#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/testing.h"

namespace lantern::engine {
namespace {

using std::chrono::milliseconds;
using Answered = std::future<Result<GenerateResult>>;

const SamplerOptions kWarm = {.temperature = 1.0f, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 11};

// `n` ids; the same for the same `which`.
Prompt junk(size_t n, uint64_t which) {
  Prompt prompt;
  for (size_t i = 0; i < n; ++i)
    prompt.ids.push_back(static_cast<int32_t>(sampling_uniform(which, 7, i) * 256));
  return prompt;
}

struct Ask {
  Prompt prompt;
  GenerateOptions options;
  std::string user = "u";
  int priority = 0;
  std::string cache_scope = {};
};

// Requests of mixed lengths, samplers and ends.
std::vector<Ask> mixed(size_t n) {
  std::vector<Ask> asks;
  for (size_t i = 0; i < n; ++i) {
    Ask ask{
        .prompt = junk(1 + i * 53 % 400, i), .options = {}, .user = "u" + std::to_string(i % 3)};
    ask.options.sampler = kWarm;
    ask.options.sampler.seed = i;
    if (i % 4 == 1) ask.options.sampler = {.temperature = 0, .repeat_penalty = 1.3f};
    if (i % 4 == 2) ask.options.sampler.top_k = 30;
    ask.options.max_tokens = 5 + static_cast<int64_t>(i * 17 % 60);
    ask.options.ignore_end = i % 5 != 0;
    if (i % 6 == 3) ask.options.stop = {"t"};
    asks.push_back(std::move(ask));
  }
  return asks;
}

Answered submit(Scheduler& scheduler, Ask ask) {
  auto promise = std::make_shared<std::promise<Result<GenerateResult>>>();
  Answered future = promise->get_future();
  ServeRequest request{
      .prompt = std::move(ask.prompt),
      .options = std::move(ask.options),
      .user = std::move(ask.user),
      .priority = ask.priority,
      .cache_scope = std::move(ask.cache_scope),
      .on_done = [promise](auto result) { promise->set_value(std::move(result)); }};
  auto status = scheduler.submit(std::move(request));
  if (!status.ok()) promise->set_value(std::move(status).error());
  return future;
}

/// Until so many answers are under way.
void wait_for_running(const Scheduler& scheduler, int64_t n) {
  while (scheduler.stats().running < n) std::this_thread::sleep_for(milliseconds(1));
}

bool is_ready(const Answered& answer) {
  return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

class SchedulerTest : public ::testing::Test {
 protected:
  Engine load(EngineOptions options = {}, const TinyModel& model = {}) {
    options.threads = 2;
    auto engine = load_for_test(model.write(folder_), std::move(options));
    EXPECT_TRUE(engine.ok()) << engine.error().message;
    return std::move(engine).value();
  }
  std::unique_ptr<Scheduler> start(SchedulerOptions options = {}, EngineOptions engine = {},
                                   const TinyModel& model = {}) {
    auto scheduler = Scheduler::start(load(std::move(engine), model), options);
    EXPECT_TRUE(scheduler.ok()) << scheduler.error().message;
    return std::move(scheduler).value();
  }
  /// An engine whose cache holds `positions` and no more.
  EngineOptions with_room_for(int64_t positions, const TinyModel& model = {}) {
    const Engine whole = load({}, model);
    const auto bytes = whole.info().kv_bytes_per_position * static_cast<uint64_t>(positions);
    return {.memory = whole.info().model.weight_bytes + 100'000'000 + bytes};
  }
  /// What Engine::generate() answers to each, one after another.
  std::vector<GenerateResult> alone(const std::vector<Ask>& asks, const TinyModel& model = {}) {
    Engine engine = load({}, model);
    std::vector<GenerateResult> results;
    for (const Ask& ask : asks) {
      auto result = engine.generate(ask.prompt, ask.options);
      EXPECT_TRUE(result.ok()) << result.error().message;
      results.push_back(std::move(result).value());
    }
    return results;
  }
  static void expect_equal(std::vector<Answered>& answers,
                           const std::vector<GenerateResult>& expected) {
    for (size_t i = 0; i < answers.size(); ++i) {
      auto result = answers[i].get();
      ASSERT_TRUE(result.ok()) << result.error().message;
      EXPECT_EQ(result->ids, expected[i].ids) << i;
      EXPECT_EQ(result->text, expected[i].text) << i;
      EXPECT_EQ(result->finish, expected[i].finish) << i;
      EXPECT_EQ(result->prompt_tokens, expected[i].prompt_tokens) << i;
    }
  }
  format::TemporaryFolder folder_;
};

// Invariant 3 under load.
TEST_F(SchedulerTest, AnAnswerHasTheBitsThatItHasAlone) {
  const auto asks = mixed(16);
  const auto expected = alone(asks);
  for (auto options : {SchedulerOptions{}, SchedulerOptions{.sequences_max = 5},
                       SchedulerOptions{.step_tokens = 3},
                       SchedulerOptions{.sequences_max = 16, .step_tokens = 37}}) {
    options.patience =
        std::chrono::hours(1);  // nobody takes another's place, however slow the machine
    auto scheduler = start(options);
    for (int run = 0; run < 2; ++run) {
      std::vector<Answered> answers;
      answers.reserve(asks.size());
      for (const Ask& ask : asks) answers.push_back(submit(*scheduler, ask));
      expect_equal(answers, expected);
    }
    EXPECT_TRUE(scheduler->drain(milliseconds(10'000)));
    const auto stats = scheduler->stats();
    EXPECT_EQ(stats.ended, 32u);
    EXPECT_EQ(stats.running, 0);
    EXPECT_EQ(stats.waiting, 0);
    EXPECT_EQ(stats.kv_bytes_in_use, 0u);
    EXPECT_EQ(stats.preempted, 0u);
  }
}

TEST_F(SchedulerTest, WhoHadToMakeRoomHasTheSameBitsToo) {
  const TinyModel model{.context = 512};
  std::vector<Ask> asks;
  for (size_t i = 0; i < 6; ++i) {
    asks.push_back({.prompt = junk(90 + i, i), .options = {}});
    asks.back().options = {.sampler = kWarm, .max_tokens = 300, .ignore_end = true};
  }
  const auto expected = alone(asks, model);
  // Six begin in a page or two each; all of them at full length need four times six.
  auto scheduler = start({}, with_room_for(int64_t{9} * 128, model), model);
  std::vector<Answered> answers;
  answers.reserve(asks.size());
  for (const Ask& ask : asks) answers.push_back(submit(*scheduler, ask));
  expect_equal(answers, expected);
  EXPECT_TRUE(scheduler->drain(milliseconds(10'000)));
  EXPECT_GT(scheduler->stats().preempted, 0u);
}

TEST_F(SchedulerTest, PagesThatASlidingWindowHasPassedAreNotMissed) {
  const TinyModel model{.context = 2048, .window = 50};
  std::vector<Ask> asks;
  for (size_t i = 0; i < 4; ++i) {
    asks.push_back({.prompt = junk(300 + 250 * i, i), .options = {}});
    asks.back().options = {.sampler = kWarm, .max_tokens = 30, .ignore_end = true};
  }
  const auto expected = alone(asks, model);
  auto scheduler = start({.step_tokens = 70}, {}, model);
  std::vector<Answered> answers;
  answers.reserve(asks.size());
  for (const Ask& ask : asks) answers.push_back(submit(*scheduler, ask));
  expect_equal(answers, expected);
}

TEST_F(SchedulerTest, StreamsEachAnswerToItsOwn) {
  auto scheduler = start();
  std::vector<std::string> streamed(8);
  auto asks = mixed(8);
  std::vector<Answered> answers;
  answers.reserve(asks.size());
  for (size_t i = 0; i < asks.size(); ++i) {
    asks[i].options.on_text = [&streamed, i](std::string_view piece) { streamed[i] += piece; };
    answers.push_back(submit(*scheduler, asks[i]));
  }
  for (size_t i = 0; i < asks.size(); ++i) {
    auto result = answers[i].get();
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(streamed[i], result->text);
  }
}

TEST_F(SchedulerTest, RefusesAtOnceWhatCannotRun) {
  auto scheduler = start({}, {.context = 64});
  EXPECT_EQ(submit(*scheduler, {junk(64, 0), {}}).get().error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(submit(*scheduler, {{}, {}}).get().error().message, "the prompt is empty");
  EXPECT_FALSE(submit(*scheduler, {junk(3, 0), {.sampler = {.top_p = 2}}}).get().ok());
  EXPECT_FALSE(submit(*scheduler, {junk(3, 0), {.stop = {""}}}).get().ok());
  EXPECT_FALSE(submit(*scheduler, {junk(3, 0), {.logprobs = 21}}).get().ok());
  EXPECT_FALSE(scheduler->submit({.prompt = junk(3, 0)}).ok());
  EXPECT_EQ(scheduler->stats().requests, 0u);
  for (const auto& bad :
       {SchedulerOptions{.sequences_max = 0}, SchedulerOptions{.sequences_max = 257},
        SchedulerOptions{.queue_max = 0}, SchedulerOptions{.step_tokens = 0},
        SchedulerOptions{.step_time_max = milliseconds(0)}})
    EXPECT_FALSE(Scheduler::start(load(), bad).ok());
}

// Holds the scheduler's thread inside a callback until told to go on, so that a test can lay out
// a queue at leisure.
class Gate {
 public:
  std::function<void(std::string_view)> callback() {
    return [this](std::string_view) {
      std::unique_lock lock(mutex_);
      reached_ = true;
      changed_.notify_all();
      changed_.wait(lock, [&] { return open_; });
    };
  }
  void await_reached() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return reached_; });
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false;
  bool open_ = false;
};

class QueueTest : public SchedulerTest {
 protected:
  /// Something that runs, and stands still until gate_.open().
  Answered hold(Scheduler& scheduler, int64_t max_tokens = 3) {
    Ask ask{junk(3, 99), {.sampler = kWarm, .max_tokens = max_tokens, .ignore_end = true}, "held"};
    ask.options.on_text = gate_.callback();
    Answered answer = submit(scheduler, std::move(ask));
    gate_.await_reached();
    return answer;
  }
  /// Submits a short request whose end is noted under `name`.
  void note(Scheduler& scheduler, const std::string& name, const std::string& user,
            int priority = 0) {
    ServeRequest request{.prompt = junk(20, 1),
                         .options = {.sampler = kWarm, .max_tokens = 2, .ignore_end = true},
                         .user = user,
                         .priority = priority,
                         .on_done = [this, name](const auto& result) {
                           EXPECT_TRUE(result.ok());
                           std::lock_guard lock(mutex_);
                           ended_.push_back(name);
                         }};
    ASSERT_TRUE(scheduler.submit(std::move(request)).ok());
  }
  std::vector<std::string> ended() {
    std::lock_guard lock(mutex_);
    return ended_;
  }
  Gate gate_;
  std::mutex mutex_;
  std::vector<std::string> ended_;
};

TEST_F(QueueTest, IsBounded) {
  auto scheduler = start({.sequences_max = 1, .queue_max = 3});
  auto held = hold(*scheduler);
  for (int i = 0; i < 3; ++i) note(*scheduler, "w", "u");
  auto refused = submit(*scheduler, {junk(3, 0), {}}).get();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(refused.error().message,
            "1 answers are under way and 3 requests wait, as many as may; retry after 1 s");
  EXPECT_EQ(scheduler->stats().refused, 1u);
  EXPECT_EQ(scheduler->stats().waiting, 3);
  gate_.open();
  EXPECT_TRUE(held.get().ok());
  EXPECT_TRUE(scheduler->drain(milliseconds(10'000)));
  EXPECT_EQ(ended().size(), 3u);
  auto after = submit(*scheduler, {junk(3, 0), {}}).get();
  EXPECT_EQ(after.error().code, ErrorCode::kExhausted);
}

TEST_F(QueueTest, ManyRequestsOfOneUserDoNotHoldUpAnothersOne) {
  auto scheduler = start({.sequences_max = 1});
  auto held = hold(*scheduler);
  for (int i = 0; i < 50; ++i) note(*scheduler, "many", "many");
  note(*scheduler, "one", "one");
  note(*scheduler, "second", "one");
  gate_.open();
  EXPECT_TRUE(scheduler->drain(milliseconds(20'000)));
  const auto order = ended();
  ASSERT_EQ(order.size(), 52u);
  EXPECT_EQ(order[0], "many");  // was there first
  EXPECT_EQ(order[1], "one");
  EXPECT_EQ(order[3], "second");
  EXPECT_TRUE(held.get().ok());
}

TEST_F(QueueTest, HigherPriorityGoesFirst) {
  auto scheduler = start({.sequences_max = 1});
  auto held = hold(*scheduler);
  for (int i = 0; i < 4; ++i) note(*scheduler, "low", "a", -1);
  for (int i = 0; i < 4; ++i) note(*scheduler, "usual", "b");
  for (int i = 0; i < 4; ++i) note(*scheduler, "high", "c", 5);
  gate_.open();
  EXPECT_TRUE(scheduler->drain(milliseconds(20'000)));
  const auto order = ended();
  ASSERT_EQ(order.size(), 12u);
  for (size_t i = 0; i < 12; ++i)
    EXPECT_EQ(order[i], i < 4 ? "high" : i < 8 ? "usual" : "low") << i;
  EXPECT_TRUE(held.get().ok());
}

TEST_F(QueueTest, OneOfLowPriorityIsNotKeptWaitingForEver) {
  auto scheduler =
      start({.sequences_max = 1, .patience = std::chrono::hours(1), .starving = milliseconds(0)});
  auto held = hold(*scheduler);
  note(*scheduler, "first", "h", 1);
  note(*scheduler, "low", "l", -1);
  note(*scheduler, "second", "h", 1);
  gate_.open();
  EXPECT_TRUE(held.get().ok());
  EXPECT_TRUE(scheduler->drain(milliseconds(10'000)));
  EXPECT_EQ(ended(), (std::vector<std::string>{"first", "low", "second"}));
}

TEST_F(QueueTest, CancelsWhatWaitsAndWhatRuns) {
  auto scheduler = start({.sequences_max = 2});
  auto held = hold(*scheduler);
  std::stop_source waits, runs;
  Ask running{junk(3, 0), {.sampler = kWarm, .ignore_end = true}};
  std::atomic<int> pieces = 0;
  running.options.cancel = runs.get_token();
  running.options.on_text = [&](std::string_view) {
    if (++pieces == 5) runs.request_stop();
  };
  Ask waiting{junk(3, 1), {.sampler = kWarm}, "w", -1};
  waiting.options.cancel = waits.get_token();
  auto ran = submit(*scheduler, std::move(running));
  auto waited = submit(*scheduler, std::move(waiting));
  waits.request_stop();
  gate_.open();
  auto result = ran.get();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->finish, FinishReason::kCancelled);
  EXPECT_GE(result->ids.size(), 5u);
  EXPECT_LT(result->ids.size(), 40u);
  auto never = waited.get();
  ASSERT_TRUE(never.ok());
  EXPECT_EQ(never->finish, FinishReason::kCancelled);
  EXPECT_TRUE(never->ids.empty());
  EXPECT_TRUE(held.get().ok());
}

TEST_F(QueueTest, TheEndOfTheSchedulerAnswersAll) {
  std::vector<Answered> answers;
  {
    auto scheduler = start({.sequences_max = 2});
    answers.push_back(hold(*scheduler, 0));
    for (uint64_t i = 0; i < 5; ++i)
      answers.push_back(submit(*scheduler, {junk(30, i), {.sampler = kWarm, .ignore_end = true}}));
    EXPECT_FALSE(scheduler->drain(milliseconds(5)));
    gate_.open();
  }
  for (Answered& answer : answers) {
    auto result = answer.get();
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->finish, FinishReason::kCancelled);
  }
}

GenerateOptions free_options(int64_t max_tokens) {
  return {.sampler = kWarm, .max_tokens = max_tokens, .ignore_end = true};
}

GenerateResult ask_one(Scheduler& scheduler, const Ask& ask) {
  auto result = submit(scheduler, ask).get();
  EXPECT_TRUE(result.ok());
  return std::move(result).value();
}

TEST_F(SchedulerTest, APrefixThatWasRunIsNotRunAgainAndChangesNoBit) {
  for (int64_t window : {0, 50}) {
    const TinyModel model{.context = 2048, .window = window};
    auto scheduler = start({}, {}, model);
    Ask first{junk(300, 1), free_options(40), "u", 0, "alice"};
    const auto answer = ask_one(*scheduler, first);
    EXPECT_EQ(answer.cached_tokens, 0);

    // A second turn: what was generated is kept too, all but its last id, which was never run.
    Ask second = first;
    second.prompt.ids.insert(second.prompt.ids.end(), answer.ids.begin(), answer.ids.end());
    const auto more = junk(70, 2).ids;
    second.prompt.ids.insert(second.prompt.ids.end(), more.begin(), more.end());
    // Another that leaves the first's prompt in the middle of a page, and one that repeats it.
    Ask branch{junk(300, 1), free_options(40), "u", 0, "alice"};
    branch.prompt.ids.resize(200);
    branch.prompt.ids.insert(branch.prompt.ids.end(), more.begin(), more.end());
    const std::vector<Ask> asks = {second, branch, first, second};
    const std::vector<int64_t> cached = {339, 200, 299, 409};
    const auto expected = alone(asks, model);
    for (size_t i = 0; i < asks.size(); ++i) {
      const auto result = ask_one(*scheduler, asks[i]);
      EXPECT_EQ(result.ids, expected[i].ids) << i;
      EXPECT_EQ(result.text, expected[i].text) << i;
      EXPECT_GE(result.cached_tokens, cached[i]) << i;
      EXPECT_LE(result.cached_tokens, cached[i] + 1) << i;  // where ids happen to be alike
    }
    EXPECT_GT(scheduler->stats().cache_bytes, 0u);
  }
}

TEST_F(SchedulerTest, ScopesShareNothing) {
  auto scheduler = start();
  const Ask ask{junk(400, 1), free_options(4), "u", 0, "alice"};
  const auto expected = ask_one(*scheduler, ask);
  for (const std::string scope : {"bob", "", "alic", "alice2"}) {
    Ask other = ask;
    other.cache_scope = scope;
    for (int i = 0; i < (scope.empty() ? 2 : 1); ++i) {
      const auto result = ask_one(*scheduler, other);
      EXPECT_EQ(result.cached_tokens, 0) << scope;
      EXPECT_EQ(result.ids, expected.ids);
    }
  }
  EXPECT_EQ(ask_one(*scheduler, ask).cached_tokens, 399);
  auto without = start({.cache_bytes = 0});
  ask_one(*without, ask);
  EXPECT_EQ(ask_one(*without, ask).cached_tokens, 0);
  EXPECT_TRUE(without->drain(milliseconds(10'000)));
  EXPECT_EQ(without->stats().kv_bytes_in_use, 0u);
}

TEST_F(SchedulerTest, WhoComeTogetherRunACommonPrefixOnce) {
  auto scheduler = start({.step_tokens = 128});
  std::vector<Ask> asks;
  for (uint64_t i = 0; i < 6; ++i) {
    asks.push_back({junk(600, 1), free_options(12), "u", 0, "alice"});
    asks.back().prompt.ids.push_back(static_cast<int32_t>(i));
    asks.back().options.sampler.seed = i;
  }
  const auto expected = alone(asks);
  std::vector<Answered> answers;
  answers.reserve(asks.size());
  for (const Ask& ask : asks) answers.push_back(submit(*scheduler, ask));
  expect_equal(answers, expected);
  EXPECT_TRUE(scheduler->drain(milliseconds(10'000)));
  EXPECT_LT(scheduler->stats().prompt_tokens, 601u + 5 * 200);
}

TEST_F(SchedulerTest, TheCacheGivesWayToAnswers) {
  for (int64_t window : {0, 50}) {
    const TinyModel model{.context = 512, .window = window};
    std::vector<Ask> asks;
    for (size_t i = 0; i < 24; ++i) {
      asks.push_back({junk(60 + i * 37 % 300, i % 8), free_options(90)});
      asks.back().cache_scope = i % 2 == 0 ? "even" : "odd";
      asks.back().options.sampler.seed = i;
    }
    const auto expected = alone(asks, model);
    auto scheduler = start({.sequences_max = 6}, with_room_for(int64_t{10} * 128, model), model);
    std::vector<Answered> answers;
    answers.reserve(asks.size());
    for (const Ask& ask : asks) answers.push_back(submit(*scheduler, ask));
    expect_equal(answers, expected);
    EXPECT_TRUE(scheduler->drain(milliseconds(10'000)));
    EXPECT_EQ(scheduler->stats().ended, 24u);
  }
}

TEST_F(SchedulerTest, TakesRequestsFromManyThreads) {
  const auto asks = mixed(32);
  const auto expected = alone(asks);
  auto scheduler = start({.sequences_max = 7});
  std::vector<Answered> answers(asks.size());
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (size_t i = t; i < asks.size(); i += 4) {
        answers[i] = submit(*scheduler, asks[i]);
        EXPECT_GE(scheduler->stats().requests, 1u);
      }
    });
  for (auto& thread : threads) thread.join();
  expect_equal(answers, expected);
}

TEST_F(SchedulerTest, EmbeddingsHaveTheSameBitsBesideAnswersAndCancelAlone) {
  std::vector<std::vector<int32_t>> inputs;
  inputs.reserve(40);
  for (uint64_t i = 0; i < 40; ++i) inputs.push_back(junk(1 + i * 37 % 600, i).ids);
  Engine engine = load();
  const auto want = engine.embed(inputs, {.chunk = 100});
  ASSERT_TRUE(want.ok()) << want.error().message;

  const std::vector<Ask> asks = mixed(12);
  const std::vector<GenerateResult> expected = alone(asks);
  auto scheduler = start({.sequences_max = 4, .step_tokens = 64});
  std::vector<std::future<Result<EmbedResult>>> embedded;
  std::vector<Answered> answers;
  answers.reserve(asks.size());
  std::stop_source cancelled;
  for (size_t i = 0; i < asks.size(); ++i) {
    answers.push_back(submit(*scheduler, asks[i]));
    auto promise = std::make_shared<std::promise<Result<EmbedResult>>>();
    embedded.push_back(promise->get_future());
    EmbedJob job{.inputs = inputs,
                 .user = "e" + std::to_string(i % 2),
                 .on_done = [promise](auto result) { promise->set_value(std::move(result)); }};
    if (i == 3) job.cancel = cancelled.get_token();
    ASSERT_TRUE(scheduler->submit(std::move(job)).ok());
    if (i == 3) cancelled.request_stop();
  }
  expect_equal(answers, expected);
  for (size_t i = 0; i < embedded.size(); ++i) {
    auto got = embedded[i].get();
    if (i == 3) {
      EXPECT_EQ(got.error().code, ErrorCode::kCancelled);
      continue;
    }
    ASSERT_TRUE(got.ok()) << got.error().message;
    EXPECT_EQ(got->vectors, want->vectors) << i;
    EXPECT_EQ(got->n_tokens, want->n_tokens);
  }
  EXPECT_TRUE(scheduler->drain(std::chrono::seconds(10)));
  EXPECT_EQ(
      scheduler->submit(EmbedJob{.inputs = inputs, .on_done = [](const auto&) {}}).error().code,
      ErrorCode::kExhausted);
}

Ask long_answer(uint64_t which, std::string user, int64_t n_tokens) {
  Ask ask{.prompt = junk(20, which), .options = {}, .user = std::move(user)};
  ask.options.sampler = kWarm;
  ask.options.max_tokens = n_tokens;
  ask.options.ignore_end = true;
  ask.cache_scope = ask.user;
  return ask;
}

TEST_F(SchedulerTest, WhoHoldsEveryPlaceGivesOneToANewcomer) {
  std::vector<Ask> asks;
  asks.reserve(4);
  for (uint64_t i = 0; i < 4; ++i) asks.push_back(long_answer(i, "has all", 900));
  asks.push_back(long_answer(9, "newcomer", 3));
  const std::vector<GenerateResult> expected = alone(asks);
  auto scheduler = start({.sequences_max = 2, .patience = milliseconds(0)});
  std::vector<Answered> answers;
  answers.reserve(asks.size());
  for (size_t i = 0; i < 4; ++i) answers.push_back(submit(*scheduler, asks[i]));
  wait_for_running(*scheduler, 2);
  answers.push_back(submit(*scheduler, asks[4]));
  answers.back().wait();
  for (size_t i = 0; i < 4; ++i) EXPECT_FALSE(is_ready(answers[i])) << i;
  EXPECT_EQ(scheduler->stats().preempted, 1u);
  expect_equal(answers, expected);
  EXPECT_EQ(scheduler->stats().preempted, 1u) << "nobody had a claim to more";
}

TEST_F(SchedulerTest, WithPatienceItWaitsForAPlaceToBecomeFree) {
  auto scheduler = start({.sequences_max = 1, .patience = std::chrono::hours(1)});
  Answered first = submit(*scheduler, long_answer(0, "a", 300));
  wait_for_running(*scheduler, 1);
  Answered second = submit(*scheduler, long_answer(1, "b", 3));
  second.wait();
  EXPECT_TRUE(is_ready(first));
  EXPECT_EQ(scheduler->stats().preempted, 0u);
}

TEST_F(SchedulerTest, MoreUsersThanPlacesTakeTurns) {
  const std::vector<Ask> asks = {long_answer(0, "a", 900), long_answer(1, "b", 900)};
  const std::vector<GenerateResult> expected = alone(asks);
  auto scheduler = start({.sequences_max = 1, .patience = milliseconds(0)});
  std::vector<Answered> answers;
  answers.reserve(asks.size());
  answers.push_back(submit(*scheduler, asks[0]));
  wait_for_running(*scheduler, 1);
  answers.push_back(submit(*scheduler, asks[1]));
  expect_equal(answers, expected);
  // Slices of 256 tokens, of 1,800 in all; the first may be hundreds ahead when the second comes.
  EXPECT_GE(scheduler->stats().preempted, 2u);
  EXPECT_LE(scheduler->stats().preempted, 8u);
}

TEST_F(SchedulerTest, OneOfHigherPriorityTakesAPlace) {
  auto scheduler = start({.sequences_max = 1, .patience = milliseconds(0)});
  Answered low = submit(*scheduler, long_answer(0, "a", 900));
  wait_for_running(*scheduler, 1);
  Ask urgent = long_answer(1, "a", 3);
  urgent.priority = 1;
  submit(*scheduler, urgent).wait();
  EXPECT_FALSE(is_ready(low));
}

TEST_F(SchedulerTest, GivesBackWhatOnlyLaterRequestsUse) {
  Ask ask{.prompt = junk(400, 1), .options = {.max_tokens = 5}};
  ask.cache_scope = "u";
  auto scheduler = start();
  const auto first = submit(*scheduler, ask).get();
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(scheduler->drain(milliseconds(0)) || scheduler->drain(std::chrono::seconds(10)));
  EXPECT_GT(scheduler->stats().cache_bytes, 0u);
  scheduler->trim();
  for (int i = 0; i < 1000 && scheduler->stats().kv_bytes_in_use > 0; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_EQ(scheduler->stats().cache_bytes, 0u);
  EXPECT_EQ(scheduler->stats().kv_bytes_in_use, 0u);
}

}  // namespace
}  // namespace lantern::engine
