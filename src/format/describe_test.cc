#include "format/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/testing.h"

namespace lantern::format {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
namespace fs = std::filesystem;

const fs::path kData = LANTERN_SOURCE_DIR "/src/format/testdata";

TEST(Describe, AGgufFile) {
  auto d = describe(kData / "all_types.gguf");
  ASSERT_TRUE(d.ok()) << d.error().message;
  EXPECT_EQ(d->kind, FileKind::kGguf);
  EXPECT_EQ(d->architecture, "llama");
  EXPECT_THAT(d->licence, ElementsAre(Pair("general.license", "apache-2.0")));
  // 96 Q4_0, 5 F32, 256 Q4_1, 24 F16, 512 Q4_K, 64 Q8_0
  EXPECT_EQ(d->n_parameters, 96u + 5 + 4 * 64 + 24 + 2 * 256 + 2 * 32);
  EXPECT_EQ(d->tensor_bytes, 54u + 20 + 160 + 48 + 288 + 68);
  EXPECT_EQ(d->file_bytes, fs::file_size(kData / "all_types.gguf"));
  EXPECT_EQ(d->mix_text(), "Q4_K 45 %, Q4_1 25 %, Q8_0 11 %, Q4_0 8 %, F16 8 %, F32 3 %");
  EXPECT_TRUE(d->chat_templates.empty());
  EXPECT_EQ(d->n_context, std::nullopt);
}

TEST(Describe, AHuggingFaceFolder) {
  auto d = describe(kData / "hf");
  ASSERT_TRUE(d.ok()) << d.error().message;
  EXPECT_EQ(d->kind, FileKind::kHfFolder);
  EXPECT_EQ(d->architecture, "llama");
  EXPECT_EQ(d->n_parameters, 888u);
  EXPECT_EQ(d->n_context, 64);
  EXPECT_EQ(d->n_vocab, 24);
  EXPECT_THAT(d->chat_templates, ElementsAre("default", "tool_use"));
  EXPECT_THAT(d->licence, ElementsAre(Pair("license", "apache-2.0"), Pair("file", "LICENSE")));
}

TEST(Describe, KindsAreToldByContent) {
  TemporaryFolder folder;
  auto kind = [&](std::string_view content) {
    return *detect_file_kind(folder.write("model.gguf", content));
  };
  EXPECT_EQ(kind(file_bytes(kData / "all_types.gguf")), FileKind::kGguf);
  EXPECT_EQ(kind(file_bytes(kData / "small.safetensors")), FileKind::kSafetensors);
  EXPECT_EQ(kind(file_bytes(kData / "plain.zip")), FileKind::kZip);
  EXPECT_EQ(kind("\x80\x02}q."), FileKind::kPickle);
  EXPECT_EQ(kind("tjgg...."), FileKind::kGgml);
  EXPECT_EQ(kind(""), FileKind::kUnknown);
  EXPECT_EQ(kind("text of some length"), FileKind::kUnknown);
  EXPECT_EQ(*detect_file_kind(kData / "hf"), FileKind::kHfFolder);
  EXPECT_EQ(detect_file_kind(folder.path() / "no").error().code, ErrorCode::kNotFound);
}

TEST(Describe, PicklesAreNamedNotLoaded) {
  TemporaryFolder folder;
  auto d = describe(folder.write("model.bin", "\x80\x02}q."));
  EXPECT_EQ(d.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(d.error().message, HasSubstr("is a Python pickle"));
}

}  // namespace
}  // namespace lantern::format
