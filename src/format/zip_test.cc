#include "format/zip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/npy.h"
#include "format/testing.h"

namespace lantern::format {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

const fs::path kData = LANTERN_SOURCE_DIR "/src/format/testdata";

std::string repeated() {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "the same line again and again\n";
  return text;
}

TEST(Zip, ExtractsWhatPythonPacked) {
  auto zip = ZipFile::open(kData / "plain.zip");
  ASSERT_TRUE(zip.ok()) << zip.error().message;
  ASSERT_EQ(zip->entries().size(), 5u);
  EXPECT_TRUE(zip->entries()[0].is_folder());
  EXPECT_EQ(*zip->extract_text(*zip->find("folder/stored.txt"), 100), "stored");
  EXPECT_EQ(*zip->extract_text(*zip->find("deflated.txt"), 10000), repeated());
  EXPECT_EQ(*zip->extract_text(*zip->find("empty"), 0), "");
  EXPECT_EQ(*zip->extract_text(*zip->find("größe.txt"), 100), "größe");
  EXPECT_EQ(zip->find("no"), nullptr);
  EXPECT_EQ(zip->extract_text(*zip->find("deflated.txt"), 100).error().code, ErrorCode::kTooLarge);
}

TEST(Zip, ReadsZip64AndDataDescriptors) {
  auto zip64 = ZipFile::open(kData / "zip64.zip");
  ASSERT_TRUE(zip64.ok()) << zip64.error().message;
  EXPECT_EQ(*zip64->extract_text(*zip64->find("large.txt"), 10000), repeated());
  auto streamed = ZipFile::open(kData / "streamed.zip");
  ASSERT_TRUE(streamed.ok()) << streamed.error().message;
  EXPECT_EQ(*streamed->extract_text(*streamed->find("streamed.txt"), 10000), repeated());
  EXPECT_EQ(*streamed->extract_text(*streamed->find("second.txt"), 10000), "second");
}

TEST(Zip, OtherMethodsAreListedNotExtracted) {
  auto zip = ZipFile::open(kData / "bzip2.zip");
  ASSERT_TRUE(zip.ok());
  auto text = zip->extract_text(zip->entries()[0], 10000);
  EXPECT_EQ(text.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(text.error().message, HasSubstr("method 12"));
}

TEST(Zip, TheSinksErrorEndsIt) {
  auto zip = ZipFile::open(kData / "plain.zip");
  ASSERT_TRUE(zip.ok());
  auto full = [](std::span<const std::byte>) -> Status {
    return make_error(ErrorCode::kTooLarge, "disk full");
  };
  EXPECT_EQ(zip->extract(*zip->find("deflated.txt"), full).error().message, "disk full");
  EXPECT_EQ(zip->extract(*zip->find("folder/stored.txt"), full).error().message, "disk full");
}

TEST(Zip, SafePathsStayInside) {
  for (const char* good : {"a", "a/b.txt", "a/", "größe", "..a", "a..b/c"})
    EXPECT_TRUE(is_safe_path(good)) << good;
  for (const char* bad : {"", "/", "/a", "..", "../a", "a/..", "a/../b", "a//b", "./a", "a/.",
                          "a\\b", "c:a", "a\nb", "\xff", "//a"})
    EXPECT_FALSE(is_safe_path(bad)) << bad;
}

TEST(Npy, GivesNumpysBytes) {
  TemporaryFolder folder;
  auto writer = NpyWriter::create(folder.path() / "m.npy", 3, 5);
  ASSERT_TRUE(writer.ok());
  std::vector<float> values;
  for (int i = 0; i < 15; ++i) values.push_back(static_cast<float>(i) / 4);
  std::span<const float> all(values);
  ASSERT_TRUE(writer->write_rows(all.first(5)).ok());
  EXPECT_EQ(writer->commit().error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(writer->write_rows(all.first(4)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(writer->write_rows(all).error().code, ErrorCode::kInvalidArgument);
  ASSERT_TRUE(writer->write_rows(all.subspan(5)).ok());
  ASSERT_TRUE(writer->commit().ok());
  EXPECT_EQ(file_bytes(folder.path() / "m.npy"), file_bytes(kData / "matrix.npy"));
}

}  // namespace
}  // namespace lantern::format
