#include "base/idle_pages.h"

#include <gtest/gtest.h>

#include <fstream>
#include <stdexcept>
#include <string>

namespace lantern::base {
namespace {

size_t resident_file_kb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssFile:")) return std::stoul(line.substr(8));
  return 0;
}

TEST(IdlePages, AreUnmappedAndComeBack) {
  static std::string variable = "changed since the start";
  const size_t before = resident_file_kb();
  ASSERT_TRUE(unmap_idle_pages().ok());
  EXPECT_LT(resident_file_kb(), before);
  EXPECT_EQ(variable, "changed since the start");
  EXPECT_THROW(throw std::runtime_error("tables of unwinding are pages, too"), std::runtime_error);
}

}  // namespace
}  // namespace lantern::base
