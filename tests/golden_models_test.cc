// Whole models against transformers: the tiny models of tests/golden/models (made by
// tools/golden/models.py), from their folders and from GGUF files that another tool wrote.
//
// Logits lie within 2e-5 of their range of transformers' (its own float32 and float64 differ by
// up to 2.4e-6 on such models), and are the same bits whatever the file's form, the instruction
// set, the threads, the pieces of the prompt and the sequences beside it (invariant 3).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "gate/convert.h"
#include "kernels/isa.h"
#include "model_runner.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;

constexpr double kTolerance = 2e-5;

fs::path golden() { return fs::path(LANTERN_SOURCE_DIR) / "tests/golden/models"; }

struct Case {
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // [tokens, n_vocab]
};

std::vector<Case> read_cases(const fs::path& folder) {
  auto text = base::read_text_file(folder / "cases.json", 1 << 20);
  auto json = base::parse_json(text.value(), "cases.json").value();
  std::vector<Case> out;
  for (const auto& entry : json["cases"]) {
    Case one{.tokens = entry["tokens"].get<std::vector<int32_t>>(), .logits = {}};
    one.logits.resize(one.tokens.size() * json["n_vocab"].get<size_t>());
    std::ifstream file(folder / entry["logits"].get<std::string>(), std::ios::binary);
    file.read(reinterpret_cast<char*>(one.logits.data()),
              static_cast<std::streamsize>(one.logits.size() * sizeof(float)));
    EXPECT_TRUE(file.good());
    out.push_back(std::move(one));
  }
  return out;
}

/// The largest difference as a part of the expected logits' range.
double deviation(const std::vector<float>& got, const std::vector<float>& expected) {
  auto [low, high] = std::ranges::minmax(expected);
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i)
    worst = std::max(worst, std::abs(double{got[i]} - double{expected[i]}));
  return worst / (double{high} - double{low});
}

std::vector<std::string> model_names() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(golden()))
    if (entry.is_directory()) out.push_back(entry.path().filename().string());
  std::ranges::sort(out);
  return out;
}

class GoldenModel : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ = golden() / GetParam();
    home_.emplace(GetParam());
  }

  fs::path folder_;
  std::optional<ScopedHome> home_;
};

TEST_P(GoldenModel, AgreesWithTransformersFromFolderAndGguf) {
  const Loaded hf = load_model(folder_);
  const bool has_gguf = fs::exists(folder_ / "model.gguf");  // not of multimodal folders
  const Loaded gguf = has_gguf ? load_model(folder_ / "model.gguf") : load_model(folder_);
  EXPECT_EQ(hf.model->info().notices.empty(), has_gguf);
  for (const Case& one : read_cases(folder_)) {
    const std::vector<float> from_hf = run_model(hf, one.tokens);
    ASSERT_EQ(from_hf.size(), one.logits.size());
    const double worst = deviation(from_hf, one.logits);
    EXPECT_LT(worst, kTolerance);
    RecordProperty("deviation", std::to_string(worst));
    EXPECT_EQ(from_hf, run_model(gguf, one.tokens)) << "folder and GGUF differ in bits";
  }
}

TEST_P(GoldenModel, ReadsTheConfigOfTransformers4) {
  const fs::path old = home_->path() / "v4";
  fs::create_directories(old);
  fs::copy_file(folder_ / "config.v4.json", old / "config.json");
  fs::copy_file(folder_ / "model.safetensors", old / "model.safetensors");
  const Loaded is = load_model(old);
  const Loaded should = load_model(folder_);
  for (const Case& one : read_cases(folder_))
    EXPECT_EQ(run_model(is, one.tokens), run_model(should, one.tokens));
}

TEST_P(GoldenModel, ConvertsToGgufOfTheSameBits) {
  const fs::path file = home_->path() / "converted.gguf";
  auto converted =
      gate::convert(folder_.string(), file, {.type = {}, .consent = own_models().consent});
  ASSERT_TRUE(converted.ok()) << converted.error().message;
  const Loaded is = load_model(file);
  const Loaded should = load_model(folder_);
  EXPECT_THAT(is.model->info().notices, testing::IsEmpty());
  for (const Case& one : read_cases(folder_))
    EXPECT_EQ(run_model(is, one.tokens), run_model(should, one.tokens));
}

TEST_P(GoldenModel, GivesTheSameBitsHoweverItIsRun) {
  const Case one = read_cases(folder_).back();
  const Loaded reference = load_model(folder_);
  const kernels::KvType kinds[] = {kernels::KvType::kF32, kernels::KvType::kF16};
  std::vector<float> expected[2];
  for (size_t i = 0; i < 2; ++i) {
    expected[i] = run_model(reference, one.tokens, {.kv = kinds[i]});
    for (int64_t chunk : {1, 7, 16})
      EXPECT_EQ(run_model(reference, one.tokens, {.chunk = chunk, .kv = kinds[i]}), expected[i])
          << chunk;
    EXPECT_EQ(run_model(reference, one.tokens, {.chunk = 11, .n_beside = 3, .kv = kinds[i]}),
              expected[i]);
  }
  for (kernels::Isa isa :
       {kernels::Isa::kRef, kernels::Isa::kAvx2, kernels::Isa::kAvxVnni, kernels::Isa::kAvx512}) {
    if (!kernels::isa_supported(isa)) continue;
    for (int n_threads = 1; n_threads <= 4; ++n_threads) {
      const size_t i = static_cast<size_t>(n_threads) % 2;
      const Loaded other = load_model(folder_, isa, n_threads);
      EXPECT_EQ(
          run_model(other, one.tokens, {.chunk = 13, .n_beside = n_threads - 1, .kv = kinds[i]}),
          expected[i])
          << kernels::isa_name(isa) << ", " << n_threads << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenModel, testing::ValuesIn(model_names()),
                         [](const testing::TestParamInfo<std::string>& parameter) {
                           std::string name = parameter.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace lantern::tests
