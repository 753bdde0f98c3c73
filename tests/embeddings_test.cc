// Models that embed against transformers and sentence-transformers: the tiny ones of
// tests/golden/embeddings (made by tools/golden/embeddings.py), from their folders and from GGUF
// files that another tool wrote.
//
// Vectors lie within 2e-5 of their range of PyTorch's, and are the same bits whatever the file's
// form, the instruction set, the threads, the pieces of a text and the texts beside it (invariant
// 3).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "engine/embedder.h"
#include "gate/convert.h"
#include "gate/local_model.h"
#include "kernels/isa.h"
#include "model_runner.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;

constexpr double kTolerance = 2e-5;

struct Case {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<float> vector;
};

std::vector<Case> read_cases(const fs::path& folder) {
  auto text = base::read_text_file(folder / "cases.json", 1 << 20);
  auto json = base::parse_json(text.value(), "cases.json").value();
  std::vector<Case> out;
  for (const auto& one : json["cases"])
    out.push_back({.text = one["text"],
                   .ids = one["ids"].get<std::vector<int32_t>>(),
                   .vector = one["vector"].get<std::vector<float>>()});
  return out;
}

double deviation(const std::vector<float>& got, const std::vector<float>& expected) {
  if (got.size() != expected.size()) return 1;
  auto [low, high] = std::ranges::minmax(expected);
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i)
    worst = std::max(worst, std::abs(double{got[i]} - double{expected[i]}));
  return worst / (double{high} - double{low});
}

class GoldenEmbedding : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    folder_ = fs::path(LANTERN_SOURCE_DIR) / "tests/golden/embeddings" / GetParam();
    home_.emplace("embeddings-" + GetParam());
    cases_ = read_cases(folder_);
  }
  void TearDown() override { ::unsetenv("LANTERN_ISA"); }

  static engine::Engine load(const fs::path& path, int threads = 1) {
    auto engine = gate::load_model(path.string(), own_models(),
                                   {.threads = threads, .kv_type = kernels::KvType::kF32});
    EXPECT_TRUE(engine.ok()) << engine.error().message;
    return std::move(engine).value();
  }
  /// All texts together.
  std::vector<std::vector<float>> vectors(engine::Engine& engine, int64_t chunk = 0) const {
    std::vector<std::vector<int32_t>> inputs;
    for (const Case& one : cases_) inputs.push_back(engine.text().encode_to_embed(one.text));
    auto result = engine.embed(std::move(inputs), {.chunk = chunk});
    EXPECT_TRUE(result.ok()) << result.error().message;
    return std::move(result->vectors);
  }

  fs::path folder_;
  std::optional<ScopedHome> home_;
  std::vector<Case> cases_;
};

TEST_P(GoldenEmbedding, IdsAndVectorsAreThoseOfTheReference) {
  engine::Engine engine = load(folder_);
  const auto got = vectors(engine);
  for (size_t i = 0; i < cases_.size(); ++i) {
    SCOPED_TRACE(cases_[i].text);
    EXPECT_EQ(engine.text().encode_to_embed(cases_[i].text), cases_[i].ids);
    EXPECT_LE(deviation(got[i], cases_[i].vector), kTolerance);
  }
}

TEST_P(GoldenEmbedding, TheFormOfTheFileChangesNoBit) {
  engine::Engine folder = load(folder_);
  const auto want = vectors(folder);
  engine::Engine gguf = load(folder_ / "model.gguf");
  EXPECT_EQ(vectors(gguf), want);
  EXPECT_EQ(gguf.info().model.pooling, folder.info().model.pooling);
  const fs::path converted = home_->path() / "converted.gguf";
  auto written =
      gate::convert(folder_.string(), converted, {.type = {}, .consent = own_models().consent});
  ASSERT_TRUE(written.ok()) << written.error().message;
  engine::Engine again = load(converted);
  EXPECT_EQ(vectors(again), want);
}

TEST_P(GoldenEmbedding, NeitherCompanyNorPiecesNorThreadsNorInstructionSetsChangeABit) {
  ::setenv("LANTERN_ISA", "ref", 1);
  engine::Engine reference = load(folder_ / "model.gguf");
  std::vector<std::vector<float>> want;
  for (const Case& one : cases_) {
    auto alone = reference.embed({one.ids}, {});
    ASSERT_TRUE(alone.ok()) << alone.error().message;
    want.push_back(alone->vectors.front());
  }
  for (kernels::Isa kind :
       {kernels::Isa::kRef, kernels::Isa::kAvx2, kernels::Isa::kAvxVnni, kernels::Isa::kAvx512}) {
    if (!kernels::isa_supported(kind)) continue;
    const std::string isa(kernels::isa_name(kind));
    ::setenv("LANTERN_ISA", isa.c_str(), 1);
    for (int threads : {1, 3}) {
      engine::Engine engine = load(folder_ / "model.gguf", threads);
      for (int64_t chunk : {0, 1, 7, 40})
        EXPECT_EQ(vectors(engine, chunk), want)
            << isa << " threads " << threads << " chunk " << chunk;
    }
  }
}

TEST_P(GoldenEmbedding, TextsThatDoNotFitAreRefusedOrCutInsideTheirFrame) {
  engine::Engine engine = load(folder_ / "model.gguf");
  std::string text;
  for (int i = 0; i < 400; ++i) text += "word ";
  const auto whole = engine.text().encode_to_embed(text);
  EXPECT_EQ(engine.embed({whole}, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(engine.embed({}, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(engine.embed({{}}, {}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(engine.embed({{1 << 30}}, {}).error().code, ErrorCode::kInvalidArgument);
  const auto cut = engine.text().encode_to_embed(text, engine.info().context);
  EXPECT_EQ(std::ssize(cut), engine.info().context);
  EXPECT_EQ(cut.front(), whole.front());
  EXPECT_EQ(cut.back(), whole.back());
  EXPECT_TRUE(engine.embed({cut}, {}).ok());
}

INSTANTIATE_TEST_SUITE_P(All, GoldenEmbedding,
                         testing::Values("bert-mean", "bert-cls", "qwen3-last"),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Embeddings, ABertWritesNoText) {
  const ScopedHome home("embeddings-bert");
  const fs::path model =
      fs::path(LANTERN_SOURCE_DIR) / "tests/golden/embeddings/bert-mean/model.gguf";
  auto engine = gate::load_model(model.string(), own_models(), {.threads = 1});
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  const auto prompt = engine->raw_prompt("the");
  EXPECT_EQ(engine->generate(*prompt, {}).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(engine->info().kv_type, kernels::KvType::kF32);
}

TEST(Embeddings, AShortenedVectorHasLengthOneAgain) {
  std::vector<std::vector<float>> vectors = {{0.6f, 0.0f, 0.8f}, {0, 0, 1}};
  ASSERT_TRUE(engine::shorten(vectors, 1).ok());
  EXPECT_EQ(vectors[0], std::vector<float>{1.0f});
  EXPECT_EQ(vectors[1], std::vector<float>{0.0f});
  EXPECT_EQ(engine::shorten(vectors, 2).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace lantern::tests
