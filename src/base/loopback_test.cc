#include "base/loopback.h"

#include <gtest/gtest.h>

namespace lantern::base {
namespace {

TEST(Loopback, IsThisMachineAlone) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"})
    EXPECT_TRUE(is_loopback_host(host)) << host;
  for (const char* host : {"127.0.0.1.example", "localhost.example", "128.0.0.1", "0.0.0.0",
                           "::", "[::ffff:8.8.8.8]", ""})
    EXPECT_FALSE(is_loopback_host(host)) << host;
}

}  // namespace
}  // namespace lantern::base
