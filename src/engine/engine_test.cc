#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/printable.h"
#include "engine/benchmark.h"
#include "engine/estimate.h"
#include "engine/testing.h"

namespace lantern::engine {
namespace {

using kernels::KvType;

const SamplerOptions kWarm = {.temperature = 1.0f, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 11};

std::string long_text(size_t n) {
  std::string text;
  while (text.size() < n) text += "the café " + std::to_string(text.size()) + "\n";
  return text;
}

class EngineTest : public ::testing::Test {
 protected:
  Engine load(EngineOptions options = {}, const TinyModel& model = {}) {
    auto engine = load_for_test(model.write(folder_), std::move(options));
    EXPECT_TRUE(engine.ok()) << engine.error().message;
    return std::move(engine).value();
  }
  static GenerateResult generate(Engine& engine, const std::string& text, GenerateOptions options) {
    auto prompt = engine.raw_prompt(text);
    EXPECT_TRUE(prompt.ok());
    auto result = engine.generate(*prompt, options);
    EXPECT_TRUE(result.ok()) << result.error().message;
    return std::move(result).value();
  }
  format::TemporaryFolder folder_;
};

// Invariant 3, at the level of generated text.
TEST_F(EngineTest, TheAnswerDependsOnNeitherThreadsNorChunksNorCompany) {
  for (KvType kv : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    const std::string prompt = long_text(300);
    GenerateOptions options{.sampler = kWarm, .max_tokens = 40, .ignore_end = true};
    Engine alone = load({.threads = 1, .kv_type = kv});
    const auto expected = generate(alone, prompt, options);
    EXPECT_EQ(expected.ids.size(), 40u);
    for (int threads : {1, 2, 4}) {
      Engine engine = load({.threads = threads, .kv_type = kv});
      for (int64_t chunk : {0, 1, 7, 128}) {
        for (int64_t beside : {0, 3}) {
          options.chunk = chunk;
          options.beside = beside;
          EXPECT_EQ(generate(engine, prompt, options).ids, expected.ids)
              << threads << " threads, chunk " << chunk << ", beside " << beside;
        }
      }
    }
  }
}

TEST_F(EngineTest, TheAnswerDependsOnNoInstructionSet) {
  GenerateOptions options{.sampler = kWarm, .max_tokens = 24, .ignore_end = true};
  std::vector<int32_t> expected;
  for (auto isa :
       {kernels::Isa::kRef, kernels::Isa::kAvx2, kernels::Isa::kAvxVnni, kernels::Isa::kAvx512}) {
    if (!kernels::isa_supported(isa)) continue;
    setenv("LANTERN_ISA", std::string(kernels::isa_name(isa)).c_str(), 1);
    Engine engine = load({.threads = 1});
    unsetenv("LANTERN_ISA");
    const auto result = generate(engine, "the the", options);
    if (expected.empty()) expected = result.ids;
    EXPECT_EQ(result.ids, expected) << kernels::isa_name(isa);
  }
}

TEST_F(EngineTest, LogitsHaveEqualBitsHoweverTheyAreAskedFor) {
  Engine engine = load({.threads = 2});
  const auto ids = engine.text().encode_raw(long_text(180));
  auto logits = [&](const LogitsOptions& options) {
    std::vector<float> rows;
    auto status = engine.logits(ids, options, [&](int64_t first, int64_t n, auto slice) -> Status {
      EXPECT_EQ(static_cast<size_t>(first * TinyModel::kVocab), rows.size());
      EXPECT_EQ(static_cast<size_t>(n * TinyModel::kVocab), slice.size());
      rows.insert(rows.end(), slice.begin(), slice.end());
      return {};
    });
    EXPECT_TRUE(status.ok()) << status.error().message;
    return rows;
  };
  const auto expected = logits({});
  ASSERT_EQ(expected.size(), ids.size() * TinyModel::kVocab);
  for (const auto& options : {LogitsOptions{.chunk = 1}, LogitsOptions{.chunk = 50, .beside = 2}}) {
    const auto rows = logits(options);
    ASSERT_EQ(rows.size(), expected.size());
    EXPECT_EQ(std::memcmp(rows.data(), expected.data(), rows.size() * sizeof(float)), 0);
  }
  auto refused = engine.logits(
      ids, {}, [](int64_t, int64_t, auto) -> Status { return make_error(ErrorCode::kIo, "full"); });
  EXPECT_EQ(refused.error().code, ErrorCode::kIo);
}

TEST_F(EngineTest, PagesThatASlidingWindowHasPassedAreNotMissed) {
  const TinyModel model{.context = 2048, .window = 50};
  Engine engine = load({.threads = 2}, model);
  ASSERT_EQ(engine.info().model.layers[0].window, 50);
  GenerateOptions options{.sampler = kWarm, .max_tokens = 20, .ignore_end = true};
  const std::string prompt = long_text(1400);
  const auto expected = generate(engine, prompt, options);
  for (int64_t chunk : {13, 200}) {
    options.chunk = chunk;
    EXPECT_EQ(generate(engine, prompt, options).ids, expected.ids) << chunk;
  }
}

TEST_F(EngineTest, EndsAtAnEndIdWithoutShowingIt) {
  Engine engine = load();
  const auto free =
      generate(engine, "the", {.sampler = kWarm, .max_tokens = 30, .ignore_end = true});
  // The same weights; what was drawn as the eleventh id is now an end id.
  const int32_t eleventh = free.ids[10];
  const auto first = std::find(free.ids.begin(), free.ids.end(), eleventh) - free.ids.begin();
  Engine ending = load({}, {.chat_template = "", .eos = eleventh});
  const auto ended = generate(ending, "the", {.sampler = kWarm, .max_tokens = 30});
  EXPECT_EQ(ended.finish, FinishReason::kStop);
  ASSERT_EQ(ended.ids.size(), static_cast<size_t>(first) + 1);
  EXPECT_EQ(ended.text,
            ending.text().tokenizer().decode(std::span(ended.ids).first(ended.ids.size() - 1)));
}

TEST_F(EngineTest, StreamsWholeCharactersAndNoPartOfAStopString) {
  Engine engine = load();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    GenerateOptions options{.sampler = kWarm, .max_tokens = 60, .ignore_end = true};
    options.sampler.seed = seed;
    const std::string whole = generate(engine, "caf", options).text;
    EXPECT_TRUE(base::is_utf8(whole));

    // Three characters from the middle, which several tokens make.
    size_t at = whole.size() / 2;
    while ((static_cast<unsigned char>(whole[at]) & 0xC0) == 0x80) ++at;
    size_t end = at;
    for (int i = 0; i < 3; ++i)
      end += base::utf8_sequence_length(std::string_view(whole).substr(end));
    const std::string stop = whole.substr(at, end - at);
    const std::string expected = whole.substr(0, whole.find(stop));

    std::string shown;
    options.stop = {stop, "never to be found"};
    options.on_text = [&](std::string_view piece) {
      EXPECT_TRUE(base::is_utf8(piece));
      shown += piece;
      EXPECT_TRUE(expected.starts_with(shown));
    };
    const auto stopped = generate(engine, "caf", options);
    EXPECT_EQ(stopped.finish, FinishReason::kStopString);
    EXPECT_EQ(stopped.stop_string, stop);
    EXPECT_EQ(stopped.text, expected);
    EXPECT_EQ(shown, expected);
  }
}

TEST_F(EngineTest, ClosesReasoningThatHasHadItsTokens) {
  Engine engine = load();
  GenerateOptions options{.sampler = kWarm, .max_tokens = 40, .ignore_end = true};
  const auto free = generate(engine, "the", options);
  // Ids that this answer does not have by itself.
  std::vector<int32_t> tag;
  for (int32_t id = 10; tag.size() < 2; ++id)
    if (std::find(free.ids.begin(), free.ids.end(), id) == free.ids.end()) tag.push_back(id);
  const auto piece = [&](int32_t id) { return engine.text().tokenizer().piece(id); };
  const std::string close = std::string(piece(tag[0])) + std::string(piece(tag[1]));
  options.reasoning = {.tokens_max = 6, .open = "", .close = close, .ids = tag, .is_open = true};
  const auto limited = generate(engine, "the", options);
  EXPECT_TRUE(std::equal(free.ids.begin(), free.ids.begin() + 6, limited.ids.begin()));
  EXPECT_EQ(limited.ids[6], tag[0]);
  EXPECT_EQ(limited.ids[7], tag[1]);
  ASSERT_EQ(limited.ids.size(), 40u);
  int64_t n_closed = 0;
  for (size_t i = 0; i + 1 < 40; ++i)
    if (limited.ids[i] == tag[0] && limited.ids[i + 1] == tag[1]) ++n_closed;
  EXPECT_EQ(n_closed, 1);

  // Where reasoning does not begin nothing is closed; it may begin with what is drawn.
  options.reasoning->is_open = false;
  options.reasoning->open = close;
  EXPECT_EQ(generate(engine, "the", options).ids, free.ids);
  options.reasoning->open = piece(free.ids[0]);
  const auto opened = generate(engine, "the", options);
  EXPECT_TRUE(std::equal(free.ids.begin(), free.ids.begin() + 7, opened.ids.begin()));
  EXPECT_EQ(opened.ids[7], tag[0]);
}

TEST_F(EngineTest, CancelsBetweenTokensAndKeepsWhatIsThere) {
  Engine engine = load();
  std::stop_source stop;
  GenerateOptions options{.sampler = kWarm, .ignore_end = true, .cancel = stop.get_token()};
  int pieces = 0;
  options.on_text = [&](std::string_view) {
    if (++pieces == 5) stop.request_stop();
  };
  const auto result = generate(engine, "the", options);
  EXPECT_EQ(result.finish, FinishReason::kCancelled);
  EXPECT_GE(result.ids.size(), 5u);
  EXPECT_LT(result.ids.size(), 40u);
  EXPECT_FALSE(result.text.empty());
  const auto at_once = generate(engine, "the", options);
  EXPECT_EQ(at_once.finish, FinishReason::kCancelled);
  EXPECT_TRUE(at_once.ids.empty());
}

TEST_F(EngineTest, NeverCutsAPromptAndSaysTheNumbers) {
  Engine engine = load({.context = 20});
  EXPECT_EQ(engine.info().context, 20);
  auto run = [&](size_t n, int64_t max_tokens) {
    Prompt prompt;
    prompt.ids.assign(n, 5);
    return engine.generate(prompt, {.max_tokens = max_tokens, .ignore_end = true});
  };
  EXPECT_EQ(run(0, 1).error().message, "the prompt is empty");
  auto too_long = run(20, 0);
  ASSERT_FALSE(too_long.ok());
  EXPECT_EQ(too_long.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(too_long.error().message,
            "the prompt has 20 tokens, the context 20, one at least for the answer; shorten it, or "
            "give a longer --context (the model was made for 1024)");
  auto together = run(10, 11);
  ASSERT_FALSE(together.ok());
  EXPECT_TRUE(together.error().message.starts_with(
      "10 tokens of prompt and 11 to generate pass the context of 20; ask for at most 10"));
  auto fitting = run(10, 10);
  ASSERT_TRUE(fitting.ok());
  EXPECT_EQ(fitting->ids.size(), 10u);
  auto open = run(15, 0);
  ASSERT_TRUE(open.ok());
  EXPECT_EQ(open->ids.size(), 5u);
  EXPECT_EQ(open->finish, FinishReason::kLength);
  EXPECT_TRUE(open->context_full);

  Prompt outside;
  outside.ids = {1, 264};
  EXPECT_EQ(engine.generate(outside, {}).error().message,
            "token 264 is outside the vocabulary of 264 tokens");
  EXPECT_FALSE(run(2, -1).ok());
  Prompt fine;
  fine.ids = {1};
  EXPECT_FALSE(engine.generate(fine, {.chunk = -1}).ok());
  EXPECT_FALSE(engine.generate(fine, {.beside = 257}).ok());
  EXPECT_FALSE(engine.generate(fine, {.sampler = {.top_p = 2}}).ok());
}

TEST_F(EngineTest, AModelWithoutTemplateCompletesRawAndSaysSo) {
  Engine engine = load({}, {.chat_template = ""});
  auto prompt = engine.user_prompt("the end", "Be brief.");
  ASSERT_TRUE(prompt.ok());
  EXPECT_EQ(prompt->text, "Be brief.\n\nthe end");
  ASSERT_EQ(prompt->notices.size(), 1u);
  EXPECT_EQ(prompt->ids, engine.text().encode_raw("Be brief.\n\nthe end"));
  Engine chat = load();
  auto with = chat.user_prompt("hi", "sys");
  ASSERT_TRUE(with.ok());
  EXPECT_TRUE(with->notices.empty());
  EXPECT_EQ(with->text,
            "<s><|im_start|>system\nsys<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST_F(EngineTest, AConversationKeepsItsCacheAndItsIds) {
  Engine engine = load();
  const GenerateOptions options{.sampler = kWarm, .max_tokens = 25};
  Conversation conversation(engine);
  conversation.set_system("Be brief.");
  auto first = conversation.say("the café?", options);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->cached_tokens, 0);
  auto second = conversation.say("and <|im_end|> now?", options);
  ASSERT_TRUE(second.ok()) << second.error().message;

  // The same ids from nothing: what was drawn is taken as drawn, the rest is tokenized.
  auto prompt = engine.user_prompt("the café?", "Be brief.");
  ASSERT_TRUE(prompt.ok());
  for (int32_t id : first->ids)
    if (!engine.text().is_end(id)) prompt->ids.push_back(id);
  const size_t kept = prompt->ids.size();
  const std::vector<text::Span> rest = {
      {"<|im_end|>\n<|im_start|>user\n", text::SpanKind::kLiteral},
      {"and <|im_end|> now?", text::SpanKind::kContent},
      {"<|im_end|>\n<|im_start|>assistant\n", text::SpanKind::kLiteral}};
  for (int32_t id : engine.text().tokenizer().encode(rest)) prompt->ids.push_back(id);
  auto fresh = engine.generate(*prompt, options);
  ASSERT_TRUE(fresh.ok());
  EXPECT_EQ(second->ids, fresh->ids);
  EXPECT_EQ(second->prompt_tokens, fresh->prompt_tokens);
  EXPECT_GE(second->cached_tokens, static_cast<int64_t>(kept) - 1);

  const auto messages = conversation.messages();
  ASSERT_EQ(messages.size(), 5u);
  EXPECT_EQ(messages[0]["role"], "system");
  EXPECT_EQ(messages[2]["content"], first->text);
  EXPECT_GT(conversation.tokens(), 0);
  conversation.clear();
  EXPECT_EQ(conversation.messages().size(), 1u);
  EXPECT_EQ(conversation.tokens(), 0);
  auto again = conversation.say("the café?", options);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->ids, first->ids);
}

TEST_F(EngineTest, AFailedTurnIsTakenBack) {
  Engine engine = load({.context = 64});
  Conversation conversation(engine);
  auto failed = conversation.say(long_text(200), {.sampler = kWarm});
  EXPECT_EQ(failed.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(conversation.messages().empty());
  std::stop_source stopped;
  stopped.request_stop();
  auto cancelled = conversation.say("hi", {.sampler = kWarm, .cancel = stopped.get_token()});
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->finish, FinishReason::kCancelled);
  EXPECT_TRUE(conversation.messages().empty());
  EXPECT_TRUE(conversation.say("hi", {.sampler = kWarm, .max_tokens = 4}).ok());
  EXPECT_EQ(conversation.messages().size(), 2u);
}

TEST_F(EngineTest, SaysWhatDoesNotFitMemory) {
  auto too_large = load_for_test(TinyModel{}.write(folder_), {.memory = 1'000'000});
  ASSERT_FALSE(too_large.ok());
  EXPECT_EQ(too_large.error().code, ErrorCode::kExhausted);
  EXPECT_TRUE(too_large.error().message.starts_with("test: the model needs "))
      << too_large.error().message;
  EXPECT_NE(too_large.error().message.find("lantern fit"), std::string::npos);

  // 128 bytes a position and layer: room for a part of the context that the model was made for.
  const TinyModel vast{.context = 1 << 20};
  Engine engine = load({.memory = 130'000'000}, vast);
  EXPECT_LT(engine.info().context, 1 << 20);
  EXPECT_GE(engine.info().context, 512);
  EXPECT_EQ(engine.info().context % kernels::kKvPagePositions, 0);
  ASSERT_EQ(engine.info().notices.size(), 1u);
  EXPECT_NE(engine.info().notices[0].find("does not fit"), std::string::npos);

  auto wanted = load_for_test(vast.write(folder_), {.context = 1 << 20, .memory = 130'000'000});
  ASSERT_FALSE(wanted.ok());
  EXPECT_EQ(wanted.error().code, ErrorCode::kExhausted);
}

TEST_F(EngineTest, LoadingCanBeCancelled) {
  auto cancelled = load_for_test(TinyModel{}.write(folder_),
                                 {.progress = [](uint64_t, uint64_t) { return false; }});
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(load_for_test(TinyModel{}.write(folder_), {.threads = -1}).ok());
}

TEST_F(EngineTest, BenchmarksWhatItIsAskedTo) {
  Engine engine = load();
  auto result =
      Benchmark::run(engine, {.prompt = 40, .generate = 8, .depth = 30, .repetitions = 3});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->prefill.samples.size(), 3u);
  EXPECT_EQ(result->decode.samples.size(), 3u);
  EXPECT_GT(result->decode.median, 0);
  EXPECT_GE(result->decode.most, result->decode.least);
  EXPECT_GT(result->peak_memory_bytes, 0u);
  EXPECT_FALSE(Benchmark::run(engine, {.prompt = 2000}).ok());
  EXPECT_FALSE(Benchmark::run(engine, {.prompt = 0, .generate = 0}).ok());
  const Rate rate = make_rate({4, 1, 3, 2});
  EXPECT_EQ(rate.median, 2.5);
  EXPECT_EQ(rate.spread(), 3 / 2.5);
}

TEST_F(EngineTest, CostsAreCountedFromTheHeader) {
  auto checkpoint = open_for_test(TinyModel{}.write(folder_));
  ASSERT_TRUE(checkpoint.ok());
  auto cost = model_cost(**checkpoint);
  ASSERT_TRUE(cost.ok()) << cost.error().message;
  using T = TinyModel;
  const int64_t layer =
      T::kEmbd * (2 * T::kHeads + 2 * T::kKvHeads) * T::kHeadDim + 3 * T::kEmbd * T::kFf;
  const int64_t head = T::kVocab * T::kEmbd;
  const int64_t norms = (2 * T::kLayers + 1) * T::kEmbd;
  EXPECT_EQ(cost->n_parameters, static_cast<uint64_t>(2 * head + T::kLayers * layer + norms));
  EXPECT_EQ(cost->weight_bytes, 4 * cost->n_parameters);
  EXPECT_EQ(cost->bytes_per_token,
            static_cast<uint64_t>(4 * (head + T::kLayers * layer + norms + T::kEmbd)));
  EXPECT_EQ(cost->prefill_operations_per_token, static_cast<double>(2 * T::kLayers * layer));
  EXPECT_EQ(cost->decode_operations_per_token,
            static_cast<double>(2 * (head + T::kLayers * layer)));
  auto kv = cost->kv_bytes(KvType::kF16, 128);
  ASSERT_TRUE(kv.ok());
  EXPECT_EQ(*kv, static_cast<uint64_t>(128 * T::kLayers * T::kKvHeads * T::kHeadDim * 2 * 2));
  auto speed = expected_speed(
      *cost, {.memory_bytes_per_second = 1e9, .operations_per_second = 1e12}, KvType::kF16, 0);
  ASSERT_TRUE(speed.ok());
  EXPECT_NEAR(speed->decode, 1e9 / static_cast<double>(cost->bytes_per_token), 1e-6);
}

TEST(MeasureMachine, GivesRatesInReason) {
  auto speed = measure_machine({.threads = 1, .type = quant::DType::kQ8_0});
  ASSERT_TRUE(speed.ok()) << speed.error().message;
  EXPECT_GT(speed->memory_bytes_per_second, 1e8);
  EXPECT_GT(speed->operations_per_second, 1e7);
}

}  // namespace
}  // namespace lantern::engine
