#include "base/memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace lantern::base {
namespace {

class Memory : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) /
              (std::string("memory_test_") +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    write("proc/meminfo", "MemTotal:  16000 kB\nMemAvailable:   8000 kB\n");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }
  uint64_t available() {
    return available_memory({.proc = folder_ / "proc", .cgroup = folder_ / "cgroup"});
  }
  std::filesystem::path folder_;
};

TEST_F(Memory, IsTheMachinesWithoutCgroups) { EXPECT_EQ(available(), 8'000u * 1024); }

TEST_F(Memory, IsTheTightestCgroupsOnThePath) {
  write("proc/self/cgroup", "0::/user/box\n");
  write("cgroup/user/memory.max", "5000000\n");
  write("cgroup/user/memory.current", "4000000\n");
  write("cgroup/user/memory.stat", "anon 1\ninactive_file 500000\nactive_file 250000\n");
  write("cgroup/user/box/memory.max", "max\n");
  write("cgroup/user/box/memory.current", "4000000\n");
  EXPECT_EQ(available(), 1'750'000u);
  write("cgroup/user/box/memory.max", "3000000\n");  // below what is used
  EXPECT_EQ(available(), 0u);
}

TEST_F(Memory, ReadsVersionOneGroups) {
  write("proc/self/cgroup", "9:cpu:/\n8:memory:/docker/abc\n");
  write("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write("cgroup/memory/memory.usage_in_bytes", "12345\n");
  write("cgroup/memory/docker/abc/memory.limit_in_bytes", "3000000\n");
  write("cgroup/memory/docker/abc/memory.usage_in_bytes", "1000000\n");
  write("cgroup/memory/docker/abc/memory.stat", "total_inactive_file 100\n");
  EXPECT_EQ(available(), 2'000'100u);
}

TEST_F(Memory, KnowsNothingWithoutFiles) {
  std::filesystem::remove_all(folder_);
  EXPECT_EQ(available(), UINT64_MAX);
}

TEST(AvailableMemory, IsReadFromTheKernel) {
  EXPECT_GT(available_memory(), uint64_t{1} << 20);
  EXPECT_LT(available_memory(), uint64_t{1} << 50);
}

TEST(PeakResidentMemory, GrowsWithWhatIsTouched) {
  const uint64_t before = peak_resident_memory();
  EXPECT_GT(before, 0u);
  std::string touched(64u << 20, 'x');
  EXPECT_GE(peak_resident_memory(), uint64_t{touched.size()});
}

}  // namespace
}  // namespace lantern::base
