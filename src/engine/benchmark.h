// `lantern bench`: how fast a loaded model reads a prompt and generates, on this machine now.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace lantern::engine {

struct BenchmarkOptions {
  int64_t prompt = 512;    // ids in a prefill; 0: none
  int64_t generate = 128;  // ids decoded one by one; 0: none
  int64_t depth = 0;       // ids already in the cache before either
  int repetitions = 5;     // after one that does not count
  std::stop_token cancel = {};
  /// Called after each repetition.
  std::function<void(int done, int total)> progress = {};
};

/// Tokens per second over the repetitions.
struct Rate {
  double median = 0;
  double least = 0;
  double most = 0;
  std::vector<double> samples;  // in the order measured
  /// (most - least) / median.
  [[nodiscard]] double spread() const { return median > 0 ? (most - least) / median : 0; }
};
/// `samples` summed up; all zeros for none.
Rate make_rate(std::vector<double> samples);

struct BenchmarkResult {
  Rate prefill;
  Rate decode;
  double load_seconds = 0;
  uint64_t weight_bytes = 0;
  uint64_t kv_bytes = 0;           // of the longest sequence run
  uint64_t peak_memory_bytes = 0;  // VmHWM of the process; 0: not known
};

class Benchmark {
 public:
  /// Ids are pseudo-random, sampling is not part of it. kInvalidArgument where the numbers are
  /// negative or pass the context, kCancelled, and the engine's errors.
  static Result<BenchmarkResult> run(Engine& engine, const BenchmarkOptions& options);
};

}  // namespace lantern::engine
