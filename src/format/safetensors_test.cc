#include "format/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "format/hf_folder.h"
#include "format/renamed_checkpoint.h"
#include "format/testing.h"

namespace lantern::format {
namespace {

using quant::DType;
using testing::HasSubstr;
namespace fs = std::filesystem;

const fs::path kData = LANTERN_SOURCE_DIR "/src/format/testdata";

template <typename T>
std::vector<T> values_of(const AdmittedModel& model, std::string_view name) {
  const Tensor* tensor = model.checkpoint().find(name);
  if (tensor == nullptr) return {};
  std::vector<T> values(tensor->bytes / sizeof(T));
  EXPECT_TRUE(read_tensor(model, *tensor, 0, std::as_writable_bytes(std::span(values))).ok());
  return values;
}

TEST(Safetensors, ReadsWhatTheReferenceWrote) {
  auto file = open_safetensors(kData / "small.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(*(*file)->metadata().get_string("note"), "größe");
  EXPECT_EQ((*file)->tensors().size(), 4u);
  EXPECT_EQ((*file)->find("a")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ((*file)->find("b")->type, DType::kBF16);
  EXPECT_EQ((*file)->find("c.scalar")->shape, std::vector<int64_t>{1});
  EXPECT_EQ((*file)->find("d.empty")->bytes, 0u);
  AdmittedModel model = admit_for_test(std::move(*file));
  EXPECT_EQ(values_of<float>(model, "a"), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  // bfloat16 of 0, 1, 2, 3
  EXPECT_EQ(values_of<uint16_t>(model, "b"), (std::vector<uint16_t>{0, 0x3f80, 0x4000, 0x4040}));
  EXPECT_EQ(values_of<uint16_t>(model, "c.scalar"), std::vector<uint16_t>{0x3e00});
}

TEST(Safetensors, ReadsShards) {
  auto model = open_safetensors(kData / "hf");
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ((*model)->files().size(), 2u);
  EXPECT_EQ((*model)->tensors().size(), 12u);
  EXPECT_EQ((*model)->find("model.layers.0.mlp.down_proj.weight")->shape,
            (std::vector<int64_t>{8, 12}));
}

class ShardedFolder : public testing::Test {
 protected:
  void SetUp() override {
    for (const auto& entry : fs::directory_iterator(kData / "hf"))
      folder_.write(entry.path().filename().string(), file_bytes(entry.path()));
    index_ = file_bytes(kData / "hf/model.safetensors.index.json");
  }
  Error open_with_index(const std::string& from, const std::string& to) {
    std::string index = index_;
    size_t at = index.find(from);
    if (at == std::string::npos) return Error{ErrorCode::kInternal, "not in the index: " + from};
    folder_.write("model.safetensors.index.json", index.replace(at, from.size(), to));
    auto model = open_safetensors(folder_.path());
    return model.ok() ? Error{ErrorCode::kInternal, "opened"} : model.error();
  }
  TemporaryFolder folder_;
  std::string index_;
};

TEST_F(ShardedFolder, AnIndexCannotLeadOutOfTheFolder) {
  for (const char* name : {"../model-00002-of-00002.safetensors", "/etc/passwd", "a/b.safetensors",
                           "..", "", "c:x", "a\\\\b"}) {
    Error error = open_with_index("model-00002-of-00002.safetensors", name);
    EXPECT_EQ(error.code, ErrorCode::kCorrupt) << name;
    EXPECT_THAT(error.message, HasSubstr("is no name of a file in this folder")) << name;
  }
}

TEST_F(ShardedFolder, IndexAndShardsMustAgree) {
  Error moved =
      open_with_index("model.norm.weight\": \"model-00002", "model.norm.weight\": \"model-00001");
  EXPECT_EQ(moved.code, ErrorCode::kCorrupt);
  EXPECT_THAT(moved.message, HasSubstr("tensor model.norm.weight is in shard model-00002"));
  Error unnamed = open_with_index("model.norm.weight", "model.other.weight");
  EXPECT_THAT(unnamed.message, HasSubstr("the index says nothing of it"));
  Error missing = open_with_index(
      "\"model.norm.weight", "\"x\": \"model-00001-of-00002.safetensors\", \"model.norm.weight");
  EXPECT_THAT(missing.message, HasSubstr("x is missing from model-00001-of-00002.safetensors"));
  Error twice =
      open_with_index("\"model.norm.weight", "\"lm_head.weight\": \"y\", \"model.norm.weight");
  EXPECT_THAT(twice.message, HasSubstr("stands twice"));
  fs::remove(folder_.path() / "model-00002-of-00002.safetensors");
  EXPECT_EQ(open_with_index("{", "{").code, ErrorCode::kNotFound);
}

TEST(HfFolder, ReadsAllOfIt) {
  ASSERT_TRUE(HfFolder::looks_like_one(kData / "hf"));
  auto folder = HfFolder::open(kData / "hf");
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(*folder->model_type(), "llama");
  EXPECT_EQ(folder->text_config()["rope_parameters"]["rope_theta"], 10000.0);
  EXPECT_EQ(folder->special_token("bos_token"), "<s>");
  EXPECT_EQ(folder->special_token("eos_token"), "</s>");
  EXPECT_EQ(folder->special_token("unk_token"), "<unk>");
  EXPECT_EQ(folder->special_token("pad_token"), std::nullopt);
  EXPECT_EQ(folder->tokenizer_json, "{}");
  EXPECT_EQ(folder->licence_id, "apache-2.0");
  EXPECT_EQ(folder->licence_file->filename(), "LICENSE");
  EXPECT_EQ(folder->chat_templates,
            (std::map<std::string, std::string>{{"default", "{{ messages }}"},
                                                {"tool_use", "{{ tools }}"}}));
}

TEST_F(ShardedFolder, TemplateFilesComeBeforeTheTokenizersConfig) {
  folder_.write("chat_template.jinja", "file");
  folder_.write("additional_chat_templates/rag.jinja", "rag");
  auto folder = HfFolder::open(folder_.path());
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->chat_templates,
            (std::map<std::string, std::string>{{"default", "file"}, {"rag", "rag"}}));
}

TEST_F(ShardedFolder, BrokenPartsAreNamed) {
  folder_.write("tokenizer_config.json", "{\"chat_template\": 5}");
  EXPECT_THAT(HfFolder::open(folder_.path()).error().message,
              HasSubstr("tokenizer_config.json: key chat_template"));
  folder_.write("config.json", "[]");
  EXPECT_THAT(HfFolder::open(folder_.path()).error().message, HasSubstr("config.json: is array"));
  fs::remove(folder_.path() / "config.json");
  EXPECT_EQ(HfFolder::open(folder_.path()).error().code, ErrorCode::kNotFound);
}

TEST(HfFolder, PicklesAreNamedNotLoaded) {
  TemporaryFolder folder;
  folder.write("config.json", "{\"model_type\": \"llama\"}");
  folder.write("pytorch_model.bin", "x");
  auto result = HfFolder::open(folder.path());
  EXPECT_EQ(result.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(result.error().message, HasSubstr("pickle"));
}

class Renamed : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_safetensors(kData / "small.safetensors");
    ASSERT_TRUE(opened.ok());
    source_ = std::move(*opened);
    a_ = source_->find("a");  // [2, 3] float32, 0 to 5
    b_ = source_->find("b");  // [4] bfloat16, 0 to 3
  }
  Result<std::unique_ptr<Checkpoint>> rename(RenamedTensor tensor) {
    std::vector<RenamedTensor> tensors;
    tensors.push_back(std::move(tensor));
    return rename_tensors(source_, Metadata(), std::move(tensors));
  }
  std::vector<float> values(RenamedTensor tensor) {
    auto model = rename(std::move(tensor));
    if (!model.ok()) {
      ADD_FAILURE() << model.error().message;
      return {};
    }
    return values_of<float>(admit_for_test(std::move(*model)), "x");
  }
  std::shared_ptr<const Checkpoint> source_;
  const Tensor *a_ = nullptr, *b_ = nullptr;
};

TEST_F(Renamed, SplitsStacksReordersAndMakes) {
  using V = std::vector<float>;
  EXPECT_EQ(values({"x", {2, 3}, {all_rows(*a_)}, {}, {}}), (V{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values({"x", {1, 3}, {{a_, 1, 2}}, {}, {}}), (V{3, 4, 5}));
  EXPECT_EQ(values({"x", {2, 3}, {{a_, 1, 2}, {a_, 0, 1}}, {}, {}}), (V{3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(values({"x", {2, 2, 3}, {all_rows(*a_), all_rows(*a_)}, {}, {}}),
            (V{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(values({"x", {2}, {}, {0.5f, 2.0f}, {}}), (V{0.5f, 2.0f}));
  EXPECT_EQ(values({"x", {4}, {all_rows(*b_)}, {}, 1.0f}), (V{1, 2, 3, 4}));
  EXPECT_EQ(values({"x", {2}, {{b_, 2, 4}}, {}, 0.0f}), (V{2, 3}));
}

TEST_F(Renamed, EveryRangeOfBytesIsTheSame) {
  for (std::optional<float> add : {std::optional<float>(), std::optional<float>(1.0f)}) {
    auto made = rename({"x", {3, 3}, {{a_, 1, 2}, {a_, 0, 1}, {a_, 1, 2}}, {}, add});
    ASSERT_TRUE(made.ok());
    AdmittedModel model = admit_for_test(std::move(*made));
    auto whole = values_of<float>(model, "x");
    auto bytes = std::as_bytes(std::span(whole));
    for (size_t begin = 0; begin < bytes.size(); ++begin) {
      for (size_t end = begin; end <= bytes.size(); ++end) {
        std::vector<std::byte> out(end - begin);
        ASSERT_TRUE(read_tensor(model, *model.checkpoint().find("x"), begin, out).ok());
        EXPECT_TRUE(std::ranges::equal(out, bytes.subspan(begin, out.size())));
      }
    }
  }
}

TEST_F(Renamed, RefusesWhatDoesNotFit) {
  auto code = [&](RenamedTensor tensor) {
    auto model = rename(std::move(tensor));
    return model.ok() ? ErrorCode::kInternal : model.error().code;
  };
  EXPECT_EQ(code({"x", {2, 4}, {all_rows(*a_)}, {}, {}}), ErrorCode::kCorrupt);
  EXPECT_EQ(code({"x", {3, 3}, {{a_, 0, 3}}, {}, {}}), ErrorCode::kCorrupt);
  EXPECT_EQ(code({"x", {1, 3}, {{a_, -1, 0}}, {}, {}}), ErrorCode::kCorrupt);
  EXPECT_EQ(code({"x", {10}, {all_rows(*a_), all_rows(*b_)}, {}, {}}), ErrorCode::kCorrupt);
  EXPECT_EQ(code({"x", {}, {}, {}, {}}), ErrorCode::kCorrupt);
  EXPECT_EQ(code({"x", {INT64_MAX, INT64_MAX}, {}, {1}, {}}), ErrorCode::kCorrupt);
  Tensor foreign = *a_;
  EXPECT_EQ(code({"x", {2, 3}, {all_rows(foreign)}, {}, {}}), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace lantern::format
