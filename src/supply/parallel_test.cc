#include "supply/parallel.h"

#include <atomic>
#include <thread>

#include "supply/testing/fixture.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;
using testing::gguf_bytes;
using testing::hex_of;
using testing::read_all;
using testing::write_all;

TEST(ForEachFile, EachIsVisitedOnce) {
  for (size_t n : {0u, 1u, 2u, 57u}) {
    std::vector<uint64_t> sizes(n);
    for (size_t i = 0; i < n; ++i) sizes[i] = i * 7919 % 13;
    std::vector<std::atomic<int>> visits(n);
    const Status done = for_each_file(sizes, {}, [&](size_t i, const std::stop_token&) -> Status {
      ++visits[i];
      return {};
    });
    EXPECT_TRUE(done.ok());
    for (const auto& count : visits) EXPECT_EQ(count, 1);
  }
}

TEST(ForEachFile, TheFirstErrorIsTheAnswerAndEndsTheRest) {
  const std::vector<uint64_t> sizes(1000, 1);
  std::atomic<int> begun = 0;
  const Status done = for_each_file(sizes, {}, [&](size_t, const std::stop_token& stop) -> Status {
    if (++begun == 1) return make_error(ErrorCode::kCorrupt, "this one");
    while (!stop.stop_requested()) std::this_thread::yield();
    return make_error(ErrorCode::kCancelled, "interrupted");
  });
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().message, "this one");
  EXPECT_LT(begun, 1000);
}

TEST(ForEachFile, AStopReachesAllOfThem) {
  std::stop_source source;
  const std::vector<uint64_t> sizes(10, 1);
  const Status done =
      for_each_file(sizes, source.get_token(), [&](size_t, const std::stop_token& stop) -> Status {
        source.request_stop();
        return stop.stop_requested() ? make_error(ErrorCode::kCancelled, "interrupted") : Status();
      });
  EXPECT_EQ(done.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(for_each_file(std::vector<uint64_t>(2, 1), source.get_token(),
                          [](size_t, const std::stop_token&) -> Status { return {}; })
                .error()
                .code,
            ErrorCode::kCancelled)
      << "stopped before any began";
}

class CopiedFile : public testing::StoreTest {};

TEST_F(CopiedFile, HasTheDigestsOfItsBytesOnOneThreadAndOnTwo) {
  for (size_t bytes : {0u, 1u, (1u << 20) - 1, 1u << 20, (1u << 20) + 1, 3'500'000u}) {
    const std::string content = gguf_bytes(bytes);
    write_all(root_ / "from", content);
    const auto from = base::ReadFile::open(root_ / "from");
    for (int n_threads : {1, 2}) {
      SCOPED_TRACE(fmt::format("{} bytes, {} threads", bytes, n_threads));
      auto writer = StagedWriter::create(root_ / "copy", "copy");
      base::Progress progress({}, base::ProgressOutput::none());
      ASSERT_TRUE(writer->copy(*from, {.progress = &progress, .n_threads = n_threads}).ok());
      const auto staged = writer->finish();
      ASSERT_TRUE(staged.ok());
      EXPECT_EQ(base::to_hex(staged->digest), hex_of(content));
      EXPECT_EQ(staged->size, bytes);
      EXPECT_EQ(read_all(staged->at), content);
      fs::remove(staged->at);
    }
  }
}

TEST_F(CopiedFile, AFileThatIsCutShortMeanwhileIsAnError) {
  write_all(root_ / "from", gguf_bytes(3'000'000));
  const auto from = base::ReadFile::open(root_ / "from");
  fs::resize_file(root_ / "from", 1'500'000);
  auto writer = StagedWriter::create(root_ / "copy", "copy");
  EXPECT_EQ(writer->copy(*from, {.n_threads = 2}).error().code, ErrorCode::kCorrupt);
}

TEST_F(CopiedFile, AStopEndsTheCopies) {
  for (int i = 1; i <= 4; ++i)
    write_all(root_ / fmt::format("s-{:05}-of-00004.gguf", i),
              gguf_bytes(2'000'000, static_cast<uint32_t>(i)));
  stop_.request_stop();
  EXPECT_EQ(pull(context(), (root_ / "s-00001-of-00004.gguf").string(), "").error().code,
            ErrorCode::kCancelled);
  expect_nothing_admitted();
}

TEST_F(CopiedFile, SeveralFilesKeepTheirOrderNamesAndDigests) {
  std::vector<std::string> contents;
  for (uint32_t i = 1; i <= 5; ++i) {
    contents.push_back(gguf_bytes(400'000 * (6 - i), i));
    write_all(root_ / fmt::format("s-{:05}-of-00005.gguf", i), contents.back());
  }
  const auto pulled = pull(context(), (root_ / "s-00003-of-00005.gguf").string(), "s");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  const auto& files = pulled->model.manifest.files;
  ASSERT_EQ(files.size(), 5u);
  std::vector<base::Digest> digests;
  std::vector<fs::path> paths;
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(base::to_hex(files[i].digest), hex_of(contents[i]));
    EXPECT_EQ(read_all(pulled->model.folder / files[i].path), contents[i]);
    digests.push_back(files[i].digest);
    paths.push_back(root_ / files[i].path);
  }
  const auto verified = store_.verify_blobs(digests, {.how = Verify::kFull});
  ASSERT_TRUE(verified.ok());
  EXPECT_EQ(*verified, std::vector<Verified>(5, Verified::kByHashing));
  const auto in_place = store_.digests_in_place(paths, {});
  ASSERT_TRUE(in_place.ok());
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ((*in_place)[i].digest, digests[i]);
  paths.push_back(root_ / "none");
  EXPECT_EQ(store_.digests_in_place(paths, {}).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace lantern::supply
