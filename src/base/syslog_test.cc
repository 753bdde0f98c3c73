#include "base/syslog.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/printable.h"

namespace lantern::base {
namespace {

// The form that section 6 gives; audit/export_test.cc holds lines against another parser.
TEST(Syslog, WritesALine) {
  const std::vector<std::pair<std::string, std::string>> params = {{"runtime", "Ollama"},
                                                                   {"path", "/a\"b\\c]d"}};
  EXPECT_EQ(syslog_line({.severity = SyslogSeverity::kWarning,
                         .timestamp = "2026-11-23T19:40:00.000001Z",
                         .hostname = "host.example",
                         .name = "finding.appeared",
                         .params = params,
                         .text = "caf\xc3\xa9"}),
            "<108>1 2026-11-23T19:40:00.000001Z host.example lantern - finding.appeared "
            "[lantern@32473 runtime=\"Ollama\" path=\"/a\\\"b\\\\c\\]d\"] \xef\xbb\xbf"
            "caf\xc3\xa9");
}

TEST(Syslog, NothingEndsTheLineOrIsNoUtf8) {
  const std::vector<std::pair<std::string, std::string>> params = {{"a", "1\n2\x7f\xff"}};
  const std::string line = syslog_line({.timestamp = "2026-11-23T19:40:00Z",
                                        .hostname = "no host",
                                        .name = "two words",
                                        .params = params,
                                        .text = "x\r\ny\xc3"});
  EXPECT_EQ(line,
            "<110>1 2026-11-23T19:40:00Z - lantern - - [lantern@32473 a=\"1 2 \xef\xbf\xbd\"] "
            "\xef\xbb\xbfx  y\xef\xbf\xbd");
}

TEST(Syslog, ALongTextIsCutBetweenLetters) {
  const std::string text = "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9";
  const size_t whole = syslog_line({.timestamp = "-", .text = text}).size();
  for (size_t n_max = 0; n_max <= whole + 2; ++n_max) {
    const std::string line = syslog_line({.timestamp = "-", .text = text}, n_max);
    EXPECT_TRUE(is_utf8(line));
    EXPECT_LE(line.size(), std::max(n_max, whole - text.size()));
    EXPECT_TRUE(n_max < whole || line.size() == whole);
  }
}

}  // namespace
}  // namespace lantern::base
