#include "server/http.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace lantern::server {
namespace {

TEST(Http, APathIsUnescapedAndHasNoZero) {
  const auto path = path_of_target("/a%20b/%41?x=%00#y");
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(*path, "/a b/A");
  for (const std::string_view target :
       {std::string_view("/a\0b", 4), std::string_view("/%00"), std::string_view("/%4"),
        std::string_view("a"), std::string_view()})
    EXPECT_FALSE(path_of_target(target).ok()) << target;
}

}  // namespace
}  // namespace lantern::server
