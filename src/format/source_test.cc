#include "format/source.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <thread>

#include "format/temporary_folder.h"

namespace lantern::format {
namespace {

TEST(FileSource, IsNotReadOnOnceItChanged) {
  const TemporaryFolder folder;
  const auto path = folder.write("weights", "what was checked");
  const auto source = FileSource::open(path);
  ASSERT_TRUE(source.ok());
  std::array<std::byte, 4> bytes{};
  ASSERT_TRUE((*source)->read_at(0, bytes).ok());
  // Longer than the kernel's tick, which a file's times are told in.
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  folder.write("weights", "what was changed");
  const Status changed = (*source)->read_at(0, bytes);
  ASSERT_FALSE(changed.ok());
  EXPECT_EQ(changed.error().code, ErrorCode::kCorrupt);
}

TEST(FileSource, StaysWithTheFileThatWasOpened) {
  const TemporaryFolder folder;
  const auto path = folder.write("weights", "one");
  const auto source = FileSource::open(path);
  ASSERT_TRUE(source.ok());
  const auto other = FileSource::open(folder.write("other", "two"));
  ASSERT_TRUE(other.ok());
  EXPECT_NE((*source)->stamp(), (*other)->stamp());
  EXPECT_EQ((*source)->stamp(), (*FileSource::open(path))->stamp());
}

}  // namespace
}  // namespace lantern::format
