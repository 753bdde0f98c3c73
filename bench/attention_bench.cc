// Speed of attention over the paged cache and of the small operations beside it. Work is counted in
// multiply-adds of q k and p v, two operations each, so "flops" compares with the peak of the
// processor's float32 multiply-adds: 64 a cycle with AVX-512, 32 with AVX2. One thread, CPU time.
#include <benchmark/benchmark.h>

#include <memory>
#include <random>
#include <vector>

#include "kernels/ops.h"

namespace {

using namespace lantern;
using namespace lantern::kernels;

struct Heads {
  int64_t n_heads, n_kv_heads, dim;
};
constexpr Heads kShapes[] = {{32, 8, 64}, {9, 3, 64}, {32, 8, 128}, {8, 4, 256}};

/// `n_tokens` queries after `depth` cached positions.
class Setup {
 public:
  Setup(KvType type, Heads heads, int64_t depth, int64_t n_tokens)
      : heads_(heads), depth_(depth), n_tokens_(n_tokens) {
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    int64_t end = depth + n_tokens;
    q_.resize(static_cast<size_t>(n_tokens * heads.n_heads * heads.dim));
    out_.resize(q_.size());
    for (float& x : q_) x = normal(generator);
    uint64_t bytes = *kv_page_bytes(type, heads.n_kv_heads, heads.dim);
    for (int64_t first = 0; first < end; first += kKvPagePositions) {
      for (auto* pages : {&key_pages_, &value_pages_}) {
        memory_.emplace_back(bytes);
        pages->push_back(memory_.back().data());
      }
    }
    view_ = {.type = type,
             .n_kv_heads = heads.n_kv_heads,
             .head_dim = heads.dim,
             .value_dim = heads.dim,
             .key_pages = key_pages_,
             .value_pages = value_pages_};
    int64_t width = heads.n_kv_heads * heads.dim;
    std::vector<float> k(static_cast<size_t>(end * width));
    for (float& x : k) x = normal(generator);
    kv_write({.isa = best_isa()}, view_, 0, end, k.data(), width, k.data(), width);
  }

  void run(const Context& context) {
    int64_t width = heads_.n_heads * heads_.dim;
    AttentionSequence sequence{.kv = view_,
                               .first_position = depth_,
                               .n_tokens = n_tokens_,
                               .q = q_.data(),
                               .out = out_.data()};
    attention(context,
              {.n_heads = heads_.n_heads, .q_stride = width, .out_stride = width, .scale = 0.125f},
              {&sequence, 1});
  }
  [[nodiscard]] double flops() const {
    double pairs = static_cast<double>(n_tokens_) * static_cast<double>(depth_) +
                   static_cast<double>(n_tokens_ * (n_tokens_ + 1)) / 2;
    return pairs * static_cast<double>(4 * heads_.n_heads * heads_.dim);
  }
  [[nodiscard]] double bytes() const {
    double bytes = 0;
    for (const auto& page : memory_) bytes += static_cast<double>(page.size());
    return bytes;
  }

 private:
  Heads heads_;
  int64_t depth_;
  int64_t n_tokens_;
  std::vector<float> q_, out_;
  std::vector<std::vector<std::byte>> memory_;
  std::vector<std::byte*> key_pages_, value_pages_;
  KvView view_;
};

void attend(benchmark::State& state, Isa isa, KvType type, Heads heads, int64_t depth,
            int64_t n_tokens) {
  if (!isa_supported(isa)) return state.SkipWithError("not on this processor");
  Setup setup(type, heads, depth, n_tokens);
  base::ThreadPool pool(1);
  for (auto _ : state) setup.run({.isa = isa, .pool = &pool});
  auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["flops"] = benchmark::Counter(setup.flops(), rate);
  state.counters["bytes"] = benchmark::Counter(setup.bytes(), rate);
}

void small_operation(benchmark::State& state, Isa isa, int64_t n, int which) {
  if (!isa_supported(isa)) return state.SkipWithError("not on this processor");
  auto size = static_cast<size_t>(n);
  std::vector<float> x(size, 0.5f), y(size, 0.25f);
  base::ThreadPool pool(1);
  Context context{.isa = isa, .pool = &pool};
  for (auto _ : state) {
    switch (which) {
      case 0:
        rms_norm(context, {.n = 1, .k = n, .x_stride = n, .y_stride = n}, x.data(), y.data(), 1e-5f,
                 x.data());
        break;
      case 1:
        gated_activation(context, Activation::kSilu, n, y.data(), x.data());
        break;
      case 2:
        gated_activation(context, Activation::kGeluTanh, n, y.data(), x.data());
        break;
      case 3:
        softmax(context, 1, n, n, x.data());
        break;
      default:
        add(context, n, y.data(), x.data());
        break;
    }
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * n);
}

void register_all() {
  const char* types[] = {"f32", "f16", "q8_0"};
  for (Isa isa : {Isa::kAvx512, Isa::kAvx2}) {
    std::string name(isa_name(isa));
    for (Heads h : kShapes)
      for (KvType type : {KvType::kF16, KvType::kQ8_0, KvType::kF32})
        for (auto [depth, tokens] :
             {std::pair<int64_t, int64_t>{0, 512}, {8192, 64}, {8192, 1}, {127, 1}})
          benchmark::RegisterBenchmark(fmt::format("attention/{}/{}/{}of{}x{}/depth{}/tokens{}",
                                                   name, types[static_cast<int>(type)], h.n_heads,
                                                   h.n_kv_heads, h.dim, depth, tokens)
                                           .c_str(),
                                       attend, isa, type, h, depth, tokens);
    const char* operations[] = {"rms_norm", "silu", "gelu_tanh", "softmax", "add"};
    for (int which = 0; which < 5; ++which)
      for (int64_t n : {576, 8192})
        benchmark::RegisterBenchmark(fmt::format("{}/{}/{}", operations[which], name, n).c_str(),
                                     small_operation, isa, n, which);
  }
}

}  // namespace

int main(int argc, char** argv) {
  register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
