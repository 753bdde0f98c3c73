// An event as receivers get it. Who makes it decides what it says; this room adds what every event
// has, so that none can lack it: its id, its time, its name and how grave it is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace lantern::delivery {

/// OCSF's severity_id.
enum class Severity { kInformational = 1, kLow = 2, kMedium = 3, kHigh = 4, kCritical = 5 };
/// "informational", "low", ...
std::string_view severity_name(Severity severity);

struct Event {
  /// new_event_id(). The same on every delivery, so that a receiver can drop doubles.
  std::string id = {};
  int64_t time_us = 0;    // microseconds since 1970 (UTC)
  std::string name = {};  // "finding.appeared": [a-z0-9._-]{1,32}, syslog's MSGID
  Severity severity = Severity::kInformational;
  /// What is particular to this event, as members of an object: event_line() puts id, time, event,
  /// severity and text before them, in the place of members of these names.
  base::OrderedJson json = base::OrderedJson::object();
  /// The whole event as an OCSF class; ocsf_line() sets time, severity_id, message and metadata's
  /// uid and event_code.
  base::OrderedJson ocsf = base::OrderedJson::object();
  /// Syslog's structured data, in order: runtime, arch, params, ... An empty value is left out;
  /// the id is added. Names are [A-Za-z0-9._-]{1,32}.
  std::vector<std::pair<std::string, std::string>> params = {};
  std::string text = {};  // one sentence for a person, without a line break
};

/// A UUID of version 7 (RFC 9562): sorts by time, and is never made twice. kInternal where there
/// are no random numbers.
Result<std::string> new_event_id(int64_t time_us);
/// Whether it has the form of one.
bool is_event_id(std::string_view text);
int64_t now_us();
/// Whether it is within the years 1970 to 9999, as RFC 3339 writes them.
bool is_event_time(int64_t time_us);

/// Each form of an event is shorter than this.
inline constexpr size_t kEventBytesMax = 256u << 10;

/// kInvalidArgument where a field breaks its form.
Status check_event(const Event& event);

/// One JSON object on one line, without its line break. Bytes that are no UTF-8 become U+FFFD.
std::string event_line(const Event& event);
std::string ocsf_line(const Event& event);

/// What a receiver did not get.
struct Gap {
  /// How many events; kUnknown where the spool itself was damaged.
  int64_t lost = 0;
  int64_t first_us = 0, last_us = 0;  // their times; 0: not known
  static constexpr int64_t kUnknown = -1;
};
/// "delivery.gap": stands in the place of the events that it counts.
Event gap_event(const Gap& gap, std::string id, int64_t time_us);

}  // namespace lantern::delivery
