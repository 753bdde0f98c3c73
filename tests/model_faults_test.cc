// Files that are valid GGUF but no valid model: what loading and running say of them.
//
// Each case is the golden llama's file with one thing changed, its weights zeros.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "format/gguf.h"
#include "format/gguf_writer.h"
#include "gate/admission.h"
#include "model_runner.h"
#include "program.h"
#include "quant/dtype.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using format::TensorPlan;
using testing::HasSubstr;

using Plan = std::vector<TensorPlan>;

TensorPlan& named(Plan& plan, std::string_view name) {
  return *std::ranges::find(plan, name, &TensorPlan::name);
}

class ModelFaults : public testing::Test {
 protected:
  /// The golden llama's header as `change` leaves it; every float of the tensors is `value`.
  fs::path write(const std::function<void(Plan&, format::Metadata&)>& change, float value = 0.0f) {
    const fs::path source =
        fs::path(LANTERN_SOURCE_DIR) / "tests/golden/models/llama-tied/model.gguf";
    const auto checkpoint = format::open_gguf(source).value();
    format::Metadata metadata = checkpoint->metadata();
    Plan plan;
    for (const format::Tensor& tensor : checkpoint->tensors())
      plan.push_back({.name = tensor.name, .type = tensor.type, .shape = tensor.shape});
    change(plan, metadata);
    const fs::path path = home_.path() / "model.gguf";
    auto writer = format::GgufWriter::create(path, metadata, plan).value();
    for (size_t i = 0; i < plan.size(); ++i) {
      int64_t rows = 1;
      for (size_t d = 0; d + 1 < plan[i].shape.size(); ++d) rows *= plan[i].shape[d];
      const uint64_t bytes =
          static_cast<uint64_t>(rows) *
          quant::row_bytes(plan[i].type, static_cast<uint64_t>(plan[i].shape.back())).value();
      std::vector<float> data(bytes / sizeof(float) + 1,
                              plan[i].type == quant::DType::kF32 ? value : 0.0f);
      EXPECT_TRUE(writer.write(i, std::as_bytes(std::span(data)).first(bytes)).ok());
    }
    EXPECT_TRUE(writer.commit().ok());
    return path;
  }

  Error load_error(const std::function<void(Plan&, format::Metadata&)>& change,
                   float value = 0.0f) {
    auto admitted = gate::Admission::admit(write(change, value).string(), own_models());
    if (!admitted.ok()) return admitted.error();
    base::ThreadPool pool(1);
    const kernels::Context context{.pool = &pool};
    auto model = arch::Model::load(admitted.value(), {.context = &context, .progress = {}});
    EXPECT_FALSE(model.ok());
    return model.ok() ? Error{} : model.error();
  }

  ScopedHome home_{"faults"};
};

TEST_F(ModelFaults, MissingTensorsAreNamed) {
  for (std::string_view name : {"token_embd.weight", "output_norm.weight", "blk.1.attn_k.weight",
                                "blk.0.ffn_norm.weight", "blk.1.ffn_down.weight"}) {
    const Error error = load_error([&](Plan& plan, format::Metadata&) {
      std::erase_if(plan, [&](const TensorPlan& tensor) { return tensor.name == name; });
    });
    EXPECT_EQ(error.code, ErrorCode::kCorrupt);
    EXPECT_THAT(error.message, HasSubstr(name));
  }
}

TEST_F(ModelFaults, WrongShapesAreNamed) {
  for (std::string_view name : {"token_embd.weight", "output_norm.weight", "blk.1.attn_q.weight",
                                "blk.0.attn_output.weight", "blk.1.ffn_up.weight"}) {
    for (const auto& shape : std::vector<std::vector<int64_t>>{{3}, {3, 5}, {61, 48, 2}}) {
      const Error error =
          load_error([&](Plan& plan, format::Metadata&) { named(plan, name).shape = shape; });
      EXPECT_EQ(error.code, ErrorCode::kCorrupt);
      EXPECT_THAT(error.message, HasSubstr(name));
    }
  }
}

TEST_F(ModelFaults, MetadataThatTheTensorsContradictIsAnError) {
  const struct {
    const char* key;
    uint64_t value;
  } cases[] = {{"llama.block_count", 3},
               {"llama.embedding_length", 64},
               {"llama.feed_forward_length", 48},
               {"llama.attention.head_count_kv", 1}};
  for (const auto& [key, value] : cases) {
    const Error error =
        load_error([&](Plan&, format::Metadata& metadata) { metadata.set(key, value); });
    EXPECT_EQ(error.code, ErrorCode::kCorrupt) << key;
    EXPECT_THAT(error.message, HasSubstr("tensor")) << key;
  }
}

TEST_F(ModelFaults, QuantizedVectorsAreUnsupported) {
  const Error error = load_error([](Plan& plan, format::Metadata& metadata) {
    for (TensorPlan& tensor : plan) {  // 64 wide, so that a vector can be of blocks
      const bool adds =
          tensor.name.ends_with("attn_output.weight") || tensor.name.ends_with("ffn_down.weight");
      (adds ? tensor.shape.front() : tensor.shape.back()) = 64;
    }
    metadata.set("llama.embedding_length", uint64_t{64});
    named(plan, "output_norm.weight").type = quant::DType::kQ8_0;
  });
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_THAT(error.message, HasSubstr("output_norm.weight"));
}

TEST_F(ModelFaults, RopeFactorsMustBePositiveAndComeInPairs) {
  Error error = load_error([](Plan& plan, format::Metadata&) {
    plan.push_back({.name = "rope_freqs.weight", .shape = {6}});
  });
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_THAT(error.message, HasSubstr("rope factor"));
  error = load_error([](Plan& plan, format::Metadata&) {
    plan.push_back({.name = "rope_factors_long.weight", .shape = {6}});
  });
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_THAT(error.message, HasSubstr("rope_factors_short.weight"));
}

TEST_F(ModelFaults, UnusedTensorsAreANotice) {
  const Loaded model = load_model(write([](Plan& plan, format::Metadata&) {
    plan.push_back({.name = "blk.0.surprise.weight", .shape = {3}});
  }));
  EXPECT_THAT(model.model->info().notices,
              testing::ElementsAre(HasSubstr("blk.0.surprise.weight")));
}

TEST_F(ModelFaults, LogitsThatAreNotFiniteEndTheStep) {
  for (float value :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const Loaded loaded = load_model(write([](Plan&, format::Metadata&) {}, value));
    const arch::ModelInfo& info = loaded.model->info();
    const Cache cache(info, 2, kernels::KvType::kF32);
    const std::vector<int32_t> tokens{1, 2};
    std::vector<float> logits(static_cast<size_t>(info.n_vocab));
    const arch::SequenceStep step{
        .tokens = tokens, .kv = cache.views(), .planned_length = 2, .logits = logits.data()};
    arch::Workspace workspace;
    const Status status = loaded.model->forward(loaded.context, std::span(&step, 1), workspace);
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().message, HasSubstr("not finite"));
  }
}

TEST_F(ModelFaults, TokensOutsideTheVocabularyAreRefused) {
  const Loaded loaded = load_model(write([](Plan&, format::Metadata&) {}));
  const Cache cache(loaded.model->info(), 1, kernels::KvType::kF32);
  std::vector<float> logits(static_cast<size_t>(loaded.model->info().n_vocab));
  arch::Workspace workspace;
  for (int32_t token : {-1, 61, std::numeric_limits<int32_t>::max()}) {
    const arch::SequenceStep step{.tokens = std::span(&token, 1),
                                  .kv = cache.views(),
                                  .planned_length = 1,
                                  .logits = logits.data()};
    const Status status = loaded.model->forward(loaded.context, std::span(&step, 1), workspace);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST_F(ModelFaults, LoadingCanBeCancelled) {
  auto admitted =
      gate::Admission::admit(write([](Plan&, format::Metadata&) {}).string(), own_models());
  ASSERT_TRUE(admitted.ok()) << admitted.error().message;
  base::ThreadPool pool(1);
  const kernels::Context context{.pool = &pool};
  uint64_t last = 0;
  auto model = arch::Model::load(
      admitted.value(), {.context = &context, .progress = [&](uint64_t done, uint64_t all) {
                           EXPECT_LE(done, all);
                           last = done;
                           return done < all / 2;
                         }});
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kCancelled);
  EXPECT_GT(last, 0u);
}

}  // namespace
}  // namespace lantern::tests
