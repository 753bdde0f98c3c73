// Every way in which a zip archive may lie, by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "builders.h"
#include "format/zip.h"

namespace lantern::corrupt {
namespace {

using format::MemorySource;
using format::ZipFile;
using format::ZipLimits;
using testing::HasSubstr;
using testing::Not;

// Field offsets in the records, after PKWARE's APPNOTE.
enum Local : size_t {
  kLocalFlags = 6,
  kLocalMethod = 8,
  kLocalCrc = 14,
  kLocalSize = 22,
  kLocalName = 30
};
enum Central : size_t {
  kFlags = 8,
  kMethod = 10,
  kCrc = 16,
  kCompressedSize = 20,
  kSize = 24,
  kNameBytes = 28,
  kExtraBytes = 30,
  kDisk = 34,
  kHeaderOffset = 42,
  kName = 46
};
enum End : size_t {
  kEndDisk = 4,
  kHere = 8,
  kEntries = 10,
  kDirectoryBytes = 12,
  kOffset = 16,
  kComment = 20
};

Result<ZipFile> open(const std::string& bytes, const ZipLimits& limits = {}) {
  return ZipFile::open(std::make_unique<MemorySource>("file.zip", as_bytes(bytes)), limits);
}

/// Opens and extracts everything: the first error, or none.
Status read_all(const std::string& bytes, const ZipLimits& limits = {}) {
  LANTERN_ASSIGN(ZipFile zip, open(bytes, limits));
  for (const auto& entry : zip.entries())
    LANTERN_TRY(zip.extract(entry, [](std::span<const std::byte>) -> Status { return {}; }));
  return {};
}

Zip two_entries() {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "a line that repeats\n";
  return make_zip({{"a", "content", false}, {"b/c", text, true}});
}

struct Case {
  const char* name;
  std::function<void(Zip&)> damage;
  ErrorCode code;
  const char* message;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

/// Both records of an entry say the same, or only one of them would be tested.
template <typename T>
void patch_both(Zip& z, size_t i, size_t local, size_t central, T value) {
  z.bytes.patch(z.local[i] + local, value).patch(z.central[i] + central, value);
}

std::vector<Case> structure_cases() {
  using enum ErrorCode;
  return {
      {"no_end_record", [](Zip& z) { z.bytes.patch(z.end, uint32_t{0}); }, kCorrupt, "not found"},
      {"comment_past_the_end", [](Zip& z) { z.bytes.patch(z.end + kComment, uint16_t{5}); },
       kCorrupt, "not found"},
      {"bytes_after_the_end", [](Zip& z) { z.bytes.raw("x"); }, kCorrupt, "not found"},
      {"end_record_in_the_comment",
       [](Zip& z) {
         Zip inner = make_zip({});
         z.bytes.patch(z.end + kComment, static_cast<uint16_t>(inner.bytes.size()));
         z.bytes.raw(inner.bytes.text());
       },
       kCorrupt, "there are two"},
      {"several_disks", [](Zip& z) { z.bytes.patch(z.end + kEndDisk, uint16_t{1}); }, kUnsupported,
       "several disks"},
      {"entry_on_another_disk", [](Zip& z) { z.bytes.patch(z.central[0] + kDisk, uint16_t{1}); },
       kUnsupported, "several disks"},
      {"directory_outside", [](Zip& z) { z.bytes.patch(z.end + kOffset, uint32_t{0xfffffff0}); },
       kCorrupt, "does not end at it"},
      {"something_before_the_archive",
       [](Zip& z) {
         Bytes longer;
         longer.raw("#!/bin/sh\n").raw(z.bytes.text());
         z.bytes = longer;
       },
       kCorrupt, "does not end at it"},
      {"more_entries_than_there_are",
       [](Zip& z) {
         z.bytes.patch(z.end + kHere, uint16_t{3}).patch(z.end + kEntries, uint16_t{3});
       },
       kCorrupt, "directory entry 2"},
      {"fewer_entries_than_there_are",
       [](Zip& z) {
         z.bytes.patch(z.end + kHere, uint16_t{1}).patch(z.end + kEntries, uint16_t{1});
       },
       kCorrupt, "bytes of the directory are left"},
      {"directory_entry_without_signature",
       [](Zip& z) { z.bytes.patch(z.central[1], uint32_t{0}); }, kCorrupt,
       "directory entry 1: signature"},
      {"directory_encrypted",
       [](Zip& z) { z.bytes.patch(z.central[0] + kFlags, uint16_t{1 << 13}); }, kUnsupported,
       "encrypted directory"},
      {"name_past_the_directory",
       [](Zip& z) { z.bytes.patch(z.central[1] + kNameBytes, uint16_t{60000}); }, kCorrupt,
       "directory entry 1"},
      {"name_empty",
       [](Zip& z) {
         z = make_zip({{"", "x", false}});
       },
       kCorrupt, "is no name"},
      {"name_with_nul", [](Zip& z) { z.bytes.patch(z.central[0] + kName, '\0'); }, kCorrupt,
       "is no name"},
      {"name_twice",
       [](Zip& z) {
         z = make_zip({{"same", "1", false}, {"same", "2", false}});
       },
       kCorrupt, "entry same stands twice"},
      {"local_header_of_another_name", [](Zip& z) { z.bytes.patch(z.local[0] + kLocalName, 'z'); },
       kCorrupt, "its name is z"},
      {"local_header_of_another_method",
       [](Zip& z) { z.bytes.patch(z.local[0] + kLocalMethod, uint16_t{8}); }, kCorrupt,
       "contradicts the directory"},
      {"local_header_of_another_size",
       [](Zip& z) { z.bytes.patch(z.local[0] + kLocalSize, uint32_t{99}); }, kCorrupt,
       "contradicts the directory"},
      {"local_header_of_another_sum",
       [](Zip& z) { z.bytes.patch(z.local[0] + kLocalCrc, uint32_t{99}); }, kCorrupt,
       "contradicts the directory"},
      {"local_header_without_signature", [](Zip& z) { z.bytes.patch(z.local[1], uint32_t{0}); },
       kCorrupt, "entry b/c: local header: signature"},
      {"local_header_past_the_end",
       [](Zip& z) { z.bytes.patch(z.central[1] + kHeaderOffset, uint32_t{0xfffffff0}); }, kCorrupt,
       "lies outside"},
      {"local_header_in_the_directory",
       [](Zip& z) {
         z.bytes.patch(z.central[1] + kHeaderOffset, static_cast<uint32_t>(z.central[0] - 4));
       },
       kCorrupt, "lies outside"},
      {"two_entries_on_one_header",
       [](Zip& z) {
         z = make_zip({{"a", "content", false}, {"a", "content", false}});
         z.bytes.patch(z.central[1] + kHeaderOffset, uint32_t{0});
       },
       kCorrupt, "overlap"},
      {"data_past_the_directory",
       [](Zip& z) { patch_both(z, 1, 18, kCompressedSize, uint32_t{0x7fffffff}); }, kCorrupt,
       "reach past the directory"},
  };
}

std::vector<Case> data_cases() {
  using enum ErrorCode;
  return {
      {"stored_of_two_sizes", [](Zip& z) { patch_both(z, 0, kLocalSize, kSize, uint32_t{6}); },
       kCorrupt, "stored, but of 6 bytes in 7"},
      {"sum_wrong", [](Zip& z) { patch_both(z, 0, kLocalCrc, kCrc, uint32_t{1}); }, kCorrupt,
       "CRC-32"},
      {"content_changed", [](Zip& z) { z.bytes.patch(z.data[0], 'C'); }, kCorrupt, "CRC-32"},
      {"deflate_stream_damaged", [](Zip& z) { z.bytes.patch(z.data[1], uint32_t{0xffffffff}); },
       kCorrupt, "entry b/c: "},
      {"more_bytes_than_said", [](Zip& z) { patch_both(z, 1, kLocalSize, kSize, uint32_t{10}); },
       kCorrupt, "holds more bytes"},
      {"fewer_bytes_than_said",
       [](Zip& z) { patch_both(z, 1, kLocalSize, kSize, uint32_t{100'000}); }, kCorrupt,
       "holds fewer bytes"},
      {"stream_without_an_end",
       [](Zip& z) {
         auto n = static_cast<uint32_t>(z.central[0] - z.data[1] - 3);
         patch_both(z, 1, 18, kCompressedSize, n);
       },
       kCorrupt, "has no end"},
      {"encrypted", [](Zip& z) { patch_both(z, 0, kLocalFlags, kFlags, uint16_t{1}); },
       kUnsupported, "is encrypted"},
      {"method_unknown", [](Zip& z) { patch_both(z, 0, kLocalMethod, kMethod, uint16_t{99}); },
       kUnsupported, "method 99"},
      {"more_than_deflate_can_hold",
       [](Zip& z) { patch_both(z, 1, kLocalSize, kSize, uint32_t{1u << 30}); }, kCorrupt,
       "cannot hold"},
      {"zip_bomb",
       [](Zip& z) {
         z = make_zip({{"bomb", std::string(4 << 20, '\0'), true}});
       },
       kTooLarge, "a zip bomb?"},
  };
}

class CorruptZip : public testing::TestWithParam<Case> {};

TEST_P(CorruptZip, IsRefusedByName) {
  const Case& c = GetParam();
  Zip zip = two_entries();
  c.damage(zip);
  Status status = read_all(zip.bytes.text());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, c.code) << status.error().message;
  EXPECT_THAT(status.error().message, HasSubstr(c.message));
  EXPECT_THAT(status.error().message, HasSubstr("file.zip: "));
  EXPECT_THAT(status.error().message, Not(HasSubstr("\n")));
}

std::string case_name(const testing::TestParamInfo<Case>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Structure, CorruptZip, testing::ValuesIn(structure_cases()), case_name);
INSTANTIATE_TEST_SUITE_P(Data, CorruptZip, testing::ValuesIn(data_cases()), case_name);

TEST(TruncatedZip, IsCorruptAtEveryByte) {
  std::string whole = two_entries().bytes.text();
  ASSERT_TRUE(read_all(whole).ok());
  for (size_t n = 0; n < whole.size(); ++n) {
    Status status = read_all(whole.substr(0, n));
    ASSERT_FALSE(status.ok()) << n;
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt) << n << ": " << status.error().message;
  }
}

TEST(DamagedZip, EveryBitFlippedEndsInAResult) {
  std::string whole = two_entries().bytes.text();
  for (size_t i = 0; i < whole.size() * 8; ++i) {
    std::string flipped = whole;
    flipped[i / 8] = static_cast<char>(flipped[i / 8] ^ (1 << (i % 8)));
    Status status = read_all(flipped);
    if (status.ok()) continue;  // a bit of a date
    EXPECT_THAT(status.error().message, HasSubstr("file.zip: "));
  }
}

TEST(ZipPastALimit, IsTooLarge) {
  std::string whole = two_entries().bytes.text();
  auto code = [&](ZipLimits limits) {
    Status status = read_all(whole, limits);
    return status.ok() ? ErrorCode::kInternal : status.error().code;
  };
  EXPECT_EQ(code({.entries = 1}), ErrorCode::kTooLarge);
  EXPECT_EQ(code({.directory_bytes = 50}), ErrorCode::kTooLarge);
  EXPECT_EQ(code({.name_bytes = 2}), ErrorCode::kTooLarge);
  EXPECT_EQ(code({.entry_bytes = 10}), ErrorCode::kTooLarge);
  EXPECT_EQ(code({.total_bytes = 1003}), ErrorCode::kTooLarge);
}

TEST(ZipNames, AreGivenAsTheyStand) {
  for (const char* name : {"../evil", "/etc/passwd", "a\\..\\b"}) {
    std::string bytes = make_zip({{name, "x", false}}).bytes.text();
    auto zip = open(bytes);
    ASSERT_TRUE(zip.ok());
    EXPECT_EQ(zip->entries()[0].name, name);
    EXPECT_FALSE(format::is_safe_path(zip->entries()[0].name));
  }
}

}  // namespace
}  // namespace lantern::corrupt
