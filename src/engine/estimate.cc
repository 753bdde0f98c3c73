#include "engine/estimate.h"

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <utility>

#include "arch/spec.h"
#include "base/memory.h"
#include "base/thread_pool.h"
#include "engine/kv_cache.h"
#include "engine/memory_plan.h"

namespace lantern::engine {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Of each: at least the first, and on until the best has stood for twice as long as it took.
constexpr double kMeasureSeconds = 0.15, kMeasureSecondsMax = 1.0;
constexpr double kSwitchesPerSecondMax = 40;
constexpr double kProcessorShareMin = 0.7;

// Larger than the last-level caches of most machines.
constexpr uint64_t kBufferBytes = 256u << 20;

// A matrix as wide as a model of a billion parameters has, a prompt's chunk of tokens.
constexpr int64_t kRows = 2048, kCols = 2048, kTokens = 256;

uint64_t read_all(base::ThreadPool& pool, std::span<const uint64_t> words) {
  std::atomic<uint64_t> folded{0};  // so that the reads are not left out
  constexpr int64_t kGrain = 1 << 17;
  pool.parallel_for(static_cast<int64_t>(words.size()), kGrain, [&](int64_t begin, int64_t end) {
    uint64_t a = 0, b = 0, c = 0, d = 0;
    auto i = static_cast<size_t>(begin);
    for (; i + 4 <= static_cast<size_t>(end); i += 4) {
      a ^= words[i];
      b ^= words[i + 1];
      c ^= words[i + 2];
      d ^= words[i + 3];
    }
    folded.fetch_xor(a ^ b ^ c ^ d, std::memory_order_relaxed);
  });
  return folded.load();
}

struct Passes {
  double best = 0;  // per second
  bool disturbed = false;
};

/// How often other programs took a processor from this one.
int64_t involuntary_switches() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

/// That all threads of this process had, in seconds.
double processor_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

/// Repeats `pass`, which does `work`, and keeps the best. Another program can only make a pass
/// slower, so the best of many is what the machine can do.
template <typename Pass>
Passes best_pass(double work, int n_threads, Pass pass) {
  std::vector<double> rates;
  Passes passes;
  const auto begin = Clock::now();
  const int64_t switches = involuntary_switches();
  const double processor = processor_seconds();
  double improved = 0;  // when the best last got better by more than a fiftieth
  for (double now = 0; now < kMeasureSeconds || (now < kMeasureSecondsMax && now < 3 * improved);
       now = seconds_since(begin)) {
    const auto start = Clock::now();
    pass();
    rates.push_back(work / seconds_since(start));
    if (rates.back() > 1.02 * passes.best) improved = seconds_since(begin);
    passes.best = std::max(passes.best, rates.back());
  }
  const auto middle = rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2);
  std::nth_element(rates.begin(), middle, rates.end());
  // Alone on the machine a process loses its processor a few times a second.
  const double lost = static_cast<double>(involuntary_switches() - switches) / seconds_since(begin);
  // Threads that wait for one another spin: alone they have nearly all of their processors' time.
  const double had = (processor_seconds() - processor) / (seconds_since(begin) * n_threads);
  passes.disturbed =
      *middle < 0.75 * passes.best || lost > kSwitchesPerSecondMax || had < kProcessorShareMin;
  return passes;
}

Result<Passes> measure_memory(base::ThreadPool& pool) {
  const uint64_t bytes = std::min(kBufferBytes, base::available_memory() / 4) / 64 * 64;
  std::unique_ptr<uint64_t[]> words(new (std::nothrow) uint64_t[bytes / 8]);
  if (words == nullptr || bytes == 0)
    return make_error(ErrorCode::kExhausted, "no memory for a buffer of {} bytes to measure with",
                      bytes);
  pool.parallel_for(static_cast<int64_t>(bytes / 8), 1 << 17, [&](int64_t begin, int64_t end) {
    std::fill(&words[static_cast<size_t>(begin)], words.get() + end, uint64_t{0x5555});
  });
  return best_pass(static_cast<double>(bytes), pool.n_threads(), [&] {
    read_all(pool, {words.get(), bytes / 8});
  });
}

Status zero_rows(void* context, int64_t, int64_t n, std::byte* out) {
  std::memset(out, 0, *static_cast<const uint64_t*>(context) * static_cast<uint64_t>(n));
  return {};
}

Result<Passes> measure_products(const kernels::Context& context, quant::DType type) {
  LANTERN_ASSIGN(uint64_t row_bytes, quant::row_bytes(type, kCols));
  LANTERN_ASSIGN(auto matrix,
                 kernels::Matrix::pack(context, {.type = type, .rows = kRows, .cols = kCols},
                                       zero_rows, &row_bytes));
  std::vector<float> x(kTokens * kCols), y(kTokens * kRows);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 251) - 125;
  kernels::Activations activations;
  const kernels::Product product = {.weight = &matrix, .y = y.data(), .y_stride = kRows};
  return best_pass(2.0 * kRows * kCols * kTokens, context.pool->n_threads(), [&] {
    activations.assign(context, x.data(), kTokens, kCols, kCols,
                       kernels::wants_quantized_activations(type));
    kernels::matmul(context, activations, {&product, 1});
  });
}

void add_tensor(const format::Tensor& tensor, const arch::HyperParameters& hyper, bool head_is_tied,
                ModelCost& cost) {
  double elements = 1;
  for (int64_t n : tensor.shape) elements *= static_cast<double>(n);
  cost.n_parameters += static_cast<uint64_t>(elements);
  cost.weight_bytes += tensor.bytes;

  const bool is_embedding = tensor.name == "token_embd.weight";
  const bool is_head = tensor.name == "output.weight" || (is_embedding && head_is_tied);
  if (is_embedding && !head_is_tied) {
    const auto rows = static_cast<uint64_t>(std::max<int64_t>(1, tensor.shape[0]));
    cost.bytes_per_token += tensor.bytes / rows;
    return;
  }
  double share = 1;
  if (tensor.shape.size() == 3 && hyper.n_experts > 0)
    share = static_cast<double>(hyper.n_experts_used) / static_cast<double>(hyper.n_experts);
  cost.bytes_per_token += static_cast<uint64_t>(static_cast<double>(tensor.bytes) * share);
  if (tensor.shape.size() < 2) return;
  cost.decode_operations_per_token += 2 * elements * share;
  if (!is_head) cost.prefill_operations_per_token += 2 * elements * share;
}

}  // namespace

Result<uint64_t> ModelCost::kv_bytes(kernels::KvType type, int64_t n) const {
  LANTERN_ASSIGN(auto pool, KvPool::create(layers, {.type = type}));
  return pool.bytes_for(n);
}

Result<uint64_t> ModelCost::memory_bytes(kernels::KvType type, int64_t n) const {
  LANTERN_ASSIGN(uint64_t kv, kv_bytes(type, n));
  return weight_bytes + kv + kScratchBytes;
}

Result<ModelCost> model_cost(const format::Checkpoint& checkpoint) {
  LANTERN_ASSIGN(std::string name, checkpoint.metadata().get_string("general.architecture"));
  LANTERN_ASSIGN(const arch::Spec* spec, arch::find_spec(name));
  LANTERN_ASSIGN(arch::HyperParameters hyper,
                 arch::read_hyper_parameters(*spec, checkpoint.metadata()));
  ModelCost cost;
  cost.architecture = std::move(name);
  cost.n_layers = static_cast<int64_t>(hyper.layers.size());
  cost.n_context_train = hyper.n_context_train;
  cost.is_made_to_embed = hyper.is_encoder || hyper.pooling != arch::Pooling::kNone;
  for (const auto& layer : hyper.layers) {
    cost.layers.push_back({.n_kv_heads = layer.n_kv_heads,
                           .head_dim = hyper.head_dim,
                           .value_dim = hyper.value_dim,
                           .window = layer.window});
    // A product with the key and one with the value for each head.
    cost.operations_per_position +=
        2.0 * static_cast<double>(layer.n_heads * (hyper.head_dim + hyper.value_dim));
  }
  const bool head_is_tied = checkpoint.find("output.weight") == nullptr;
  std::map<quant::DType, uint64_t> bytes_by_type;
  for (const format::Tensor& tensor : checkpoint.tensors()) {
    add_tensor(tensor, hyper, head_is_tied, cost);
    bytes_by_type[tensor.type] += tensor.bytes;
  }
  uint64_t most = 0;
  for (const auto& [type, bytes] : bytes_by_type)
    if (bytes > most) {
      most = bytes;
      cost.main_type = type;
    }
  return cost;
}

Result<MachineSpeed> measure_machine(const MeasureOptions& options) {
  MachineSpeed speed;
  LANTERN_ASSIGN(speed.isa, kernels::isa_from_environment());
  speed.threads = options.threads > 0 ? options.threads : base::usable_physical_cores();
  base::ThreadPool pool(speed.threads);
  LANTERN_ASSIGN(const Passes memory, measure_memory(pool));
  LANTERN_ASSIGN(const Passes products,
                 measure_products({.isa = speed.isa, .pool = &pool}, options.type));
  speed.memory_bytes_per_second = memory.best;
  speed.operations_per_second = products.best;
  speed.disturbed = memory.disturbed || products.disturbed;
  return speed;
}

Result<ExpectedSpeed> expected_speed(const ModelCost& cost, const MachineSpeed& machine,
                                     kernels::KvType kv_type, int64_t depth) {
  LANTERN_ASSIGN(uint64_t kv, cost.kv_bytes(kv_type, depth));
  const double attention = cost.operations_per_position * static_cast<double>(depth);
  const double bytes = static_cast<double>(cost.bytes_per_token + kv);
  ExpectedSpeed speed;
  speed.prefill = machine.operations_per_second / (cost.prefill_operations_per_token + attention);
  speed.decode =
      std::min(machine.memory_bytes_per_second / bytes,
               machine.operations_per_second / (cost.decode_operations_per_token + attention));
  return speed;
}

}  // namespace lantern::engine
