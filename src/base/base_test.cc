#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <numeric>
#include <thread>
#include <vector>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/shared_pool.h"
#include "base/thread_pool.h"

namespace lantern::base {
namespace {

TEST(Checked, RemembersAnOverflowThroughAChain) {
  CheckedSize big(uint64_t{1} << 40);
  EXPECT_EQ((big * 2 + 7).value(), (uint64_t{1} << 41) + 7);
  EXPECT_FALSE((big * (uint64_t{1} << 30) / 4).value());
  EXPECT_FALSE((CheckedSize(3) - 4 + 10).value());
  EXPECT_FALSE((CheckedSize(3) / 0).value());
  EXPECT_FALSE(CheckedSize(~uint64_t{0}).align_up(32).value());
  EXPECT_EQ(CheckedSize(33).align_up(32).value(), 64u);
  EXPECT_FALSE(CheckedSize(uint64_t{1} << 63).value_as<int64_t>());
}

TEST(ByteReader, ErrorsPastTheEndAndMovesNothing) {
  std::array<std::byte, 6> bytes{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  ByteReader reader(bytes);
  EXPECT_EQ(*reader.read<uint16_t>("a"), 0x0201);
  auto wide = reader.read<uint64_t>("tensor count");
  ASSERT_FALSE(wide.ok());
  EXPECT_EQ(wide.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(wide.error().message, "tensor count: needs 8 bytes at offset 2, 4 are left");
  EXPECT_EQ(reader.position(), 2u);
  EXPECT_FALSE(reader.read_bytes(~uint64_t{0}, "string").ok());
  EXPECT_FALSE(reader.seek(7, "offset").ok());
  EXPECT_TRUE(reader.seek(6, "offset").ok());
}

TEST(Sha256, MatchesTheStandardsVectors) {  // FIPS 180-4, "abc" and the empty string
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(*digest_from_hex(to_hex(sha256("abc"))), sha256("abc"));
  EXPECT_FALSE(digest_from_hex("../../etc/passwd").ok());
}

TEST(Json, NamesWhatIsWrong) {
  EXPECT_EQ((*parse_json(R"({"a":[1,2]})", "x"))["a"][1], 2);
  EXPECT_FALSE(parse_json("{", "x").ok());
  auto twice = parse_json(R"({"a":1,"a":2})", "config.json");
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().message, "config.json: key \"a\" stands twice in one object");
  const auto broken = parse_json(R"({"a\nb":1,"a\nb":2})", "x");
  EXPECT_EQ(broken.error().message, R"(x: key "a\x0ab" stands twice in one object)");
  std::string deep(100000, '[');
  EXPECT_EQ(parse_json(deep, "x").error().code, ErrorCode::kTooLarge);
  EXPECT_FALSE(parse_json("\"\xff\"", "x").ok());
}

TEST(ReadTextFile, ReadsTheKernelsFilesThatSayTheyAreEmpty) {
  const auto text = read_text_file("/proc/self/status", 1 << 20);
  ASSERT_TRUE(text.ok()) << text.error().message;
  EXPECT_NE(text->find("Pid:"), std::string::npos);
  EXPECT_EQ(read_text_file("/proc/self/status", 16).error().code, ErrorCode::kTooLarge);
}

TEST(AtomicFile, LeavesTheOldContentUntilCommit) {
  auto folder = std::filesystem::temp_directory_path() / "lantern-atomic-test";
  std::filesystem::create_directories(folder);
  auto path = folder / "f";
  ASSERT_TRUE(write_file_atomically(path, "old").ok());
  {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write(std::string_view("new")).ok());
  }
  EXPECT_EQ(*read_text_file(path, 100), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  EXPECT_EQ(read_text_file(path, 2).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(read_text_file(folder / "none", 2).error().code, ErrorCode::kNotFound);
  std::filesystem::remove_all(folder);
}

TEST(AtomicFile, ReplacesNoDeviceAndNoLink) {
  auto folder = std::filesystem::temp_directory_path() / "lantern-atomic-link-test";
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(write_file_atomically(folder / "target", "old").ok());
  std::filesystem::create_symlink(folder / "target", folder / "link");
  ASSERT_TRUE(write_file_atomically(folder / "link", "new").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(*read_text_file(folder / "target", 100), "new");
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(write_file_atomically(folder / "pipe", "x").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(write_file_atomically(folder, "x").error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
  std::filesystem::remove_all(folder);
}

TEST(ThreadPool, CoversEveryItemOnce) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int64_t n : {0, 1, 7, 1000}) {
      std::vector<int> hits(static_cast<size_t>(n));
      pool.parallel_for(n, 3, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
      });
      EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), int64_t{0}), n);
    }
    std::vector<int> seen(static_cast<size_t>(threads));
    for (int i = 0; i < 200; ++i) pool.run([&](int t) { ++seen[static_cast<size_t>(t)]; });
    EXPECT_EQ(seen, std::vector<int>(static_cast<size_t>(threads), 200));
  }
  EXPECT_GE(usable_physical_cores(), 1);
}

TEST(SharedPool, OneAtATimeHasItsThreads) {
  SharedPool pool(2);
  constexpr int kLoops = 3, kSteps = 200, kItems = 64;
  int64_t sum = 0;  // whoever has the turn
  {
    std::vector<std::jthread> loops;
    loops.reserve(kLoops);
    for (int loop = 0; loop < kLoops; ++loop)
      loops.emplace_back([&] {
        for (int step = 0; step < kSteps; ++step) {
          const auto turn = pool.take_turn();
          std::atomic<int64_t> part{0};
          pool.threads().parallel_for(kItems, 4,
                                      [&](int64_t begin, int64_t end) { part += end - begin; });
          sum += part;
        }
      });
  }
  EXPECT_EQ(sum, int64_t{kLoops} * kSteps * kItems);
}

}  // namespace
}  // namespace lantern::base
