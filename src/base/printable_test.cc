#include "base/printable.h"

#include <gtest/gtest.h>

namespace lantern::base {
namespace {

TEST(Printable, LeavesTextAlone) {
  EXPECT_EQ(printable("blk.0.attn_q"), "blk.0.attn_q");
  EXPECT_EQ(printable("größe 火"), "größe 火");
}

TEST(Printable, EscapesWhatSteersATerminalOrBreaksTheLine) {
  EXPECT_EQ(printable("a\x1b[31m\nb"), "a\\x1b[31m\\x0ab");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");
  EXPECT_EQ(printable("\x7f\\"), "\\x7f\\\\");
  EXPECT_EQ(printable(std::string_view("\0", 1)), "\\x00");
}

TEST(Printable, EscapesWhatIsNoUtf8) {
  EXPECT_EQ(printable("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");
}

TEST(Printable, CutsLongNames) { EXPECT_EQ(printable(std::string(500, 'x'), 10), "xxxxxxxxxx..."); }

TEST(Utf8, AcceptsWhatTheStandardDoesAndNothingElse) {
  EXPECT_TRUE(is_utf8("a\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
  for (std::string_view bad :
       {"\x80", "\xc1\x80", "\xe0\x9f\x80", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80", "\xe2\x82", "\xc3"})
    EXPECT_FALSE(is_utf8(bad)) << printable(bad);
}

}  // namespace
}  // namespace lantern::base
