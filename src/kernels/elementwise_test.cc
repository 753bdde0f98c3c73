// Norms, rope, activations and softmax: every instruction set equals ref bit for bit, and ref
// equals the formulas computed in double.
#include <cmath>
#include <functional>
#include <string>

#include "base/thread_pool.h"
#include "kernels/functions.h"
#include "kernels/ops.h"
#include "kernels/ops_test_support.h"

namespace lantern::kernels {
namespace {

using Operation = std::function<void(const Context&, const std::vector<float>& x, size_t offset,
                                     int64_t n, std::vector<float>& y)>;

struct NamedOperation {
  std::string name;
  Operation run;  // works in place on y[offset .. offset + n), reading x at the same places
};

NamedOperation gated(const char* name, Activation kind) {
  return {name, [kind](const Context& c, const auto& x, size_t offset, int64_t n, auto& y) {
            gated_activation(c, kind, n, x.data() + offset, y.data() + offset);
          }};
}

std::vector<NamedOperation> operations() {
  return {
      {"add", [](const Context& c, const auto& x, size_t offset, int64_t n,
                 auto& y) { add(c, n, x.data() + offset, y.data() + offset); }},
      {"scale", [](const Context& c, const auto&, size_t offset, int64_t n,
                   auto& y) { scale(c, n, 0.3f, y.data() + offset); }},
      {"softcap", [](const Context& c, const auto&, size_t offset, int64_t n,
                     auto& y) { softcap(c, n, 30.0f, y.data() + offset); }},
      gated("silu", Activation::kSilu),
      gated("gelu_tanh", Activation::kGeluTanh),
      gated("gelu_erf", Activation::kGeluErf),
      {"softmax", [](const Context& c, const auto&, size_t offset, int64_t n,
                     auto& y) { softmax(c, 1, n, n, y.data() + offset); }},
      {"activation", [](const Context& c, const auto&, size_t offset, int64_t n,
                        auto& y) { activation(c, Activation::kGeluErf, n, y.data() + offset); }},
      {"layer_norm",
       [](const Context& c, const auto& x, size_t offset, int64_t n, auto& y) {
         layer_norm(c, {.n = 1, .k = n, .x_stride = n, .y_stride = n}, y.data() + offset,
                    {.weight = x.data() + offset, .bias = x.data() + offset, .eps = 1e-5f},
                    y.data() + offset);
       }},
      {"rms_norm",
       [](const Context& c, const auto& x, size_t offset, int64_t n, auto& y) {
         rms_norm(c, {.n = 1, .k = n, .x_stride = n, .y_stride = n}, y.data() + offset,
                  x.data() + offset, 1e-5f, y.data() + offset);
       }},
      {"rms_norm without weight",
       [](const Context& c, const auto&, size_t offset, int64_t n, auto& y) {
         rms_norm(c, {.n = 1, .k = n, .x_stride = n, .y_stride = n}, y.data() + offset, nullptr,
                  1e-5f, y.data() + offset);
       }},
  };
}

TEST(Elementwise, EveryInstructionSetEqualsRefAtEveryLengthAndOffset) {
  using Maker = std::vector<float> (*)(size_t, uint32_t);
  Maker makers[] = {[](size_t n, uint32_t seed) { return normal_floats(n, seed, 4.0f); },
                    extreme_floats, broken_floats};
  for (const NamedOperation& operation : operations()) {
    for (int64_t n = 0; n <= 33; ++n) {
      for (size_t offset = 0; offset < 4; ++offset) {
        for (Maker maker : makers) {
          auto seed = static_cast<uint32_t>(n * 4) + static_cast<uint32_t>(offset);
          // Room after the end shows writes past it.
          size_t size = offset + static_cast<size_t>(n) + 5;
          std::vector<float> x = maker(size, seed);
          std::vector<float> start = maker(size, seed + 1000);
          std::vector<float> want = start;
          operation.run({.isa = Isa::kRef}, x, offset, n, want);
          for (Isa isa : vector_isas()) {
            std::vector<float> got = start;
            operation.run({.isa = isa}, x, offset, n, got);
            EXPECT_TRUE(same_bits(got, want))
                << operation.name << " " << isa_name(isa) << " n " << n << " offset " << offset;
          }
        }
      }
    }
  }
}

TEST(Elementwise, FunctionsEqualRefOverAllExponents) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < 0x100000000u; bits += 9973)
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  std::vector<float> ones(x.size(), 1.0f);
  for (const NamedOperation& operation : operations()) {
    if (operation.name == "softmax" || operation.name.find("_norm") != std::string::npos) continue;
    std::vector<float> want = x;
    operation.run({.isa = Isa::kRef}, ones, 0, static_cast<int64_t>(x.size()), want);
    for (Isa isa : vector_isas()) {
      std::vector<float> got = x;
      operation.run({.isa = isa}, ones, 0, static_cast<int64_t>(x.size()), got);
      EXPECT_TRUE(same_bits(got, want)) << operation.name << " " << isa_name(isa);
    }
  }
}

TEST(Elementwise, RopeEqualsRefAndTheFormula) {
  for (int64_t n_pairs : {1, 5, 8, 16, 17, 32, 33, 48}) {
    int64_t head_dim = 2 * n_pairs + (n_pairs % 3 == 0 ? 6 : 0);  // some rotate only a part
    constexpr int64_t kTokens = 5;
    constexpr int64_t kHeads = 3;
    int64_t stride = kHeads * head_dim + 7;
    std::vector<float> frequencies;
    for (int64_t i = 0; i < n_pairs; ++i)
      frequencies.push_back(
          pow_f32(10000.0f, -static_cast<float>(i) / static_cast<float>(n_pairs)));
    RopeTable table{.inverse_frequency = frequencies, .magnitude = 1.25f};
    RopeShape shape{.n_tokens = kTokens, .n_heads = kHeads, .head_dim = head_dim, .stride = stride};
    std::vector<int32_t> positions = {0, 1, 77, 8191, 131071};
    std::vector<float> start = normal_floats(static_cast<size_t>(kTokens * stride), 3);

    std::vector<float> want = start;
    rope({.isa = Isa::kRef}, shape, table, positions.data(), want.data());
    for (int64_t t = 0; t < kTokens; ++t) {
      for (int64_t i = 0; i < n_pairs; ++i) {
        auto position = static_cast<float>(positions[static_cast<size_t>(t)]);
        double angle = position * frequencies[static_cast<size_t>(i)];
        auto low = static_cast<size_t>(t * stride + head_dim + i);
        size_t high = low + static_cast<size_t>(n_pairs);
        double a = start[low], b = start[high];
        EXPECT_NEAR(want[low], 1.25 * (a * std::cos(angle) - b * std::sin(angle)), 1e-6);
        EXPECT_NEAR(want[high], 1.25 * (b * std::cos(angle) + a * std::sin(angle)), 1e-6);
      }
    }
    for (Isa isa : vector_isas()) {
      std::vector<float> got = start;
      rope({.isa = isa}, shape, table, positions.data(), got.data());
      EXPECT_TRUE(same_bits(got, want)) << isa_name(isa) << " n_pairs " << n_pairs;
    }
  }
}

TEST(Elementwise, RopeAnglesEqualRefAtEveryMagnitude) {
  std::vector<float> frequencies;
  for (uint64_t bits = 0; bits < 0x100000000u; bits += 99991)
    frequencies.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  RopeTable table{.inverse_frequency = frequencies};
  int32_t position = 1;
  auto angles = [&](Isa isa) {
    std::vector<float> both(2 * frequencies.size());
    rope_angles({.isa = isa}, table, 1, &position, both.data(), both.data() + frequencies.size());
    return both;
  };
  std::vector<float> want = angles(Isa::kRef);
  for (Isa isa : vector_isas()) EXPECT_TRUE(same_bits(angles(isa), want)) << isa_name(isa);
}

TEST(Elementwise, RefEqualsTheFormulas) {
  constexpr int64_t kN = 1000;
  std::vector<float> x = normal_floats(kN, 1, 3.0f);
  std::vector<float> up = normal_floats(kN, 2);
  Context context{.isa = Isa::kRef};
  auto gated_by = [&](Activation kind) {
    std::vector<float> y = x;
    gated_activation(context, kind, kN, up.data(), y.data());
    return y;
  };
  std::vector<float> silu = gated_by(Activation::kSilu);
  std::vector<float> gelu_tanh = gated_by(Activation::kGeluTanh);
  std::vector<float> gelu_erf = gated_by(Activation::kGeluErf);
  std::vector<float> capped = x;
  softcap(context, kN, 2.5f, capped.data());
  std::vector<float> normed(kN);
  rms_norm(context, {.n = 1, .k = kN, .x_stride = kN, .y_stride = kN}, x.data(), up.data(), 1e-3f,
           normed.data());
  std::vector<float> layer_normed(kN);
  std::vector<float> shifted = x;
  for (float& v : shifted) v += 5.0f;
  layer_norm(context, {.n = 1, .k = kN, .x_stride = kN, .y_stride = kN}, shifted.data(),
             {.weight = up.data(), .bias = x.data(), .eps = 1e-3f}, layer_normed.data());
  std::vector<float> plain = x;
  activation(context, Activation::kGeluTanh, kN, plain.data());
  std::vector<float> soft = x;
  softmax(context, 1, kN, kN, soft.data());
  double squares = 0, exponentials = 0, mean = 0, variance = 0;
  for (float v : shifted) mean += static_cast<double>(v) / kN;
  for (float v : shifted) variance += (v - mean) * (v - mean) / kN;
  for (float v : x) {
    squares += static_cast<double>(v) * v;
    exponentials += std::exp(static_cast<double>(v));
  }
  for (size_t i = 0; i < kN; ++i) {
    double g = x[i], u = up[i];
    double cubic = std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g);
    EXPECT_NEAR(silu[i], g / (1 + std::exp(-g)) * u, 2e-6);
    EXPECT_NEAR(gelu_tanh[i], 0.5 * g * (1 + std::tanh(cubic)) * u, 3e-6);
    EXPECT_NEAR(gelu_erf[i], 0.5 * g * (1 + std::erf(g / std::sqrt(2.0))) * u, 3e-6);
    EXPECT_NEAR(capped[i], 2.5 * std::tanh(g / 2.5), 1e-6);
    EXPECT_NEAR(normed[i], g / std::sqrt(squares / kN + 1e-3) * u, 2e-6);
    EXPECT_NEAR(layer_normed[i], (shifted[i] - mean) / std::sqrt(variance + 1e-3) * u + g, 3e-6);
    EXPECT_NEAR(plain[i], 0.5 * g * (1 + std::tanh(cubic)), 3e-6);
    EXPECT_NEAR(soft[i], std::exp(g) / exponentials, 1e-7);
  }
}

TEST(Elementwise, ThreadsAndStridesChangeNothing) {
  constexpr int64_t kTokens = 70;
  constexpr int64_t kWidth = 1500;
  constexpr int64_t kStride = kWidth + 20;
  std::vector<float> start = normal_floats(kTokens * kStride, 5, 2.0f);
  std::vector<float> weight = normal_floats(kTokens * kStride, 6);
  auto everything = [&](const Context& context) {
    std::vector<float> x = start;
    rms_norm(context, {.n = kTokens, .k = kWidth, .x_stride = kStride, .y_stride = kStride},
             x.data(), weight.data(), 1e-5f, x.data());
    layer_norm(context, {.n = kTokens, .k = kWidth, .x_stride = kStride, .y_stride = kStride},
               x.data(), {.weight = weight.data(), .bias = weight.data() + 3, .eps = 1e-5f},
               x.data());
    add_bias(context, kTokens, kWidth, kStride, weight.data() + 9, x.data());
    activation(context, Activation::kGeluErf, kTokens * kStride, x.data());
    gated_activation(context, Activation::kSilu, kTokens * kStride, weight.data(), x.data());
    add(context, kTokens * kStride, weight.data(), x.data());
    softcap(context, kTokens * kStride, 1.5f, x.data());
    scale(context, kTokens * kStride, 8.0f, x.data());
    softmax(context, kTokens, kWidth, kStride, x.data());
    return x;
  };
  std::vector<float> want = everything({.isa = Isa::kRef});
  std::vector<Isa> isas = vector_isas();
  isas.push_back(Isa::kRef);
  for (int n_threads = 1; n_threads <= 4; ++n_threads) {
    base::ThreadPool pool(n_threads);
    for (Isa isa : isas)
      EXPECT_TRUE(same_bits(everything({.isa = isa, .pool = &pool}), want))
          << isa_name(isa) << " " << n_threads << " threads";
  }
}

}  // namespace
}  // namespace lantern::kernels
