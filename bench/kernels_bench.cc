// Matrix products: TOPS of prefill (512 tokens) and GB/s of decode (1 token) by type, instruction
// set and threads, beside what this machine gives at the same time: a loop of VNNI instructions and
// a stream over memory.
//
//   kernels_bench --benchmark_filter='Prefill/Q4_0' --benchmark_repetitions=5
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/huge_buffer.h"
#include "kernels/isa.h"
#include "kernels/matrix.h"
#include "quant/dtype.h"
#include "quant/half.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lantern::kernels {
namespace {

Status fill_rows(void* context, int64_t, int64_t n, std::byte* out) {
  const auto row_bytes = *static_cast<int64_t*>(context);
  // Random codes; scales come out as some half, perhaps not finite: the time is the same.
  std::mt19937_64 random(7);
  for (int64_t i = 0; i + 8 <= n * row_bytes; i += 8) {
    const uint64_t bits = random() & 0x3f3f3f3f3f3f3f3full;
    std::memcpy(out + i, &bits, 8);
  }
  return {};
}

Matrix make_matrix(const Context& context, quant::DType type, int64_t rows, int64_t cols) {
  auto row_bytes = static_cast<int64_t>(*quant::row_bytes(type, static_cast<uint64_t>(cols)));
  return std::move(Matrix::pack(context, {type, rows, cols}, fill_rows, &row_bytes)).value();
}

void run(benchmark::State& state, quant::DType type, Isa isa, int n_threads, int64_t n_tokens,
         int64_t rows, int64_t cols, int n_matrices) {
  base::ThreadPool pool(n_threads);
  const Context context{isa, &pool};
  std::vector<Matrix> weights;
  for (int i = 0; i < n_matrices; ++i) weights.push_back(make_matrix(context, type, rows, cols));
  std::vector<float> x(static_cast<size_t>(n_tokens * cols));
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (float& value : x) value = normal(random);
  std::vector<float> y(static_cast<size_t>(n_tokens * rows));
  Activations activations;
  for (auto _ : state) {
    for (const Matrix& w : weights) {
      activations.assign(context, x.data(), n_tokens, cols, cols,
                         wants_quantized_activations(type));
      const Product product{&w, y.data(), rows};
      matmul(context, activations, {&product, 1});
    }
    benchmark::DoNotOptimize(y.data());
  }
  const double products = 2.0 * static_cast<double>(rows * cols * n_tokens) * n_matrices;
  const double bytes = static_cast<double>(weights[0].bytes()) * n_matrices;
  using benchmark::Counter;
  state.counters["TOPS"] = Counter(products * 1e-12, Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] = Counter(bytes * 1e-9, Counter::kIsIterationInvariantRate);
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) int64_t first_lane(__m512i v) {
  alignas(64) int64_t lanes[8];
  _mm512_store_si512(lanes, v);
  return lanes[0];
}

__attribute__((target("avx512f,avx512vnni"))) int64_t vnni_loop(int64_t n) {
  __m512i sums[12];
  for (auto& sum : sums) sum = _mm512_setzero_si512();
  const __m512i a = _mm512_set1_epi32(static_cast<int>(n));
  for (int64_t i = 0; i < n; ++i)
    for (auto& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, a);
  for (int i = 1; i < 12; ++i) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
  return first_lane(sums[0]);
}

// 12 sums, 128 operations each: what no kernel can pass.
void vnni_peak(benchmark::State& state, int n_threads) {
  base::ThreadPool pool(n_threads);
  constexpr int64_t kRounds = 1000000;
  for (auto _ : state) pool.run([](int) { benchmark::DoNotOptimize(vnni_loop(kRounds)); });
  state.counters["TOPS"] = benchmark::Counter(12.0 * 128 * kRounds * n_threads * 1e-12,
                                              benchmark::Counter::kIsIterationInvariantRate);
}

__attribute__((target("avx512f"))) int64_t read_all(const std::byte* p, int64_t bytes) {
  __m512i sum = _mm512_setzero_si512();
  for (int64_t i = 0; i < bytes; i += 256) {
    sum = _mm512_xor_si512(sum, _mm512_load_si512(p + i));
    sum = _mm512_xor_si512(sum, _mm512_load_si512(p + i + 64));
    sum = _mm512_xor_si512(sum, _mm512_load_si512(p + i + 128));
    sum = _mm512_xor_si512(sum, _mm512_load_si512(p + i + 192));
  }
  return first_lane(sum);
}

void memory_peak(benchmark::State& state, int n_threads) {
  base::ThreadPool pool(n_threads);
  constexpr int64_t kBytes = int64_t{1} << 30;
  HugeBuffer buffer;
  if (!buffer.allocate(kBytes).ok()) return state.SkipWithError("no memory");
  std::memset(buffer.data(), 1, kBytes);
  for (auto _ : state)
    pool.parallel_for(kBytes >> 20, 1, [&](int64_t begin, int64_t end) {
      benchmark::DoNotOptimize(read_all(buffer.data() + (begin << 20), (end - begin) << 20));
    });
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(kBytes) * 1e-9,
                                              benchmark::Counter::kIsIterationInvariantRate);
}
#endif

void register_all() {
  using benchmark::RegisterBenchmark;
  for (int n_threads : {1, 2}) {
    const std::string threads = "/" + std::to_string(n_threads);
#if defined(__x86_64__)
    if (isa_supported(Isa::kAvx512)) {
      RegisterBenchmark(("Peak/vnni" + threads).c_str(), vnni_peak, n_threads)->UseRealTime();
      RegisterBenchmark(("Peak/memory" + threads).c_str(), memory_peak, n_threads)->UseRealTime();
    }
#endif
    for (const quant::Format* format : quant::all_formats()) {
      for (Isa isa : {Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512}) {
        if (!isa_supported(isa)) continue;
        const quant::DType type = format->type;
        const std::string name =
            std::string(format->name) + "/" + std::string(isa_name(isa)) + threads;
        RegisterBenchmark(("Prefill/" + name).c_str(), [=](benchmark::State& state) {
          run(state, type, isa, n_threads, 512, 2048, 2048, 1);
        })->UseRealTime();
        // Past every cache: about 0.5 GB of Q4_0.
        RegisterBenchmark(("Decode/" + name).c_str(), [=](benchmark::State& state) {
          run(state, type, isa, n_threads, 1, 8192, 2048, format->block_size == 1 ? 12 : 48);
        })->UseRealTime();
        // SmolLM2's shapes, in the last cache.
        RegisterBenchmark(("Small/" + name).c_str(), [=](benchmark::State& state) {
          run(state, type, isa, n_threads, 1, 1536, format->block_size == 256 ? 512 : 576, 60);
        })->UseRealTime();
      }
    }
  }
}

}  // namespace
}  // namespace lantern::kernels

int main(int argc, char** argv) {
  lantern::kernels::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
