#include "audit/export.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace lantern::audit {
namespace {

struct Sample {
  Event event;
  ExportSource source;
};

std::vector<Sample> samples() {
  const ExportSource here{.origin = "lantern-audit/0123456789abcdef", .hostname = "host.example"};
  return {
      {.event = {.action = Action::kChat,
                 .decision = Decision::kAllow,
                 .actor = {.user = "ada", .uid = 1000, .program = "/usr/bin/python3.11"},
                 .model = ModelRef{.id = std::string(64, 'a'), .name = "smollm2"},
                 .rule = "catalog",
                 .time_ms = 1'800'000'000'123},
       .source = here},
      // What RFC 5424 asks to be escaped, and what it allows as it is.
      {.event = {.action = Action::kLoad,
                 .decision = Decision::kDeny,
                 .actor = {.user = "o\"brien [x] = \xc3\xa9\xe4\xb8\x96"},
                 .model = ModelRef{.name = "a]b\"c"},
                 .rule = "no-secrets",
                 .reason = "because",
                 .time_ms = 1'800'000'001'000},
       .source = here},
      // Nothing that is optional, and a host whose name fits in no header.
      {.event = {.action = Action::kRevoke, .decision = Decision::kRecord, .time_ms = 1},
       .source = {.origin = "o", .hostname = "no host", .enterprise_number = 4294967295}},
      {.event = {.action = Action::kFinding, .decision = Decision::kError, .time_ms = 2},
       .source = {.origin = "o", .enterprise_number = 1}},
  };
}

// testdata/syslog.json has each line and what another program's parser reads of it
// (tools/golden/syslog.py).
TEST(Export, SyslogReadsElsewhereAsWhatWasRecorded) {
  const std::string path = std::string(LANTERN_SOURCE_DIR) + "/src/audit/testdata/syslog.json";
  const base::Json golden = base::Json::parse(base::read_text_file(path, 1u << 20).value());
  const std::vector<Sample> all = samples();
  ASSERT_EQ(golden.size(), all.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const auto& [event, source] = all[i];
    const std::string entry = event_to_json(event).value();
    const std::string line = export_record(
        ExportFormat::kSyslog, {.index = 7 + i, .entry = entry, .event = event}, source);
    EXPECT_EQ(golden[i]["line"], line);
    const base::Json& read = golden[i]["parsed"];
    EXPECT_EQ(read["facility"], "audit");
    EXPECT_EQ(read["timestamp"], format_time(event.time_ms));
    EXPECT_EQ(read["hostname"], source.hostname == "host.example" ? source.hostname : "-");
    EXPECT_EQ(read["appname"], "lantern");
    EXPECT_EQ(read["msgid"], std::string(action_name(event.action)));
    EXPECT_EQ(read["msg"], "\xef\xbb\xbf" + entry);
    base::Json fields = {{"index", std::to_string(7 + i)},
                         {"decision", std::string(decision_name(event.decision))},
                         {"origin", source.origin}};
    if (!event.actor.user.empty()) fields["user"] = event.actor.user;
    if (!event.actor.program.empty()) fields["program"] = event.actor.program;
    if (event.model) fields["model"] = event.model->name;
    if (event.model && !event.model->id.empty()) fields["modelId"] = event.model->id;
    if (!event.rule.empty()) fields["rule"] = event.rule;
    EXPECT_EQ(read["sd"],
              (base::Json{{fmt::format("lantern@{}", source.enterprise_number), fields}}));
  }
}

}  // namespace
}  // namespace lantern::audit
