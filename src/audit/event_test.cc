#include "audit/event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "audit/export.h"
#include "audit/query.h"
#include "audit/test_support.h"
#include "base/json.h"

namespace lantern::audit {
namespace {

using ::testing::HasSubstr;

Event full_event() {
  return {.action = Action::kChat,
          .decision = Decision::kDeny,
          .actor = {.user = "ada", .uid = 1000, .program = "/usr/bin/curl", .key_id = "k1"},
          .model = ModelRef{.id = std::string(64, 'a'),
                            .name = "smollm2",
                            .signer = "Example GmbH",
                            .state = "approved"},
          .rule = "deny-secrets",
          .reason = "a \"quoted\" reason\nin two lines ]",
          .digests = {{.of = "request",
                       .hmac = std::string(64, 'b'),
                       .key_id = std::string(64, 'c'),
                       .bytes = 12}},
          .facts = {{"tier", "B"}, {"tokens", int64_t{-3}}},
          .time_ms = 1'795'000'000'123};
}

TEST(Event, ComesBackFromItsJson) {
  const std::string line = event_to_json(full_event()).value();
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_THAT(line, HasSubstr(R"({"v":1,"time":"2026-11-18T)"));
  const Event event = event_from_json(line, "entry").value();
  EXPECT_EQ(event_to_json(event).value(), line);
  EXPECT_EQ(event.actor.uid, 1000u);
  EXPECT_EQ(event.reason, full_event().reason);
}

TEST(Event, NamesOfActionsAndDecisionsAreTheirOwn) {
  for (int i = 0; i <= static_cast<int>(Action::kLogPrune); ++i) {
    const auto action = static_cast<Action>(i);
    EXPECT_EQ(action_from_name(action_name(action)).value(), action);
  }
  EXPECT_EQ(action_name(Action::kBreakGlass), "break_glass");
  EXPECT_EQ(action_name(Action::kLogPrune), "log_prune");
  EXPECT_EQ(action_from_name("fly").error().code, ErrorCode::kUnsupported);
}

TEST(Event, TimesAreReadStrictly) {
  EXPECT_EQ(format_time(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(parse_time("2000-02-29T23:59:59.999Z").value(), 951'868'799'999);
  for (const char* bad : {"", "2026-11-22", "2026-11-22T18:41:41Z", "2026-02-30T00:00:00.000Z",
                          "2026-11-22T24:00:00.000Z", "2026-11-22 18:41:41.123Z"})
    EXPECT_FALSE(parse_time(bad).ok()) << bad;
}

TEST(Event, RefusesWhatIsNoEvent) {
  const std::string good = event_to_json(full_event()).value();
  for (
      const std::string& bad : std::vector<std::string>{
          "", "[]", "{}", R"({"v":2})", good.substr(0, good.size() - 1),
          R"({"v":1,"time":"x","action":"load","decision":"allow","actor":{}})",
          R"({"v":1,"time":"2026-11-22T18:41:41.123Z","action":"fly","decision":"allow","actor":{}})",
          R"({"v":1,"time":"2026-11-22T18:41:41.123Z","action":"load","decision":"allow"})"}) {
    const auto event = event_from_json(bad, "f");
    ASSERT_FALSE(event.ok()) << bad;
    EXPECT_THAT(event.error().message, ::testing::StartsWith("f")) << bad;
  }
}

TEST(Query, FindsByModelSignerUserAndTime) {
  const Event event = full_event();
  EXPECT_TRUE(Query{}.matches(event));
  EXPECT_TRUE(Query{.model = "smollm2"}.matches(event));
  EXPECT_TRUE(Query{.model = "sha256:aaaaaa"}.matches(event));
  EXPECT_FALSE(Query{.model = "aaaaa"}.matches(event));
  EXPECT_TRUE(Query{.signer = "Example GmbH"}.matches(event));
  EXPECT_TRUE(Query{.user = "1000"}.matches(event));
  EXPECT_FALSE(Query{.user = "bob"}.matches(event));
  EXPECT_FALSE(Query{.since_ms = event.time_ms + 1}.matches(event));
  EXPECT_FALSE(Query{.action = Action::kLoad}.matches(event));
  EXPECT_TRUE(Query{.decision = Decision::kDeny}.matches(event));
  EXPECT_EQ(parse_moment("1d", 86'400'000).value(), 0);
  EXPECT_EQ(parse_moment("1970-01-02", 0).value(), 86'400'000);
  EXPECT_EQ(parse_moment("1970-01-01T00:00:01Z", 0).value(), 1000);
  for (const char* bad : {"", "d", "1", "1w", "-1d", "yesterday", "1970-13-01"})
    EXPECT_FALSE(parse_moment(bad, 0).ok()) << bad;
}

TEST(Export, SyslogEscapesWhatWouldEndAParameter) {
  Event event = full_event();
  event.actor.user = "a\"d]a\\\n";
  const std::string entry = event_to_json(event).value();
  const Record record{.index = 7, .entry = entry, .event = event};
  const std::string line =
      export_record(ExportFormat::kSyslog, record, {.origin = "log", .hostname = "no name"});
  EXPECT_THAT(line, ::testing::StartsWith("<108>1 2026-11-18T"));
  EXPECT_THAT(line, HasSubstr(R"(Z - lantern - chat [lantern@32473 index="7" decision="deny")"));
  EXPECT_THAT(line, HasSubstr(R"( user="a\"d\]a\\ ")"));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_THAT(line, ::testing::EndsWith("] \xef\xbb\xbf" + entry));
}

TEST(Export, JsonLinesKeepTheEntryAndItsNumber) {
  const std::string entry = event_to_json(full_event()).value();
  const Record record{.index = 9, .entry = entry, .event = full_event()};
  const auto json =
      base::parse_json(export_record(ExportFormat::kJsonLines, record, {}), "line").value();
  EXPECT_EQ(json["index"], 9);
  EXPECT_EQ(json["event"]["rule"], "deny-secrets");
}

}  // namespace
}  // namespace lantern::audit
