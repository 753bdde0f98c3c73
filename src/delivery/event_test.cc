#include "delivery/event.h"

#include <gtest/gtest.h>

#include <set>

#include "delivery/test_support.h"

namespace lantern::delivery {
namespace {

using base::OrderedJson;
using testing::sample_event;

TEST(Event, IdsAreUuidsOfVersion7AndSortByTime) {
  // RFC 9562, A.6: unix_ts_ms 0x017F22E279B0.
  const std::string id = new_event_id(0x017F22E279B0 * 1000 + 999).value();
  EXPECT_EQ(id.substr(0, 15), "017f22e2-79b0-7");
  EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
  EXPECT_TRUE(is_event_id(id));
  EXPECT_LT(new_event_id(1'000'001).value(), new_event_id(1'000'002).value());
  std::set<std::string> ids;
  for (int i = 0; i < 10'000; ++i) ids.insert(new_event_id(1).value());
  EXPECT_EQ(ids.size(), 10'000u);
  for (const char* other : {"", "017F22E2-79B0-7000-8000-000000000000", "x17f22e2-79b0-7000-8000-"})
    EXPECT_FALSE(is_event_id(other)) << other;
}

TEST(Event, EveryFormHasWhatEveryEventHas) {
  Event event = sample_event(7);
  event.json["id"] = "another";  // not for its maker to say
  event.text = "a\nb\xff";
  const OrderedJson line = OrderedJson::parse(event_line(event));
  EXPECT_EQ(line["id"], event.id);
  EXPECT_EQ(line["time"], "2027-01-15T08:00:00.000007Z");
  EXPECT_EQ(line["event"], "finding.appeared");
  EXPECT_EQ(line["severity"], "medium");
  EXPECT_EQ(line["number"], 7);
  EXPECT_EQ(event_line(event).find('\n'), std::string::npos);
  event.ocsf["metadata"] = {{"version", "1.8.0"}, {"uid", "another"}};
  const OrderedJson ocsf = OrderedJson::parse(ocsf_line(event));
  EXPECT_EQ(ocsf["metadata"]["uid"], event.id);
  EXPECT_EQ(ocsf["metadata"]["version"], "1.8.0");
  EXPECT_EQ(ocsf["time"], 1'800'000'000'000);
  EXPECT_EQ(ocsf["severity_id"], 3);
}

TEST(Event, WhatBreaksItsFormIsRefused) {
  EXPECT_TRUE(check_event(sample_event(1)).ok());
  const std::function<void(Event&)> faults[] = {[](Event& e) { e.name = "Finding"; },
                                                [](Event& e) { e.name = std::string(33, 'a'); },
                                                [](Event& e) { e.id = "1"; },
                                                [](Event& e) { e.time_us = -1; },
                                                [](Event& e) { e.json = 1; },
                                                [](Event& e) { e.ocsf = OrderedJson::array(); },
                                                [](Event& e) { e.params[0].first = "a b"; },
                                                [](Event& e) { e.params[0].first = "id"; }};
  for (const auto& fault : faults) {
    Event event = sample_event(1);
    fault(event);
    const Status checked = check_event(event);
    ASSERT_FALSE(checked.ok());
    EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Event, AGapSaysHowManyAndWhen) {
  const Event gap = gap_event({.lost = 12, .first_us = 1'000'000, .last_us = 2'000'000},
                              new_event_id(1).value(), 3'000'000);
  EXPECT_TRUE(check_event(gap).ok());
  const OrderedJson line = OrderedJson::parse(event_line(gap));
  EXPECT_EQ(line["event"], "delivery.gap");
  EXPECT_EQ(line["lost"], 12);
  EXPECT_EQ(line["first"], "1970-01-01T00:00:01.000000Z");
  const OrderedJson ocsf = OrderedJson::parse(ocsf_line(gap));
  // What OCSF 1.8 requires of a base event.
  for (const char* field :
       {"activity_id", "category_uid", "class_uid", "severity_id", "time", "type_uid"})
    EXPECT_TRUE(ocsf[field].is_number()) << field;
  EXPECT_TRUE(ocsf["metadata"]["product"]["vendor_name"].is_string());
  EXPECT_EQ(ocsf["count"], 12);
  EXPECT_EQ(ocsf["end_time"], 2'000);
  const Event unknown = gap_event({.lost = Gap::kUnknown}, new_event_id(1).value(), 1);
  EXPECT_TRUE(OrderedJson::parse(event_line(unknown))["lost"].is_null());
}

}  // namespace
}  // namespace lantern::delivery
