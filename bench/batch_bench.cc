// Many streams through the scheduler, beside the same requests one by one.
//
//   batch_bench MODEL.gguf [STREAMS=16] [PROMPT=256] [GENERATE=128] [THREADS=2]
//
// One by one is the first two of them. Prints for both: tokens generated per second, all tokens per
// second, the median and the greatest time to the first token; then what a prompt of 4096 tokens
// that comes while the streams are being written does to the time between their tokens, and a
// second turn's time to its first token. Requests are pseudo-random ids, each its own, so the
// prefix cache has no part but in the last line.
#include <fmt/core.h>

#include <time.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "engine/scheduler.h"
#include "engine/testing.h"

namespace {

using namespace lantern;
using namespace lantern::engine;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Stream {
  std::future<Result<GenerateResult>> result;
  std::vector<Clock::time_point> tokens;
};

struct Load {
  int64_t streams = 16, prompt = 256, generate = 128;
};

Prompt junk(int64_t n, uint64_t which, int64_t n_vocab) {
  Prompt prompt;
  for (int64_t i = 0; i < n; ++i)
    prompt.ids.push_back(static_cast<int32_t>(sampling_uniform(which, 7, static_cast<uint64_t>(i)) *
                                              static_cast<double>(n_vocab)));
  return prompt;
}

std::unique_ptr<Stream> begin(Scheduler& scheduler, Prompt prompt, int64_t generate,
                              std::string scope = {}) {
  auto stream = std::make_unique<Stream>();
  auto promise = std::make_shared<std::promise<Result<GenerateResult>>>();
  stream->result = promise->get_future();
  ServeRequest request;
  request.prompt = std::move(prompt);
  request.options.max_tokens = generate;
  request.options.ignore_end = true;
  request.options.on_token = [raw = stream.get()](const TokenEvent&) {
    raw->tokens.push_back(Clock::now());
  };
  request.cache_scope = std::move(scope);
  request.on_done = [promise](auto result) { promise->set_value(std::move(result)); };
  Status submitted = scheduler.submit(std::move(request));
  if (!submitted.ok()) promise->set_value(std::move(submitted).error());
  return stream;
}

GenerateResult finish(Stream& stream) {
  auto result = stream.result.get();
  if (result.ok()) return std::move(result).value();
  fmt::print(stderr, "{}\n", result.error().message);
  std::exit(1);
}

/// Processor time of all threads; with one thread, where none waits for another, it compares even
/// on a busy machine.
double processor_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

void report(const char* name, double seconds, double processor, const Load& load,
            std::vector<double> first) {
  std::sort(first.begin(), first.end());
  const auto n = static_cast<double>(load.streams);
  fmt::print(
      "{:10} {:7.1f} s  {:7.2f} generated/s  {:7.2f} tokens/s  first token {:6.2f} s median, "
      "{:6.2f} s at most  {:.1f} s of processor\n",
      name, seconds, n * static_cast<double>(load.generate) / seconds,
      n * static_cast<double>(load.generate + load.prompt) / seconds, first[first.size() / 2],
      first.back(), processor);
  std::fflush(stdout);
}

void measure_streams(Scheduler& scheduler, const Load& load, bool together) {
  const auto start = Clock::now();
  const double processor = processor_seconds();
  const int64_t n_vocab = scheduler.info().model.n_vocab;
  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<double> first;
  for (int64_t i = 0; i < load.streams; ++i) {
    streams.push_back(
        begin(scheduler, junk(load.prompt, static_cast<uint64_t>(i), n_vocab), load.generate));
    if (!together) finish(*streams.back());
  }
  for (auto& stream : streams) {
    if (together) finish(*stream);
    first.push_back(std::chrono::duration<double>(stream->tokens.front() - start).count());
  }
  report(together ? "together" : "one by one", seconds_since(start),
         processor_seconds() - processor, load, std::move(first));
}

// The greatest and the median time between two tokens of streams, before and while a long prompt is
// run.
void measure_long_prompt(Scheduler& scheduler) {
  const int64_t n_vocab = scheduler.info().model.n_vocab;
  const int64_t length = std::min<int64_t>(4096, scheduler.info().context - 8);
  std::vector<std::unique_ptr<Stream>> streams;
  for (int64_t i = 0; i < 4; ++i)
    streams.push_back(begin(scheduler, junk(32, 100 + static_cast<uint64_t>(i), n_vocab), 1500));
  while (scheduler.stats().generated_tokens == 0 || scheduler.stats().running < 4)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::this_thread::sleep_for(std::chrono::seconds(4));
  const auto come = Clock::now();
  auto prompt = junk(length, 200, n_vocab);
  auto ids = prompt.ids;
  auto stream = begin(scheduler, std::move(prompt), 2, "bench");
  const auto answer = finish(*stream);
  const auto gone = Clock::now();
  const auto again = Clock::now();
  ids.insert(ids.end(), answer.ids.begin(), answer.ids.end());
  ids.insert(ids.end(), 20, 5);
  Prompt next;
  next.ids = std::move(ids);
  const auto second = finish(*begin(scheduler, std::move(next), 1, "bench"));
  const double second_seconds = seconds_since(again);

  std::vector<double> before, during;
  for (auto& other : streams) {
    finish(*other);
    for (size_t i = 1; i < other->tokens.size(); ++i) {
      const double gap =
          std::chrono::duration<double>(other->tokens[i] - other->tokens[i - 1]).count();
      if (other->tokens[i] < come) before.push_back(gap);
      if (other->tokens[i - 1] > come && other->tokens[i] < gone) during.push_back(gap);
    }
  }
  auto show = [](const char* name, std::vector<double>& gaps) {
    if (gaps.empty()) return;
    std::sort(gaps.begin(), gaps.end());
    fmt::print("{} a long prompt: {:.0f} ms median, {:.0f} ms p95, {:.0f} ms at most\n", name,
               1e3 * gaps[gaps.size() / 2], 1e3 * gaps[gaps.size() * 95 / 100], 1e3 * gaps.back());
  };
  show("between tokens before", before);
  show("between tokens beside", during);
  fmt::print(
      "{} tokens of prompt beside 4 streams: first token after {:.2f} s; the next turn, {} "
      "cached: {:.3f} s\n",
      length, answer.first_token_seconds, second.cached_tokens, second_seconds);
}

int64_t number(std::string_view text, int64_t otherwise) {
  int64_t value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "batch_bench MODEL.gguf [STREAMS] [PROMPT] [GENERATE] [THREADS]\n");
    return 2;
  }
  auto argument = [&](int i, int64_t otherwise) {
    return i < argc ? number(argv[i], otherwise) : otherwise;
  };
  const Load load{
      .streams = argument(2, 16), .prompt = argument(3, 256), .generate = argument(4, 128)};
  auto engine = load_for_test(argv[1], {.threads = static_cast<int>(argument(5, 2))});
  if (!engine.ok()) {
    fmt::print(stderr, "{}\n", engine.error().message);
    return 1;
  }
  auto scheduler = Scheduler::start(std::move(engine).value(), {.sequences_max = load.streams + 2});
  if (!scheduler.ok()) {
    fmt::print(stderr, "{}\n", scheduler.error().message);
    return 1;
  }
  measure_streams(**scheduler, load, true);
  measure_streams(**scheduler, {.streams = 2, .prompt = load.prompt, .generate = load.generate},
                  false);
  measure_long_prompt(**scheduler);
  return 0;
}
