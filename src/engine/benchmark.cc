#include "engine/benchmark.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/memory.h"
#include "engine/engine_impl.h"
#include "engine/philox.h"

namespace lantern::engine {
namespace {

constexpr int kRepetitionsMax = 1000;

Status check(const BenchmarkOptions& o, int64_t context) {
  if (o.prompt < 0 || o.generate < 0 || o.depth < 0 || o.prompt + o.generate == 0)
    return make_error(ErrorCode::kInvalidArgument,
                      "prompt {}, generate {}, depth {}: none may be negative, and one of the "
                      "first two is needed",
                      o.prompt, o.generate, o.depth);
  if (o.repetitions < 1 || o.repetitions > kRepetitionsMax)
    return make_error(ErrorCode::kInvalidArgument, "repetitions: {} is not from 1 to {}",
                      o.repetitions, kRepetitionsMax);
  if (o.depth > context || std::max(o.prompt, o.generate) > context - o.depth)
    return make_error(ErrorCode::kInvalidArgument,
                      "a depth of {} and {} tokens pass the context of {}; give a longer --context",
                      o.depth, std::max(o.prompt, o.generate), context);
  return {};
}

std::vector<int32_t> random_ids(int64_t n, int64_t n_vocab) {
  std::vector<int32_t> ids;
  ids.reserve(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    ids.push_back(static_cast<int32_t>(
        philox4x32_10({static_cast<uint32_t>(i), 0, 0, 0}, {0x62656e63, 0})[0] %
        static_cast<uint64_t>(n_vocab)));
  return ids;
}

// Runs `ids` on `sequence` in pieces of `chunk`; logits of each piece's last id where it is asked
// to, as decoding and the end of a prompt do.
class Runner {
 public:
  Runner(Engine::Impl& engine, const std::stop_token& cancel)
      : engine_(engine),
        cancel_(cancel),
        none_(engine.companions(0)),
        logits_(static_cast<size_t>(engine.info.model.n_vocab)) {}

  Status run(Sequence& sequence, std::span<const int32_t> ids, int64_t chunk) {
    while (!ids.empty()) {
      if (cancel_.stop_requested()) return make_error(ErrorCode::kCancelled, "cancelled");
      const size_t n = std::min(static_cast<size_t>(chunk), ids.size());
      LANTERN_TRY(engine_.stepper().run(
          sequence,
          {.tokens = ids.first(n),
           .planned_length = engine_.length_unlimited,
           .wanted = ids.size() == n || chunk == 1 ? arch::LogitsWanted::kLast
                                                   : arch::LogitsWanted::kNone,
           .logits = logits_.data()},
          none_));
      ids = ids.subspan(n);
    }
    return {};
  }

  /// Tokens per second of `ids` after the first `depth` of `sequence`.
  Result<double> time(Sequence& sequence, std::span<const int32_t> before,
                      std::span<const int32_t> ids, int64_t chunk) {
    if (!sequence.kv.can_resume_at(static_cast<int64_t>(before.size()))) {
      sequence.kv.clear();
      sequence.ids.clear();
    }
    sequence.ids.resize(std::min(sequence.ids.size(), before.size()));
    LANTERN_TRY(run(sequence, before.subspan(sequence.ids.size()), kUsualChunk));
    const auto begin = std::chrono::steady_clock::now();
    LANTERN_TRY(run(sequence, ids, chunk));
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    return static_cast<double>(ids.size()) / elapsed.count();
  }

 private:
  Engine::Impl& engine_;
  const std::stop_token& cancel_;
  Companions none_;
  std::vector<float> logits_;
};

}  // namespace

Rate make_rate(std::vector<double> samples) {
  Rate rate;
  if (samples.empty()) return rate;
  rate.samples = samples;
  std::sort(samples.begin(), samples.end());
  const size_t n = samples.size();
  rate.median = (samples[(n - 1) / 2] + samples[n / 2]) / 2;
  rate.least = samples.front();
  rate.most = samples.back();
  return rate;
}

Result<BenchmarkResult> Benchmark::run(Engine& engine, const BenchmarkOptions& options) {
  Engine::Impl& impl = *engine.impl_;
  LANTERN_TRY(check(options, impl.info.context));
  const int64_t longest = std::max(options.prompt, options.generate);
  const auto ids = random_ids(options.depth + longest, impl.info.model.n_vocab);
  const auto before = std::span(ids).first(static_cast<size_t>(options.depth));
  const auto after = std::span(ids).subspan(before.size());

  Runner runner(impl, options.cancel);
  Sequence sequence(*impl.kv);
  std::vector<double> prefill, decode;
  for (int i = 0; i <= options.repetitions; ++i) {
    if (options.prompt > 0) {
      LANTERN_ASSIGN(double rate,
                     runner.time(sequence, before, after.first(static_cast<size_t>(options.prompt)),
                                 kUsualChunk));
      if (i > 0) prefill.push_back(rate);
    }
    if (options.generate > 0) {
      LANTERN_ASSIGN(
          double rate,
          runner.time(sequence, before, after.first(static_cast<size_t>(options.generate)), 1));
      if (i > 0) decode.push_back(rate);
    }
    if (i > 0 && options.progress) options.progress(i, options.repetitions);
  }

  BenchmarkResult result;
  result.prefill = make_rate(std::move(prefill));
  result.decode = make_rate(std::move(decode));
  result.load_seconds = impl.info.load_seconds;
  result.weight_bytes = impl.info.model.weight_bytes;
  result.kv_bytes = impl.kv->bytes_held();
  result.peak_memory_bytes = base::peak_resident_memory();
  return result;
}

}  // namespace lantern::engine
