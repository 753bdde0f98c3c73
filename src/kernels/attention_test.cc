// Attention over the paged cache: ref equals a plain softmax in double, every instruction set
// equals ref bit for bit, and neither threads, pieces of a prompt nor the rest of a batch change a
// bit.
#include <cmath>
#include <memory>
#include <string>

#include "base/thread_pool.h"
#include "kernels/ops.h"
#include "kernels/ops_test_support.h"

namespace lantern::kernels {
namespace {

constexpr uint32_t kSeed = 11;

struct Config {
  KvType type = KvType::kF16;
  int64_t n_heads = 4;
  int64_t n_kv_heads = 2;
  int64_t head_dim = 64;
  int64_t value_dim = 64;
  float softcap = 0.0f;
  int64_t window = 0;
  int64_t n_tokens = 262;
  float deviation = 1.0f;
  AttentionMask mask = AttentionMask::kCausal;

  [[nodiscard]] std::string name() const {
    const char* types[] = {"f32", "f16", "q8_0"};
    return fmt::format("{} heads {}/{} dims {}/{} cap {} window {} tokens {}{}",
                       types[static_cast<int>(type)], n_heads, n_kv_heads, head_dim, value_dim,
                       softcap, window, n_tokens, mask == AttentionMask::kNone ? " both ways" : "");
  }
};

/// A sequence's queries, keys and values, and a cache of its own.
class Sequence {
 public:
  Sequence(const Config& config, uint32_t seed)
      : config_(config),
        q_(normal_floats(size(config.n_heads * config.head_dim), seed, config.deviation)),
        k_(normal_floats(size(config.n_kv_heads * config.head_dim), seed + 1, config.deviation)),
        v_(normal_floats(size(config.n_kv_heads * config.value_dim), seed + 2)) {
    auto n_pages = static_cast<size_t>((config.n_tokens + kKvPagePositions - 1) / kKvPagePositions);
    add_pages(config.head_dim, n_pages, key_memory_, key_pages_);
    add_pages(config.value_dim, n_pages, value_memory_, value_pages_);
    out_.resize(size(config.n_heads * config.value_dim));
  }

  [[nodiscard]] KvView view() const {
    return {.type = config_.type,
            .n_kv_heads = config_.n_kv_heads,
            .head_dim = config_.head_dim,
            .value_dim = config_.value_dim,
            .key_pages = key_pages_,
            .value_pages = value_pages_};
  }
  [[nodiscard]] AttentionShape shape() const {
    return {.mask = config_.mask,
            .n_heads = config_.n_heads,
            .q_stride = config_.n_heads * config_.head_dim,
            .out_stride = config_.n_heads * config_.value_dim,
            .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
            .softcap = config_.softcap,
            .window = config_.window};
  }
  void write(const Context& context, int64_t first, int64_t n) {
    int64_t k_stride = config_.n_kv_heads * config_.head_dim;
    int64_t v_stride = config_.n_kv_heads * config_.value_dim;
    kv_write(context, view(), first, n, k_.data() + first * k_stride, k_stride,
             v_.data() + first * v_stride, v_stride);
  }
  AttentionSequence step(int64_t first, int64_t n) {
    return {.kv = view(),
            .first_position = first,
            .n_tokens = n,
            .q = q_.data() + first * config_.n_heads * config_.head_dim,
            .out = out_.data() + first * config_.n_heads * config_.value_dim};
  }
  /// The whole prompt in pieces of `piece` tokens; at once where its tokens see later ones.
  const std::vector<float>& run(const Context& context, int64_t piece) {
    if (config_.mask == AttentionMask::kNone) piece = config_.n_tokens;
    out_.assign(out_.size(), -7.0f);
    for (int64_t first = 0; first < config_.n_tokens; first += piece) {
      int64_t n = std::min(piece, config_.n_tokens - first);
      write(context, first, n);
      AttentionSequence s = step(first, n);
      attention(context, shape(), {&s, 1});
    }
    return out_;
  }
  [[nodiscard]] const std::vector<float>& out() const { return out_; }
  [[nodiscard]] const std::vector<float>& q() const { return q_; }
  [[nodiscard]] const std::vector<float>& k() const { return k_; }
  [[nodiscard]] const std::vector<float>& v() const { return v_; }
  std::vector<float>& k() { return k_; }
  std::vector<float>& v() { return v_; }
  [[nodiscard]] const std::vector<std::vector<std::byte>>& key_memory() const {
    return key_memory_;
  }
  [[nodiscard]] const std::vector<std::vector<std::byte>>& value_memory() const {
    return value_memory_;
  }
  void drop_page(size_t i) {
    key_pages_[i] = nullptr;
    value_pages_[i] = nullptr;
  }

 private:
  [[nodiscard]] size_t size(int64_t width) const {
    return static_cast<size_t>(config_.n_tokens * width);
  }
  void add_pages(int64_t dim, size_t n, std::vector<std::vector<std::byte>>& memory,
                 std::vector<std::byte*>& pages) const {
    auto bytes = kv_page_bytes(config_.type, config_.n_kv_heads, dim);
    ASSERT_TRUE(bytes.ok());
    for (size_t i = 0; i < n; ++i) {
      // 0xff is a NaN in every type: nothing that was not written may reach a result.
      memory.emplace_back(*bytes, std::byte{0xff});
      pages.push_back(memory.back().data());
    }
  }

  Config config_;
  std::vector<float> q_, k_, v_, out_;
  std::vector<std::vector<std::byte>> key_memory_, value_memory_;
  std::vector<std::byte*> key_pages_, value_pages_;
};

std::vector<Config> configs() {
  return {
      {},
      {.type = KvType::kF32},
      {.type = KvType::kQ8_0},
      {.type = KvType::kF32, .n_heads = 3, .n_kv_heads = 1, .head_dim = 20, .value_dim = 20},
      {.n_heads = 2, .n_kv_heads = 2, .head_dim = 7, .value_dim = 33, .n_tokens = 140},
      {.n_heads = 9, .n_kv_heads = 3, .head_dim = 64, .value_dim = 64, .n_tokens = 150},
      {.n_heads = 5, .n_kv_heads = 1, .head_dim = 80, .value_dim = 96, .n_tokens = 170},
      {.n_heads = 7, .n_kv_heads = 1, .head_dim = 16, .value_dim = 16, .n_tokens = 270},
      {.n_heads = 24, .n_kv_heads = 2, .head_dim = 16, .value_dim = 32, .n_tokens = 135},
      {.n_heads = 2, .n_kv_heads = 1, .head_dim = 128, .value_dim = 256, .n_tokens = 131},
      {.softcap = 5.0f, .window = 40},
      {.type = KvType::kQ8_0, .head_dim = 96, .value_dim = 32, .softcap = 50.0f, .window = 128},
      {.window = 1, .n_tokens = 200},
      {.n_heads = 2, .head_dim = 32, .value_dim = 32, .window = 129, .n_tokens = 520},
      // Scores of hundreds: most weights underflow.
      {.n_heads = 2, .n_tokens = 270, .deviation = 12.0f},
      {.type = KvType::kF32, .mask = AttentionMask::kNone},
      {.type = KvType::kF32,
       .n_heads = 3,
       .n_kv_heads = 3,
       .head_dim = 12,
       .value_dim = 12,
       .n_tokens = 37,
       .mask = AttentionMask::kNone},
  };
}

/// ref's output over a whole prompt, computed once a configuration.
const std::vector<float>& reference_output(size_t config) {
  static std::vector<std::vector<float>> outputs(configs().size());
  if (outputs[config].empty()) {
    Sequence sequence(configs()[config], kSeed);
    outputs[config] = sequence.run({.isa = Isa::kRef}, configs()[config].n_tokens);
  }
  return outputs[config];
}

std::vector<double> plain_attention(const Config& c, const Sequence& s) {
  std::vector<double> out(static_cast<size_t>(c.n_tokens * c.n_heads * c.value_dim));
  int64_t group = c.n_heads / c.n_kv_heads;
  for (int64_t t = 0; t < c.n_tokens; ++t) {
    for (int64_t h = 0; h < c.n_heads; ++h) {
      std::vector<double> scores;
      int64_t first = c.window > 0 ? std::max<int64_t>(0, t - c.window + 1) : 0;
      double greatest = -1e300;
      const int64_t last = c.mask == AttentionMask::kNone ? c.n_tokens - 1 : t;
      for (int64_t i = first; i <= last; ++i) {
        double score = 0;
        for (int64_t d = 0; d < c.head_dim; ++d)
          score += static_cast<double>(
                       s.q()[static_cast<size_t>((t * c.n_heads + h) * c.head_dim + d)]) *
                   s.k()[static_cast<size_t>((i * c.n_kv_heads + h / group) * c.head_dim + d)];
        score /= std::sqrt(static_cast<double>(c.head_dim));
        if (c.softcap > 0) score = c.softcap * std::tanh(score / c.softcap);
        scores.push_back(score);
        greatest = std::max(greatest, score);
      }
      double sum = 0;
      for (double& score : scores) sum += score = std::exp(score - greatest);
      for (int64_t i = first; i <= last; ++i)
        for (int64_t d = 0; d < c.value_dim; ++d)
          out[static_cast<size_t>((t * c.n_heads + h) * c.value_dim + d)] +=
              scores[static_cast<size_t>(i - first)] / sum *
              s.v()[static_cast<size_t>((i * c.n_kv_heads + h / group) * c.value_dim + d)];
    }
  }
  return out;
}

TEST(Attention, RefEqualsPlainSoftmaxInDouble) {
  for (size_t c = 0; c < configs().size(); ++c) {
    Config config = configs()[c];
    std::vector<double> want = plain_attention(config, Sequence(config, kSeed));
    const std::vector<float>& got = reference_output(c);
    // Scores grow with the square of the deviation, and their rounding shows in the weights.
    double growth = std::pow(static_cast<double>(config.deviation), 2);
    double tolerance = config.type == KvType::kF32   ? 2e-6
                       : config.type == KvType::kF16 ? 4e-3 * growth
                                                     : 4e-2;
    double greatest = 0;
    for (size_t i = 0; i < want.size(); ++i)
      greatest = std::max(greatest, std::fabs(static_cast<double>(got[i]) - want[i]));
    EXPECT_LE(greatest, tolerance) << config.name();
  }
}

TEST(Attention, EveryInstructionSetEqualsRef) {
  for (size_t c = 0; c < configs().size(); ++c) {
    Config config = configs()[c];
    for (Isa isa : vector_isas()) {
      Sequence sequence(config, kSeed);
      EXPECT_TRUE(same_bits(sequence.run({.isa = isa}, config.n_tokens), reference_output(c)))
          << isa_name(isa) << " " << config.name();
    }
  }
}

TEST(Attention, PiecesOfThePromptAndThreadsChangeNothing) {
  for (int n_threads : {1, 2, 3, 4}) {
    base::ThreadPool pool(n_threads);
    for (size_t c = 0; c < configs().size(); ++c) {
      Config config = configs()[c];
      for (Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
        if (!isa_supported(isa)) continue;
        for (int64_t piece : {1, 3, 16, 127, 128, 129}) {
          // All pieces with one thread and with two; with more, two of them.
          if (n_threads > 2 && piece != 3 && piece != 129) continue;
          Sequence sequence(config, kSeed);
          EXPECT_TRUE(
              same_bits(sequence.run({.isa = isa, .pool = &pool}, piece), reference_output(c)))
              << isa_name(isa) << " " << n_threads << " threads, pieces of " << piece << " "
              << config.name();
        }
      }
    }
  }
}

TEST(Attention, RefIsTheSameInPiecesAndThreads) {
  base::ThreadPool pool(2);
  for (size_t c = 0; c < configs().size(); c += 3) {
    Sequence sequence(configs()[c], kSeed);
    EXPECT_TRUE(same_bits(sequence.run({.isa = Isa::kRef, .pool = &pool}, 37), reference_output(c)))
        << configs()[c].name();
  }
}

TEST(Attention, ABatchBesideChangesNothing) {
  Config config{.n_tokens = 200};
  Config other = config;
  other.n_tokens = 390;
  base::ThreadPool pool(2);
  for (Isa isa : vector_isas()) {
    Context context{.isa = isa, .pool = &pool};
    Sequence alone(config, 51);
    std::vector<float> want = alone.run(context, config.n_tokens);
    Sequence first(config, 51), second(other, 61), third(other, 71);
    first.write(context, 0, 200);
    second.write(context, 0, 390);
    third.write(context, 0, 390);
    std::vector<AttentionSequence> batch = {second.step(380, 1), first.step(0, 150),
                                            third.step(100, 80)};
    attention(context, first.shape(), batch);
    batch = {first.step(150, 49), third.step(0, 1), second.step(0, 390)};
    attention(context, first.shape(), batch);
    batch = {third.step(389, 1), first.step(199, 1), second.step(389, 1)};
    attention(context, first.shape(), batch);
    EXPECT_TRUE(same_bits(first.out(), want)) << isa_name(isa);
  }
}

TEST(Attention, WhatComesLaterOrWasPassedNeverReachesAQuery) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    Config config{.type = type, .window = 50, .n_tokens = 400};
    Sequence reference(config, 81);
    std::vector<float> want = reference.run({.isa = Isa::kRef}, 400);
    std::vector<Isa> isas = vector_isas();
    isas.push_back(Isa::kRef);
    for (Isa isa : isas) {
      Sequence sequence(config, 81);
      // Later tokens are infinite and NaN, but queries up to 350 do not see them.
      for (size_t i = 350 * 128; i < sequence.k().size(); ++i) {
        sequence.k()[i] = std::numeric_limits<float>::infinity();
        sequence.v()[i] = std::numeric_limits<float>::quiet_NaN();
      }
      Context context{.isa = isa};
      sequence.write(context, 0, 400);
      sequence.drop_page(0);  // passed by the window of every query from 177 on
      AttentionSequence step = sequence.step(180, 220);
      attention(context, sequence.shape(), {&step, 1});
      std::vector<float> got(sequence.out().begin() + 180 * 256,
                             sequence.out().begin() + 350 * 256);
      std::vector<float> expected(want.begin() + 180 * 256, want.begin() + 350 * 256);
      EXPECT_TRUE(same_bits(got, expected)) << isa_name(isa);
      // A query that sees them says so.
      EXPECT_TRUE(std::isnan(sequence.out().back())) << isa_name(isa);
    }
  }
}

TEST(KvCache, EveryInstructionSetWritesTheSamePages) {
  for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) {
    for (int extreme = 0; extreme < 2; ++extreme) {
      Config config{.type = type, .head_dim = 32, .value_dim = 96, .n_tokens = 257};
      if (type != KvType::kQ8_0) config.head_dim = 21;
      auto written_by = [&](Isa isa) {
        Sequence sequence(config, 91);
        if (extreme != 0) {
          sequence.k() = extreme_floats(sequence.k().size(), 92);
          sequence.v() = extreme_floats(sequence.v().size(), 93);
          sequence.v()[5] = std::numeric_limits<float>::infinity();
          sequence.v()[105] = std::numeric_limits<float>::quiet_NaN();
        }
        sequence.write({.isa = isa}, 0, 100);
        sequence.write({.isa = isa}, 100, 157);
        return std::pair(sequence.key_memory(), sequence.value_memory());
      };
      auto want = written_by(Isa::kRef);
      for (Isa isa : vector_isas())
        EXPECT_TRUE(written_by(isa) == want) << isa_name(isa) << " " << config.name();
    }
  }
}

TEST(KvCache, PageSizesAndTheirErrors) {
  EXPECT_EQ(*kv_page_bytes(KvType::kF32, 2, 64), 2u * 128 * 64 * 4);
  EXPECT_EQ(*kv_page_bytes(KvType::kF16, 8, 128), 8u * 128 * 128 * 2);
  EXPECT_EQ(*kv_page_bytes(KvType::kQ8_0, 1, 64), 128u * (64 + 4));
  EXPECT_EQ(kv_page_bytes(KvType::kQ8_0, 1, 80).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(kv_page_bytes(KvType::kF16, 0, 64).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(kv_page_bytes(KvType::kF16, 1, int64_t{1} << 62).error().code,
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace lantern::kernels
