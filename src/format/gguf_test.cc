#include "format/gguf.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "base/json.h"
#include "format/gguf_writer.h"
#include "format/testing.h"

namespace lantern::format {
namespace {

using base::Json;
using testing::HasSubstr;
namespace fs = std::filesystem;

const fs::path kData = LANTERN_SOURCE_DIR "/src/format/testdata";

Json expected() {
  return *base::parse_json(file_bytes(kData / "all_types.json"), "all_types.json");
}

Json to_json(const MetadataValue& value) {
  return std::visit(
      [](const auto& v) -> Json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (requires { typename T::value_type; } && !std::is_same_v<T, std::string>) {
          Json list = Json::array();
          for (auto element : v) list.push_back(static_cast<typename T::value_type>(element));
          return list;
        } else {
          return v;
        }
      },
      value);
}

TEST(Gguf, ReadsWhatTheGgufPackageWrote) {
  auto file = open_gguf(kData / "all_types.gguf");
  ASSERT_TRUE(file.ok()) << file.error().message;
  Json keys = expected()["keys"];
  EXPECT_EQ((*file)->metadata().all().size(), keys.size());
  for (const auto& [key, wanted] : keys.items()) {
    auto at = (*file)->metadata().all().find(key);
    ASSERT_NE(at, (*file)->metadata().all().end()) << key;
    EXPECT_EQ(static_cast<int>(at->second.type), wanted["type"].get<int>()) << key;
    EXPECT_EQ(to_json(at->second.value), wanted["value"]) << key;
  }
  Json tensors = expected()["tensors"];
  EXPECT_EQ((*file)->tensors().size(), tensors.size());
  for (const auto& [name, wanted] : tensors.items()) {
    const Tensor* tensor = (*file)->find(name);
    ASSERT_NE(tensor, nullptr) << name;
    EXPECT_EQ(static_cast<int>(tensor->type), wanted["type"].get<int>());
    EXPECT_EQ(tensor->shape, wanted["shape"].get<std::vector<int64_t>>());
    EXPECT_EQ(tensor->bytes, wanted["bytes"].get<uint64_t>());
    EXPECT_EQ(tensor->offset, wanted["offset"].get<uint64_t>());
  }
}

TEST(Gguf, ReadsTensorDataForTheAdmitted) {
  auto file = open_gguf(kData / "all_types.gguf");
  ASSERT_TRUE(file.ok());
  AdmittedModel model = admit_for_test(std::move(*file));
  for (const Tensor& tensor : model.checkpoint().tensors()) {
    Json wanted = expected()["tensors"][tensor.name];
    std::byte first{}, last{};
    ASSERT_TRUE(read_tensor(model, tensor, 0, std::span(&first, 1)).ok());
    ASSERT_TRUE(read_tensor(model, tensor, tensor.bytes - 1, std::span(&last, 1)).ok());
    EXPECT_EQ(static_cast<int>(first), wanted["first"].get<int>()) << tensor.name;
    EXPECT_EQ(static_cast<int>(last), wanted["last"].get<int>()) << tensor.name;
    EXPECT_EQ(read_tensor(model, tensor, tensor.bytes, std::span(&last, 1)).error().code,
              ErrorCode::kInvalidArgument);
  }
}

TEST(Gguf, ATensorOfOnesOwnMakingReadsNothing) {
  auto file = open_gguf(kData / "all_types.gguf");
  ASSERT_TRUE(file.ok());
  AdmittedModel model = admit_for_test(std::move(*file));
  Tensor forged = model.checkpoint().tensors()[0];
  forged.offset = 0;
  std::byte out{};
  EXPECT_EQ(read_tensor(model, forged, 0, std::span(&out, 1)).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(Gguf, Version2IsTheSame) {
  auto old = open_gguf(kData / "version2.gguf"), file = open_gguf(kData / "all_types.gguf");
  ASSERT_TRUE(old.ok() && file.ok());
  EXPECT_EQ((*old)->metadata().all(), (*file)->metadata().all());
  EXPECT_EQ((*old)->tensors().size(), (*file)->tensors().size());
}

TEST(Gguf, AnyPartOpensTheWholeSplitModel) {
  auto whole = open_gguf(kData / "all_types.gguf");
  ASSERT_TRUE(whole.ok());
  AdmittedModel one = admit_for_test(std::move(*whole));
  for (int part = 1; part <= 3; ++part) {
    auto file = open_gguf(kData / fmt::format("split/model-{:05}-of-00003.gguf", part));
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ((*file)->files().size(), 3u);
    EXPECT_EQ(*(*file)->metadata().get_string("general.license"), "apache-2.0");
    AdmittedModel split = admit_for_test(std::move(*file));
    ASSERT_EQ(split.checkpoint().tensors().size(), one.checkpoint().tensors().size());
    for (const Tensor& tensor : split.checkpoint().tensors()) {
      const Tensor* same = one.checkpoint().find(tensor.name);
      ASSERT_NE(same, nullptr);
      std::vector<std::byte> a(tensor.bytes), b(same->bytes);
      ASSERT_TRUE(read_tensor(split, tensor, 0, a).ok());
      ASSERT_TRUE(read_tensor(one, *same, 0, b).ok());
      EXPECT_EQ(a, b) << tensor.name;
    }
  }
}

TEST(Gguf, ASplitModelNeedsAllPartsUnderTheirNames) {
  TemporaryFolder folder;
  std::string first = file_bytes(kData / "split/model-00001-of-00003.gguf");
  auto alone = open_gguf(folder.write("model-00001-of-00003.gguf", first));
  EXPECT_EQ(alone.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(alone.error().message, HasSubstr("model-00002-of-00003.gguf"));
  EXPECT_EQ(open_gguf(folder.write("model.gguf", first)).error().code, ErrorCode::kInvalidArgument);
  // The second part twice: its metadata contradicts the third's name.
  std::string second = file_bytes(kData / "split/model-00002-of-00003.gguf");
  folder.write("model-00002-of-00003.gguf", second);
  folder.write("model-00003-of-00003.gguf", second);
  auto twice = open_gguf(folder.path() / "model-00001-of-00003.gguf");
  EXPECT_EQ(twice.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(twice.error().message, HasSubstr("says part 2 of 3, its name part 3 of 3"));
}

TEST(Gguf, AFileCutShortWhileItIsReadIsAnError) {
  TemporaryFolder folder;
  auto path = folder.write("m.gguf", file_bytes(kData / "all_types.gguf"));
  auto file = open_gguf(path);
  ASSERT_TRUE(file.ok());
  AdmittedModel model = admit_for_test(std::move(*file));
  fs::resize_file(path, 100);
  const Tensor& tensor = model.checkpoint().tensors()[0];
  std::vector<std::byte> out(tensor.bytes);
  EXPECT_EQ(read_tensor(model, tensor, 0, out).error().code, ErrorCode::kCorrupt);
}

TEST(GgufWriter, GivesBackTheGgufPackagesBytes) {
  TemporaryFolder folder;
  auto file = open_gguf(kData / "all_types.gguf");
  ASSERT_TRUE(file.ok());
  AdmittedModel model = admit_for_test(std::move(*file));
  std::vector<TensorPlan> plan;
  for (const Tensor& t : model.checkpoint().tensors()) plan.push_back({t.name, t.type, t.shape});
  auto writer = GgufWriter::create(folder.path() / "out.gguf", model.checkpoint().metadata(), plan);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  for (size_t i = 0; i < plan.size(); ++i) {
    const Tensor& tensor = model.checkpoint().tensors()[i];
    for (uint64_t done = 0; done < tensor.bytes;) {  // in pieces of seven bytes
      std::vector<std::byte> piece(std::min<uint64_t>(7, tensor.bytes - done));
      ASSERT_TRUE(read_tensor(model, tensor, done, piece).ok());
      ASSERT_TRUE(writer->write(i, piece).ok());
      done += piece.size();
    }
  }
  EXPECT_FALSE(fs::exists(folder.path() / "out.gguf"));
  ASSERT_TRUE(writer->commit().ok());
  EXPECT_EQ(file_bytes(folder.path() / "out.gguf"), file_bytes(kData / "all_types.gguf"));
}

TEST(GgufWriter, RefusesWhatWouldBeNoFileAndLeavesNothing) {
  TemporaryFolder folder;
  fs::path path = folder.path() / "out.gguf";
  using quant::DType;
  Metadata none;
  auto code = [&](std::vector<TensorPlan> plan) {
    auto writer = GgufWriter::create(path, none, std::move(plan));
    return writer.ok() ? ErrorCode::kInternal : writer.error().code;
  };
  EXPECT_EQ(code({{"a", DType::kF32, {2}}, {"a", DType::kF32, {2}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{"", DType::kF32, {2}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{"a", DType::kF32, {0}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{"a", DType::kF32, {-1}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{"a", DType::kQ4_0, {33}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{"a", DType::kF32, {1, 1, 1, 1, 1}}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({{"a", DType::kF32, {INT64_MAX, 8}}}), ErrorCode::kInvalidArgument);
  {
    auto writer = GgufWriter::create(path, none, {{"a", DType::kF32, {2}}});
    ASSERT_TRUE(writer.ok());
    std::vector<std::byte> bytes(9);
    EXPECT_EQ(writer->write(0, bytes).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(writer->write(1, {}).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(writer->commit().error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

std::chrono::nanoseconds thread_cpu_time() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// A bound far above what is needed (about 25 ms, ten times that under sanitizers): it fails for
// anything quadratic. Processor time, so that a busy machine changes nothing.
TEST(Gguf, ReadsALargeVocabularyQuickly) {
  TemporaryFolder folder;
  Metadata metadata;
  StringArray tokens, merges;
  for (int i = 0; i < 128'256; ++i) tokens.push_back(fmt::format("token{}", i));
  for (int i = 0; i < 280'147; ++i) merges.push_back(fmt::format("token{} token{}", i, i + 1));
  metadata.set("tokenizer.ggml.tokens", tokens);
  metadata.set("tokenizer.ggml.merges", merges);
  metadata.set("tokenizer.ggml.token_type", std::vector<int64_t>(128'256, 1));
  auto writer = GgufWriter::create(folder.path() / "v.gguf", metadata, {});
  ASSERT_TRUE(writer.ok() && writer->commit().ok());
  auto begin = thread_cpu_time();
  auto file = open_gguf(folder.path() / "v.gguf");
  auto spent = thread_cpu_time() - begin;
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->metadata().all() == metadata.all());
  RecordProperty("milliseconds", std::to_string(spent / std::chrono::milliseconds(1)));
  EXPECT_LT(spent, std::chrono::seconds(2));
}

}  // namespace
}  // namespace lantern::format
