#include "delivery/event.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/printable.h"
#include "base/time.h"

namespace lantern::delivery {
namespace {

using base::OrderedJson;

constexpr size_t kNameBytesMax = 32;  // of an SD-NAME and of a MSGID
constexpr size_t kParamsMax = 32;

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

bool is_name(std::string_view text, bool with_capitals) {
  const auto fits = [with_capitals](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
           (with_capitals && c >= 'A' && c <= 'Z');
  };
  return !text.empty() && text.size() <= kNameBytesMax &&
         std::all_of(text.begin(), text.end(), fits);
}

}  // namespace

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::kInformational:
      return "informational";
    case Severity::kLow:
      return "low";
    case Severity::kMedium:
      return "medium";
    case Severity::kHigh:
      return "high";
    case Severity::kCritical:
      return "critical";
  }
  return "informational";
}

// RFC 9562, section 5.7: 48 bits of milliseconds, the version, 12 bits that are the part of a
// millisecond here (section 6.2, method 3), the variant, 62 random bits.
Result<std::string> new_event_id(int64_t time_us) {
  std::array<unsigned char, 8> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1)
    return make_error(ErrorCode::kInternal, "OpenSSL has no random numbers");
  const auto time = static_cast<uint64_t>(std::max<int64_t>(time_us, 0));
  const uint64_t ms = time / 1000 & 0xffff'ffff'ffff;
  const uint64_t part = time % 1000 * 4096 / 1000;
  uint64_t low = 0;
  for (const unsigned char byte : random) low = low << 8 | byte;
  low = (low & 0x3fff'ffff'ffff'ffff) | 0x8000'0000'0000'0000;
  return fmt::format("{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}", ms >> 16, ms & 0xffff, part, low >> 48,
                     low & 0xffff'ffff'ffff);
}

int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

bool is_event_id(std::string_view text) {
  constexpr std::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  return text.size() == kForm.size() &&
         std::equal(text.begin(), text.end(), kForm.begin(), [](char c, char form) {
           return form == '-' ? c == '-' : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_event_time(int64_t time_us) { return time_us >= 0 && time_us < 253'402'300'800'000'000; }

Status check_event(const Event& event) {
  const auto wrong = [&event](std::string_view fault) {
    return make_error(ErrorCode::kInvalidArgument, "event \"{}\": {}",
                      base::printable(event.name, 40), fault);
  };
  if (!is_name(event.name, /*with_capitals=*/false)) return wrong("a name of [a-z0-9._-]{1,32}");
  if (!is_event_id(event.id)) return wrong("its id is no UUID in lower case");
  if (!is_event_time(event.time_us)) return wrong("no such time");
  if (!event.json.is_object() || !event.ocsf.is_object()) return wrong("its JSON is no object");
  if (event.params.size() > kParamsMax) return wrong("too many params");
  for (const auto& [name, value] : event.params)
    if (!is_name(name, /*with_capitals=*/true) || name == "id")
      return wrong("a param's name is [A-Za-z0-9._-]{1,32} and not id");
  return {};
}

std::string event_line(const Event& event) {
  OrderedJson line = {{"id", event.id},
                      {"time", base::format_utc_us(event.time_us)},
                      {"event", event.name},
                      {"severity", severity_name(event.severity)},
                      {"text", event.text}};
  for (const auto& [name, value] : event.json.items())
    if (!line.contains(name)) line[name] = value;
  return dump(line);
}

std::string ocsf_line(const Event& event) {
  OrderedJson out = event.ocsf;
  out["time"] = event.time_us / 1000;
  out["severity_id"] = static_cast<int>(event.severity);
  out["message"] = event.text;
  OrderedJson& metadata = out["metadata"];
  if (!metadata.is_object()) metadata = OrderedJson::object();
  metadata["uid"] = event.id;
  metadata["event_code"] = event.name;
  return dump(out);
}

Event gap_event(const Gap& gap, std::string id, int64_t time_us) {
  Event event{
      .id = std::move(id), .time_us = time_us, .name = "delivery.gap", .severity = Severity::kHigh};
  const bool is_known = gap.lost != Gap::kUnknown;
  event.text = is_known ? fmt::format(
                              "{} events were lost: the spool was full while the receiver was "
                              "away",
                              gap.lost)
                        : "events may have been lost: the spool was damaged";
  // OCSF's base event (class 0) counts the like of itself between two times.
  event.ocsf = {
      {"class_uid", 0},
      {"class_name", "Base Event"},
      {"category_uid", 0},
      {"category_name", "Uncategorized"},
      {"activity_id", 99},
      {"activity_name", "Events Lost"},
      {"type_uid", 99},
      {"metadata",
       {{"version", "1.8.0"},
        {"product",
         {{"name", "Lantern"}, {"vendor_name", "Lantern"}, {"version", LANTERN_VERSION}}}}}};
  event.json["lost"] = is_known ? OrderedJson(gap.lost) : OrderedJson(nullptr);
  event.params = {{"lost", is_known ? std::to_string(gap.lost) : "unknown"}};
  if (is_known) event.ocsf["count"] = gap.lost;
  const auto put_time = [&event](const char* name, const char* ocsf_name, int64_t us) {
    if (us == 0) return;
    event.json[name] = base::format_utc_us(us);
    event.ocsf[ocsf_name] = us / 1000;
    event.params.emplace_back(name, base::format_utc_us(us));
  };
  put_time("first", "start_time", gap.first_us);
  put_time("last", "end_time", gap.last_us);
  return event;
}

}  // namespace lantern::delivery
