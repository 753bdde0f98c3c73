#include "arch/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>

namespace lantern::arch {
namespace {

using format::Metadata;
using format::MetadataValue;
using testing::HasSubstr;

MetadataValue natural(uint64_t value) { return value; }

/// What every architecture's file has, with usable values.
Metadata usual(std::string_view name) {
  Metadata out;
  auto set = [&](std::string_view key, MetadataValue value) {
    out.set(fmt::format("{}.{}", name, key), std::move(value));
  };
  out.set("general.architecture", std::string(name));
  set("block_count", natural(4));
  set("context_length", natural(256));
  set("embedding_length", natural(64));
  set("feed_forward_length", natural(96));
  set("attention.head_count", natural(4));
  set("attention.head_count_kv", natural(2));
  set("attention.layer_norm_rms_epsilon", 1e-6);
  if (name == "bert") set("attention.layer_norm_epsilon", 1e-12);
  if (name == "qwen3moe") {
    set("expert_count", natural(8));
    set("expert_used_count", natural(2));
    set("expert_feed_forward_length", natural(32));
  }
  return out;
}

TEST(Spec, EveryArchitectureReadsItsUsualKeys) {
  std::set<std::string_view> names;
  for (const Spec* spec : all_specs()) {
    SCOPED_TRACE(spec->name);
    names.insert(spec->name);
    auto hyper = read_hyper_parameters(*spec, usual(spec->name));
    ASSERT_TRUE(hyper.ok()) << hyper.error().message;
    EXPECT_EQ(hyper->layers.size(), 4u);
    EXPECT_EQ(hyper->head_dim, 16);
    EXPECT_EQ(hyper->attention_scale, 0.25f);
    EXPECT_EQ(hyper->layers[0].n_kv_heads, 2);
  }
  EXPECT_EQ(names, (std::set<std::string_view>{"bert", "gemma2", "gemma3", "llama", "mistral3",
                                               "phi3", "qwen2", "qwen3", "qwen3moe"}));
}

TEST(Spec, PoolingIsReadByItsNumber) {
  auto pooling = [](uint64_t number) {
    Metadata metadata = usual("bert");
    metadata.set("bert.pooling_type", natural(number));
    return read_hyper_parameters(*find_spec("bert").value(), metadata);
  };
  EXPECT_EQ(pooling(0)->pooling, Pooling::kNone);
  EXPECT_EQ(pooling(1)->pooling, Pooling::kMean);
  EXPECT_EQ(pooling(2)->pooling, Pooling::kCls);
  EXPECT_EQ(pooling(3)->pooling, Pooling::kLast);
  EXPECT_EQ(pooling(4).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(pooling(5).error().code, ErrorCode::kCorrupt);
  Metadata causal = usual("bert");
  causal.set("bert.attention.causal", true);
  EXPECT_EQ(read_hyper_parameters(*find_spec("bert").value(), causal).error().code,
            ErrorCode::kUnsupported);
}

TEST(Spec, UnknownArchitecturesAreUnsupportedAndTheKnownOnesNamed) {
  auto spec = find_spec("mamba");
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(spec.error().message, HasSubstr("llama"));
  EXPECT_EQ(find_spec_for_hf("MambaForCausalLM").error().code, ErrorCode::kUnsupported);
}

TEST(Spec, WindowsFollowTheArchitecturesPeriodOrTheFilesPattern) {
  auto windows = [](const Metadata& metadata, std::string_view name) {
    std::vector<int64_t> out;
    const auto hyper = read_hyper_parameters(*find_spec(name).value(), metadata).value();
    for (const auto& layer : hyper.layers) out.push_back(layer.window);
    return out;
  };
  EXPECT_EQ(windows(usual("llama"), "llama"), (std::vector<int64_t>{0, 0, 0, 0}));
  EXPECT_EQ(windows(usual("gemma2"), "gemma2"), (std::vector<int64_t>{4096, 0, 4096, 0}));
  Metadata mistral = usual("llama");
  mistral.set("llama.attention.sliding_window", natural(32));
  EXPECT_EQ(windows(mistral, "llama"), (std::vector<int64_t>{32, 32, 32, 32}));
  Metadata gemma3 = usual("gemma3");
  gemma3.set("gemma3.attention.sliding_window", natural(8));
  EXPECT_EQ(windows(gemma3, "gemma3"), (std::vector<int64_t>{8, 8, 8, 8}));  // the sixth is full
  gemma3.set("gemma3.attention.sliding_window_pattern", natural(3));
  EXPECT_EQ(windows(gemma3, "gemma3"), (std::vector<int64_t>{8, 8, 0, 8}));
  gemma3.set("gemma3.attention.sliding_window_pattern",
             std::vector<bool>{false, true, true, false});
  EXPECT_EQ(windows(gemma3, "gemma3"), (std::vector<int64_t>{0, 8, 8, 0}));
}

// What a hostile or broken file may say, and the key that the message must name.
struct Fault {
  const char* key;
  MetadataValue value;
  ErrorCode code = ErrorCode::kCorrupt;
};

class HostileKeys : public testing::TestWithParam<int> {};

std::vector<Fault> faults() {
  const std::string text = "much";
  return {
      {"llama.block_count", natural(0)},
      {"llama.block_count", natural(uint64_t{1} << 40)},
      {"llama.block_count", text},
      {"llama.embedding_length", natural(0)},
      {"llama.embedding_length", natural(uint64_t{1} << 40)},
      {"llama.context_length", natural(0)},
      {"llama.feed_forward_length", natural(0)},
      {"llama.feed_forward_length", natural(uint64_t{1} << 60)},
      {"llama.feed_forward_length", std::vector<uint64_t>{96, 96}},
      {"llama.attention.head_count", natural(0)},
      {"llama.attention.head_count", natural(uint64_t{1} << 63)},
      {"llama.attention.head_count", natural(128)},  // more heads than dimensions
      {"llama.attention.head_count", std::vector<uint64_t>{4, 4, 0, 4}},
      {"llama.attention.head_count_kv", natural(3)},  // does not divide 4
      {"llama.attention.head_count_kv", natural(8)},
      {"llama.attention.head_count_kv", natural(0)},
      {"llama.attention.key_length", natural(0)},
      {"llama.attention.key_length", natural(uint64_t{1} << 32)},
      {"llama.attention.layer_norm_rms_epsilon", -1.0},
      {"llama.attention.sliding_window", std::string("wide")},
      {"llama.rope.dimension_count", natural(0)},
      {"llama.rope.dimension_count", natural(15)},
      {"llama.rope.dimension_count", natural(18)},
      {"llama.rope.dimension_count", natural(8), ErrorCode::kUnsupported},
      {"llama.rope.freq_base", 0.0},
      {"llama.rope.freq_base", -10000.0},
      {"llama.rope.scaling.factor", -2.0},
      {"llama.rope.scaling.type", std::string("yarn")},  // without original_context_length
      {"llama.rope.scaling.type", std::string("spiral"), ErrorCode::kUnsupported},
      {"llama.rope.scaling.attn_factor", 0.0},
      {"llama.expert_count", natural(uint64_t{1} << 33)},
      {"llama.expert_count", natural(4)},  // and none of them used
  };
}

TEST_P(HostileKeys, AreErrorsThatNameTheKey) {
  const Fault fault = faults()[static_cast<size_t>(GetParam())];
  Metadata metadata = usual("llama");
  metadata.set(fault.key, fault.value);
  auto hyper = read_hyper_parameters(*find_spec("llama").value(), metadata);
  ASSERT_FALSE(hyper.ok()) << fault.key;
  EXPECT_EQ(hyper.error().code, fault.code) << hyper.error().message;
  EXPECT_THAT(hyper.error().message, HasSubstr("llama."));
}

INSTANTIATE_TEST_SUITE_P(All, HostileKeys, testing::Range(0, static_cast<int>(faults().size())));

TEST(Spec, MissingKeysAreNamed) {
  Metadata metadata;
  metadata.set("llama.block_count", natural(2));
  auto hyper = read_hyper_parameters(*find_spec("llama").value(), metadata);
  ASSERT_FALSE(hyper.ok());
  EXPECT_EQ(hyper.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(hyper.error().message, HasSubstr("llama.embedding_length"));
}

}  // namespace
}  // namespace lantern::arch
