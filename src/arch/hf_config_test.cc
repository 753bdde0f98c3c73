#include "arch/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "arch/spec.h"

namespace lantern::arch {
namespace {

using base::Json;
using testing::HasSubstr;

Json usual(std::string_view architecture = "LlamaForCausalLM") {
  return Json{
      {"architectures", {architecture}}, {"num_hidden_layers", 4}, {"num_attention_heads", 4},
      {"num_key_value_heads", 2},        {"hidden_size", 64},      {"intermediate_size", 96},
      {"max_position_embeddings", 256},  {"vocab_size", 100},      {"rms_norm_eps", 1e-6}};
}

/// Metadata of a config, and the hyper-parameters that it amounts to.
Result<HyperParameters> read(Json json) {
  LANTERN_ASSIGN(HfConfig config, HfConfig::create(std::move(json)));
  LANTERN_ASSIGN(const Spec* spec, find_spec_for_hf(config.architecture()));
  LANTERN_TRY(config.set_defaults(spec->hf_defaults));
  format::Metadata metadata;
  MetadataWriter keys(metadata, spec->name);
  LANTERN_TRY(map_common(*spec, config, keys));
  if (spec->from_config != nullptr) LANTERN_TRY(spec->from_config(config, keys));
  return read_hyper_parameters(*spec, metadata);
}

TEST(HfConfig, BothFormsOfRopeMeanTheSame) {
  Json four = usual();
  four["rope_theta"] = 500000.0;
  four["rope_scaling"] = {
      {"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 64}};
  Json five = usual();
  five["rope_parameters"] = {{"rope_type", "yarn"},
                             {"factor", 4.0},
                             {"original_max_position_embeddings", 64},
                             {"rope_theta", 500000.0}};
  const auto a = read(four), b = read(five);
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->rope.scaling, RopeParameters::Scaling::kYarn);
  EXPECT_EQ(a->rope.scaling, b->rope.scaling);
  EXPECT_EQ(a->rope.theta, 500000.0);
  EXPECT_EQ(a->rope.theta, b->rope.theta);
  EXPECT_EQ(a->rope.magnitude, b->rope.magnitude);
  EXPECT_EQ(a->rope.n_context_original, 64);
}

TEST(HfConfig, ATextConfigFallsBackToTheClasssDefaults) {
  // As the first Gemma 3 checkpoints have it.
  Json json{{"architectures", {"Gemma3ForConditionalGeneration"}},
            {"text_config",
             {{"hidden_size", 2560},
              {"intermediate_size", 10240},
              {"model_type", "gemma3_text"},
              {"num_hidden_layers", 34},
              {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}},
              {"sliding_window", 1024}}}};
  const auto hyper = read(json);
  ASSERT_TRUE(hyper.ok()) << hyper.error().message;
  EXPECT_EQ(hyper->head_dim, 256);
  EXPECT_EQ(hyper->layers[0].n_heads, 8);
  EXPECT_EQ(hyper->layers[0].n_kv_heads, 4);
  EXPECT_EQ(hyper->layers[4].window, 1024);
  EXPECT_EQ(hyper->layers[5].window, 0);
  EXPECT_TRUE(hyper->layers[4].rope_local);
  EXPECT_EQ(hyper->rope.theta, 1e6);
  EXPECT_EQ(hyper->rope.theta_local, 1e4);
  EXPECT_EQ(hyper->rope.scaling, RopeParameters::Scaling::kLinear);
}

TEST(HfConfig, WindowsThatAreSwitchedOffAreNot) {
  Json json = usual("Qwen2ForCausalLM");
  json["sliding_window"] = 32;
  json["use_sliding_window"] = false;
  EXPECT_EQ(read(json)->layers[0].window, 0);
  json["use_sliding_window"] = true;
  json["max_window_layers"] = 2;
  const auto hyper = read(json);
  EXPECT_EQ(hyper->layers[1].window, 0);
  EXPECT_EQ(hyper->layers[2].window, 32);
}

struct Fault {
  const char* key;
  Json value;
  ErrorCode code = ErrorCode::kCorrupt;
};

std::vector<Fault> faults() {
  return {
      {"architectures", Json::array()},
      {"architectures", {{"a", 1}}},
      {"architectures", {"MambaForCausalLM"}, ErrorCode::kUnsupported},
      {"num_hidden_layers", 0},
      {"num_hidden_layers", -4},
      {"num_hidden_layers", 1.5},
      {"num_hidden_layers", "four"},
      {"num_hidden_layers", nullptr},
      {"num_hidden_layers", UINT64_MAX},
      {"num_attention_heads", 0},
      {"num_attention_heads", 1 << 20},
      {"num_key_value_heads", 3},
      {"head_dim", 0},
      {"head_dim", 15},
      {"hidden_size", int64_t{1} << 40},
      {"hidden_act", "relu", ErrorCode::kUnsupported},
      {"hidden_act", 7},
      {"rms_norm_eps", "small"},
      {"rope_theta", -1.0},
      {"rope_theta", 0},
      {"rope_parameters", Json::array({1, 2})},
      {"rope_parameters", {{"rope_type", "spiral"}}, ErrorCode::kUnsupported},
      {"rope_parameters", {{"rope_type", 5}}},
      {"rope_parameters", {{"rope_type", "yarn"}, {"factor", 4.0}}},
      {"rope_parameters", {{"rope_type", "linear"}, {"factor", "four"}}},
      {"rope_parameters", {{"rope_type", "longrope"}}},
      {"rope_parameters", {{"partial_rotary_factor", 3.0}}},
      {"partial_rotary_factor", 1e300},
      {"layer_types", {"full_attention"}},
      {"text_config", "none"},
      {"quantization_config", {{"quant_method", "gptq"}}, ErrorCode::kUnsupported},
  };
}

class HostileConfig : public testing::TestWithParam<int> {};

TEST_P(HostileConfig, IsAnError) {
  const Fault fault = faults()[static_cast<size_t>(GetParam())];
  Json json = usual();
  json["sliding_window"] = 16;
  json[fault.key] = fault.value;
  const auto hyper = read(json);
  ASSERT_FALSE(hyper.ok()) << fault.key << " = " << fault.value;
  EXPECT_EQ(hyper.error().code, fault.code) << hyper.error().message;
  EXPECT_EQ(hyper.error().message.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, HostileConfig, testing::Range(0, static_cast<int>(faults().size())));

}  // namespace
}  // namespace lantern::arch
