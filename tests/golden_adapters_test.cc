// LoRA adapters against PEFT: the tiny adapters of tests/golden/adapters (made by
// tools/golden/adapters.py), from their folders and from GGUF files that another tool wrote.
//
// Logits lie within 2e-5 of their range of PEFT's, and are the same bits whatever the adapter's
// form, the instruction set, the threads, the pieces of the prompt, the sequences beside it and the
// adapters of those; sequences without an adapter keep the bits that they have without any.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "format/gguf.h"
#include "format/gguf_writer.h"
#include "model_runner.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr double kTolerance = 2e-5;

fs::path golden() { return fs::path(LANTERN_SOURCE_DIR) / "tests/golden"; }

struct Golden {
  std::string model;
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // [tokens, n_vocab]
};

Golden read_golden(const fs::path& folder) {
  const auto text = base::read_text_file(folder / "cases.json", 1 << 20);
  const auto json = base::parse_json(text.value(), "cases.json").value();
  const auto& only = json["cases"][0];
  Golden out{.model = json["model"].get<std::string>(),
             .tokens = only["tokens"].get<std::vector<int32_t>>(),
             .logits = {}};
  out.logits.resize(out.tokens.size() * json["n_vocab"].get<size_t>());
  std::ifstream file(folder / only["logits"].get<std::string>(), std::ios::binary);
  file.read(reinterpret_cast<char*>(out.logits.data()),
            static_cast<std::streamsize>(out.logits.size() * sizeof(float)));
  EXPECT_TRUE(file.good());
  return out;
}

Result<arch::Adapter> try_adapter(const Loaded& loaded, const fs::path& path, double scale = 1.0) {
  LANTERN_ASSIGN(const auto admitted, gate::Admission::admit(path.string(), own_models()));
  return loaded.model->load_adapter(admitted, scale);
}

arch::Adapter load_adapter(const Loaded& loaded, const fs::path& path, double scale = 1.0) {
  auto adapter = try_adapter(loaded, path, scale);
  EXPECT_TRUE(adapter.ok()) << adapter.error().message;
  return std::move(adapter).value();
}

double deviation(const std::vector<float>& got, const std::vector<float>& expected) {
  const auto [low, high] = std::ranges::minmax(expected);
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i)
    worst = std::max(worst, std::abs(double{got[i]} - double{expected[i]}));
  return worst / (double{high} - double{low});
}

std::vector<std::string> adapter_names() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(golden() / "adapters"))
    if (entry.is_directory()) out.push_back(entry.path().filename().string());
  std::ranges::sort(out);
  return out;
}

class GoldenAdapter : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { home_.emplace(GetParam()); }

  [[nodiscard]] fs::path model_path() const { return golden() / "models" / case_.model; }

  const fs::path folder_ = golden() / "adapters" / GetParam();
  const Golden case_ = read_golden(folder_);
  std::optional<ScopedHome> home_;
};

TEST_P(GoldenAdapter, AgreesWithPeftFromFolderAndGguf) {
  const Loaded hf = load_model(model_path());
  const arch::Adapter adapter = load_adapter(hf, folder_);
  EXPECT_GT(adapter.bytes(), 0u);
  const auto logits = run_model(hf, case_.tokens, {.adapter = &adapter});
  const double worst = deviation(logits, case_.logits);
  EXPECT_LT(worst, kTolerance);
  RecordProperty("deviation", std::to_string(worst));
  EXPECT_GT(deviation(run_model(hf, case_.tokens), case_.logits), 0.05);

  const Loaded gguf = load_model(model_path() / "model.gguf");
  for (const fs::path& path : {folder_, folder_ / "adapter.gguf"}) {
    const arch::Adapter other = load_adapter(gguf, path);
    EXPECT_EQ(run_model(gguf, case_.tokens, {.adapter = &other}), logits) << path;
  }
}

TEST_P(GoldenAdapter, GivesTheSameBitsHoweverItIsRun) {
  const Loaded reference = load_model(model_path());
  const arch::Adapter first = load_adapter(reference, folder_);
  const auto plain = run_model(reference, case_.tokens);
  const auto expected = run_model(reference, case_.tokens, {.adapter = &first});
  for (kernels::Isa isa :
       {kernels::Isa::kRef, kernels::Isa::kAvx2, kernels::Isa::kAvxVnni, kernels::Isa::kAvx512}) {
    if (!kernels::isa_supported(isa)) continue;
    for (int n_threads = 1; n_threads <= 3; ++n_threads) {
      const Loaded other = load_model(model_path(), isa, n_threads);
      const arch::Adapter adapter = load_adapter(other, folder_ / "adapter.gguf");
      const arch::Adapter weaker = load_adapter(other, folder_, -0.25);
      for (const auto& beside : std::vector<std::vector<const arch::Adapter*>>{
               {nullptr}, {&adapter}, {nullptr, &weaker, &adapter}}) {
        How how{.chunk = 5 + n_threads * 2,
                .n_beside = 5,
                .adapter = &adapter,
                .adapters_beside = beside};
        EXPECT_EQ(run_model(other, case_.tokens, how), expected)
            << kernels::isa_name(isa) << ", " << n_threads << " threads";
        how.adapter = nullptr;
        EXPECT_EQ(run_model(other, case_.tokens, how), plain)
            << kernels::isa_name(isa) << ", " << n_threads << " threads, no adapter";
      }
    }
  }
  for (int64_t chunk : {1, 7})
    EXPECT_EQ(run_model(reference, case_.tokens, {.chunk = chunk, .adapter = &first}), expected);
}

TEST_P(GoldenAdapter, AScaleOfZeroChangesNothingButSigns) {
  const Loaded loaded = load_model(model_path());
  const arch::Adapter off = load_adapter(loaded, folder_, 0.0);
  // x + 0 is x, and -0 + 0 compares equal to -0.
  EXPECT_EQ(run_model(loaded, case_.tokens, {.adapter = &off}), run_model(loaded, case_.tokens));
}

INSTANTIATE_TEST_SUITE_P(All, GoldenAdapter, testing::ValuesIn(adapter_names()),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           std::string name = parameter.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

/// The golden llama's adapter with one thing changed, and what loading it for its model says.
class AdapterFaults : public testing::Test {
 protected:
  using Plan = std::vector<format::TensorPlan>;

  Error gguf_error(const std::function<void(Plan&, format::Metadata&)>& change) {
    const auto checkpoint = format::open_gguf(folder_ / "adapter.gguf").value();
    format::Metadata metadata = checkpoint->metadata();
    Plan plan;
    for (const format::Tensor& tensor : checkpoint->tensors())
      plan.push_back({.name = tensor.name, .type = tensor.type, .shape = tensor.shape});
    change(plan, metadata);
    const fs::path path = home_.path() / "adapter.gguf";
    auto writer = format::GgufWriter::create(path, metadata, plan).value();
    for (size_t i = 0; i < plan.size(); ++i) {
      size_t values = 1;
      for (int64_t size : plan[i].shape) values *= static_cast<size_t>(size);
      const std::vector<float> data(values, 0.0f);
      EXPECT_TRUE(writer.write(i, std::as_bytes(std::span(data))).ok());
    }
    EXPECT_TRUE(writer.commit().ok());
    return error_of(path);
  }

  Error peft_error(const std::function<void(base::Json&)>& change) {
    const fs::path folder = home_.path() / "peft";
    fs::create_directories(folder);
    fs::copy_file(folder_ / "adapter_model.safetensors", folder / "adapter_model.safetensors",
                  fs::copy_options::overwrite_existing);
    const auto text = base::read_text_file(folder_ / "adapter_config.json", 1 << 20);
    auto config = base::parse_json(text.value(), "adapter_config.json").value();
    change(config);
    EXPECT_TRUE(base::write_file_atomically(folder / "adapter_config.json", config.dump()).ok());
    return error_of(folder);
  }

  /// PEFT's folder with one tensor's name changed, in as many bytes.
  Error renamed_error(std::string_view from, std::string_view to) {
    EXPECT_EQ(from.size(), to.size());
    const fs::path folder = home_.path() / "renamed";
    fs::create_directories(folder);
    fs::copy_file(folder_ / "adapter_config.json", folder / "adapter_config.json",
                  fs::copy_options::overwrite_existing);
    std::string bytes =
        base::read_text_file(folder_ / "adapter_model.safetensors", 1 << 20).value();
    const size_t at = bytes.find(from);
    EXPECT_NE(at, std::string::npos);
    bytes.replace(at, from.size(), to);
    EXPECT_TRUE(base::write_file_atomically(folder / "adapter_model.safetensors", bytes).ok());
    return error_of(folder);
  }

  Error error_of(const fs::path& path) {
    const auto adapter = try_adapter(model_, path);
    EXPECT_FALSE(adapter.ok());
    if (adapter.ok()) return {};
    EXPECT_EQ(adapter.error().message.find('\n'), std::string::npos);
    EXPECT_THAT(adapter.error().message, HasSubstr(path.filename().string()));
    return adapter.error();
  }

  const fs::path folder_ = golden() / "adapters/llama-linear";
  ScopedHome home_{"adapter-faults"};
  const Loaded model_ = load_model(golden() / "models/llama-tied");
};

format::TensorPlan& named(std::vector<format::TensorPlan>& plan, std::string_view name) {
  return *std::ranges::find(plan, name, &format::TensorPlan::name);
}

TEST_F(AdapterFaults, OfGgufFilesAreNamed) {
  const struct {
    const char* what;
    std::function<void(Plan&, format::Metadata&)> change;
    ErrorCode code;
    std::vector<const char*> says;
  } cases[] = {
      {"another type of file",
       [](Plan&, format::Metadata& m) { m.set("general.type", "model"); },
       ErrorCode::kInvalidArgument,
       {"general.type"}},
      {"another type of adapter",
       [](Plan&, format::Metadata& m) { m.set("adapter.type", "ia3"); },
       ErrorCode::kUnsupported,
       {"adapter.type", "ia3"}},
      {"another architecture",
       [](Plan&, format::Metadata& m) { m.set("general.architecture", "qwen2"); },
       ErrorCode::kInvalidArgument,
       {"general.architecture", "qwen2", "llama"}},
      {"an alpha that is no number",
       [](Plan&, format::Metadata& m) { m.set("adapter.lora.alpha", "much"); },
       ErrorCode::kCorrupt,
       {"adapter.lora.alpha"}},
      {"an alpha out of bounds",
       [](Plan&, format::Metadata& m) { m.set("adapter.lora.alpha", 1e30); },
       ErrorCode::kCorrupt,
       {"adapter.lora.alpha"}},
      {"activated LoRA",
       [](Plan&, format::Metadata& m) {
         m.set("adapter.alora.invocation_tokens", std::vector<uint64_t>{1});
       },
       ErrorCode::kUnsupported,
       {"adapter.alora.invocation_tokens"}},
      {"half a pair",
       [](Plan& plan, format::Metadata&) {
         std::erase_if(plan, [](const auto& t) { return t.name == "blk.1.attn_k.weight.lora_b"; });
       },
       ErrorCode::kCorrupt,
       {"blk.1.attn_k.weight.lora_a", "other half"}},
      {"ranks that differ",
       [](Plan& plan, format::Metadata&) {
         named(plan, "blk.0.attn_v.weight.lora_a").shape[0] = 5;
       },
       ErrorCode::kCorrupt,
       {"blk.0.attn_v.weight.lora_b", "rank 4", "rank 5"}},
      {"a huge rank",
       [](Plan& plan, format::Metadata&) {
         named(plan, "blk.0.attn_v.weight.lora_a").shape[0] = 5000;
         named(plan, "blk.0.attn_v.weight.lora_b").shape[1] = 5000;
       },
       ErrorCode::kUnsupported,
       {"blk.0.attn_v.weight.lora_a", "rank 5000"}},
      {"another width",
       [](Plan& plan, format::Metadata&) {
         named(plan, "blk.0.ffn_down.weight.lora_a").shape[1] = 41;
       },
       ErrorCode::kInvalidArgument,
       {"blk.0.ffn_down.weight.lora_a", "[4, 41]", "[4, 40]"}},
      {"another height",
       [](Plan& plan, format::Metadata&) {
         named(plan, "blk.0.ffn_up.weight.lora_b").shape[0] = 41;
       },
       ErrorCode::kInvalidArgument,
       {"blk.0.ffn_up.weight.lora_b", "[41, 4]", "[40, 4]"}},
      {"a vector",
       [](Plan& plan, format::Metadata&) {
         named(plan, "blk.0.ffn_up.weight.lora_b").shape = {160};
       },
       ErrorCode::kCorrupt,
       {"blk.0.ffn_up.weight.lora_b", "1 dimensions"}},
      {"a layer that is not there",
       [](Plan& plan, format::Metadata&) {
         named(plan, "blk.1.attn_q.weight.lora_a").name = "blk.2.attn_q.weight.lora_a";
         named(plan, "blk.1.attn_q.weight.lora_b").name = "blk.2.attn_q.weight.lora_b";
       },
       ErrorCode::kInvalidArgument,
       {"blk.2.attn_q.weight.lora_a", "2 layers"}},
      {"a norm",
       [](Plan& plan, format::Metadata&) {
         named(plan, "blk.1.attn_q.weight.lora_a").name = "blk.1.attn_norm.weight.lora_a";
         named(plan, "blk.1.attn_q.weight.lora_b").name = "blk.1.attn_norm.weight.lora_b";
       },
       ErrorCode::kUnsupported,
       {"blk.1.attn_norm.weight"}},
      {"embeddings",
       [](Plan& plan, format::Metadata&) {
         named(plan, "blk.1.attn_q.weight.lora_a").name = "token_embd.weight.lora_a";
         named(plan, "blk.1.attn_q.weight.lora_b").name = "token_embd.weight.lora_b";
       },
       ErrorCode::kUnsupported,
       {"token_embd.weight"}},
      {"a matrix of another shape of pair",
       [](Plan& plan, format::Metadata&) {
         named(plan, "blk.1.attn_q.weight.lora_a").name = "blk.1.attn_q.weight";
       },
       ErrorCode::kUnsupported,
       {"blk.1.attn_q.weight", "lora_a"}},
      {"a matrix twice",
       [](Plan& plan, format::Metadata&) {
         plan.push_back({.name = "blk.1.attn_qkv.weight.lora_a", .shape = {1, 48}});
         plan.push_back({.name = "blk.1.attn_qkv.weight.lora_b", .shape = {96, 1}});
       },
       ErrorCode::kCorrupt,
       {"blk.1.attn_qkv.weight.lora_a", "another pair"}},
      {"nothing in it",
       [](Plan& plan, format::Metadata&) { plan.clear(); },
       ErrorCode::kCorrupt,
       {"no pair"}},
  };
  for (const auto& one : cases) {
    const Error error = gguf_error(one.change);
    EXPECT_EQ(error.code, one.code) << one.what << ": " << error.message;
    for (const char* part : one.says) EXPECT_THAT(error.message, HasSubstr(part)) << one.what;
  }
}

TEST_F(AdapterFaults, OfPeftConfigsAreNamed) {
  const struct {
    const char* key;
    base::Json value;
    ErrorCode code;
  } cases[] = {
      {"peft_type", "IA3", ErrorCode::kUnsupported},
      {"r", 0, ErrorCode::kCorrupt},
      {"r", 1'000'000, ErrorCode::kCorrupt},
      {"r", "4", ErrorCode::kCorrupt},
      {"r", 8, ErrorCode::kCorrupt},  // the tensors have 4
      {"lora_alpha", nullptr, ErrorCode::kCorrupt},
      {"lora_alpha", 1e300, ErrorCode::kCorrupt},
      {"use_rslora", "yes", ErrorCode::kCorrupt},
      {"use_dora", true, ErrorCode::kUnsupported},
      {"bias", "all", ErrorCode::kUnsupported},
      {"modules_to_save", {"lm_head"}, ErrorCode::kUnsupported},
      {"trainable_token_indices", {1, 2}, ErrorCode::kUnsupported},
      {"layer_replication", {{0, 1}, {0, 2}}, ErrorCode::kUnsupported},
      {"lora_bias", true, ErrorCode::kUnsupported},
      {"target_parameters", {"experts.gate_up_proj"}, ErrorCode::kUnsupported},
      {"alora_invocation_tokens", {7}, ErrorCode::kUnsupported},
      {"init_lora_weights", "pissa", ErrorCode::kUnsupported},
      {"use_of_the_future", 1, ErrorCode::kUnsupported},
      {"rank_pattern", {{".*q_proj", 4}}, ErrorCode::kUnsupported},
      {"rank_pattern", {{"q_proj", -1}}, ErrorCode::kCorrupt},
      {"rank_pattern", {{"q_proj", 2}}, ErrorCode::kCorrupt},
      {"alpha_pattern", {{"q_proj", "big"}}, ErrorCode::kCorrupt},
      {"alpha_pattern", {{"q_proj", 1}, {"self_attn.q_proj", 2}}, ErrorCode::kCorrupt},
      {"alpha_pattern", "q_proj", ErrorCode::kCorrupt},
  };
  for (const auto& one : cases) {
    const Error error = peft_error([&](base::Json& config) { config[one.key] = one.value; });
    EXPECT_EQ(error.code, one.code) << one.key << ": " << error.message;
    EXPECT_THAT(error.message, HasSubstr(std::string("key ") + one.key));
  }
}

TEST_F(AdapterFaults, OfPeftTensorsAreNamed) {
  const struct {
    const char *from, *to;
    ErrorCode code;
    const char* says;
  } cases[] = {
      {"0.self_attn.q_proj.lora_A.weight", "0.self_attn.q_proj.lora_B.weight", ErrorCode::kCorrupt,
       "q_proj"},
      {"0.self_attn.q_proj.lora_A.weight", "0.self_attn.x_proj.lora_A.weight",
       ErrorCode::kInvalidArgument, "x_proj"},
      {"0.self_attn.q_proj.lora_A.weight", "7.self_attn.q_proj.lora_A.weight", ErrorCode::kCorrupt,
       "other half"},
      {"base_model.model.model.layers.0.mlp.up_proj.lora_A.weight",
       "base_model.model.model.layers.0.mlp.up_proj.lora_A.biasxx", ErrorCode::kUnsupported,
       "lora_A.biasxx"},
  };
  for (const auto& one : cases) {
    const Error error = renamed_error(one.from, one.to);
    EXPECT_EQ(error.code, one.code) << one.to << ": " << error.message;
    EXPECT_THAT(error.message, HasSubstr(one.says));
  }
}

TEST_F(AdapterFaults, OthersAreSaidToBeWhatTheyAre) {
  Error error = error_of(golden() / "models/llama-tied/model.gguf");
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message, HasSubstr("no adapter"));
  error = error_of(golden() / "adapters/phi3-fused");
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message, HasSubstr("model it was made for"));
  for (const char* form : {"adapters/llama-linear", "adapters/llama-linear/adapter.gguf"}) {
    auto admitted = gate::Admission::admit((golden() / form).string(), own_models());
    ASSERT_TRUE(admitted.ok()) << admitted.error().message;
    const auto model = arch::Model::load(*admitted, {.context = &model_.context, .progress = {}});
    ASSERT_FALSE(model.ok());
    EXPECT_THAT(model.error().message, HasSubstr("--lora"));
  }
  const fs::path pickled = home_.path() / "pickled";
  fs::create_directories(pickled);
  fs::copy_file(folder_ / "adapter_config.json", pickled / "adapter_config.json");
  std::ofstream(pickled / "adapter_model.bin") << "PK";
  error = error_of(pickled);
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_THAT(error.message, HasSubstr("pickle"));
}

}  // namespace
}  // namespace lantern::tests
