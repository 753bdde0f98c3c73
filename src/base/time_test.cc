#include "base/time.h"

#include <gtest/gtest.h>

namespace lantern::base {
namespace {

// `date -u -d @N +%FT%TZ`
TEST(Time, IsWrittenAsDateWritesIt) {
  const std::pair<int64_t, std::string_view> cases[] = {
      {0, "1970-01-01T00:00:00Z"},          {951782399, "2000-02-28T23:59:59Z"},
      {951782400, "2000-02-29T00:00:00Z"},  {1795380098, "2026-11-22T20:41:38Z"},
      {4107542400, "2100-03-01T00:00:00Z"}, {253402300799, "9999-12-31T23:59:59Z"}};
  for (const auto& [seconds, text] : cases) {
    EXPECT_EQ(format_utc(UtcTime(std::chrono::seconds(seconds))), text);
    EXPECT_EQ(parse_utc(text).value().time_since_epoch().count(), seconds);
  }
}

TEST(Time, HasMicrosecondsWhereTheyAreAsked) {
  EXPECT_EQ(format_utc_us(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_utc_us(1795380098'000'021), "2026-11-22T20:41:38.000021Z");
  EXPECT_EQ(format_utc_us(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(Time, OtherFormsAreRefused) {
  for (const std::string_view text :
       {"", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31t12:00:00z", "2026-01-31T12:00:00.5Z",
        "2026-01-31T12:00:00+00:00", "2026-02-29T12:00:00Z", "2026-13-01T12:00:00Z",
        "2026-01-00T12:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T23:60:00Z",
        "2026-01-31T23:59:60Z", "1969-12-31T23:59:59Z", "+026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z ", "2026-01-31T1 :00:00Z"})
    EXPECT_FALSE(parse_utc(text).ok()) << text;
}

}  // namespace
}  // namespace lantern::base
